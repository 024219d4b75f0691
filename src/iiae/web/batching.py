"""Requests that arrive together, processed in one batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class Busy(Exception):
    """Too many jobs are waiting."""


class Batcher(Generic[Job, Result]):
    """Gathers jobs while a batch is worked on; the next batch is whatever has come meanwhile.

    Nothing waits for company: a lone job starts at once. Where a batch fails, its jobs are
    tried one by one, so that only the job at fault fails.

    Args:
        work: Results of a batch, in its order; called in `executor`.
        executor: One thread, shared by batchers of one model.
        most: Jobs in a batch.
        waiting: Jobs that may wait; one more raises Busy.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Job]], Sequence[Result]],
        executor: Executor,
        most: int = 32,
        waiting: int = 256,
    ):
        self.work, self.executor, self.most, self.limit = work, executor, most, waiting
        self.waiting: deque[tuple[Job, asyncio.Future[Result]]] = deque()
        self.task: asyncio.Task[None] | None = None
        self.jobs = self.batches = 0

    async def __call__(self, job: Job) -> Result:
        """The result of one job.

        Raises:
            Busy: Too many jobs wait.
        """
        if len(self.waiting) >= self.limit:
            raise Busy
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.waiting.append((job, future))
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self.waiting:
            count = min(self.most, len(self.waiting))
            batch = [self.waiting.popleft() for _ in range(count)]
            batch = [(job, future) for job, future in batch if not future.done()]  # gone clients
            if batch:
                self.jobs, self.batches = self.jobs + len(batch), self.batches + 1
                await self._finish(batch)

    async def _finish(self, batch: list[tuple[Job, asyncio.Future[Result]]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            jobs = [job for job, _ in batch]
            results = await loop.run_in_executor(self.executor, self.work, jobs)
        except Exception as error:
            if len(batch) > 1:
                for single in batch:
                    await self._finish([single])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
