import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi", reason="the extra 'web' is not installed")

from iiae.web.batching import Batcher, Busy


def run(scenario):
    with ThreadPoolExecutor(1) as executor:
        return asyncio.run(scenario(executor))


def test_what_comes_while_a_batch_is_worked_on_is_the_next_batch():
    sizes, started, go = [], threading.Event(), threading.Event()

    def work(jobs):
        sizes.append(len(jobs))
        started.set()
        go.wait(5)
        return [job * 10 for job in jobs]

    async def scenario(executor):
        batcher = Batcher(work, executor, most=4)
        first = asyncio.create_task(batcher(0))
        await asyncio.to_thread(started.wait, 5)
        rest = [asyncio.create_task(batcher(i)) for i in range(1, 7)]
        await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(first, *rest)

    assert run(scenario) == [0, 10, 20, 30, 40, 50, 60]
    assert sizes == [1, 4, 2]


def test_only_the_job_at_fault_fails():
    def work(jobs):
        return [1 / job for job in jobs]

    async def scenario(executor):
        batcher = Batcher(work, executor)
        return await asyncio.gather(*map(batcher, (1, 0, 2)), return_exceptions=True)

    answers = run(scenario)
    assert (answers[0], answers[2]) == (1, 0.5)
    assert isinstance(answers[1], ZeroDivisionError)


def test_a_full_queue_is_refused_and_gone_clients_are_not_worked_for():
    go, done = threading.Event(), []

    def work(jobs):
        go.wait(5)
        done.extend(jobs)
        return jobs

    async def scenario(executor):
        batcher = Batcher(work, executor, waiting=2)
        first = asyncio.create_task(batcher(0))
        await asyncio.sleep(0.01)
        rest = [asyncio.create_task(batcher(i)) for i in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await batcher(3)
        rest[0].cancel()
        go.set()
        return await asyncio.gather(first, rest[1])

    assert run(scenario) == [0, 2]
    assert done == [0, 2]
