"""Samples read ahead in threads, and what happens if one cannot be read."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.errors import DataError, NothingReadable
from iiae.files.interface import Sample, Source

OnError = Literal["stop", "skip"]

AHEAD = 2  # batches read before they are asked for

log = logging.getLogger("iiae")


class Batch(NamedTuple):
    """Some samples of a source: their numbers, and the widths and heights of their files."""

    numbers: list[int]
    values: Float[Tensor, "batch *shape"]
    sizes: list[tuple[int, int]]


class Skipped:
    """Samples that cannot be read: the first one stops the work, or each is named in the log.

    Attributes:
        reasons: A line per sample that was left out.
    """

    def __init__(self, on_error: OnError):
        self.on_error = on_error
        self.reasons: list[str] = []

    def add(self, error: DataError) -> None:
        """Raises the error if it must stop the work."""
        if self.on_error == "stop":
            raise error
        log.warning("skipped %s", error)
        self.reasons.append(str(error))

    def check(self, kept: int) -> None:
        """Logs the number of samples left out; raises NothingReadable if none is kept."""
        if not self.reasons:
            return
        if not kept:
            raise NothingReadable(len(self.reasons), self.reasons[0])
        total = kept + len(self.reasons)
        log.warning("skipped %d of %d samples that cannot be read", len(self.reasons), total)


def read_batches(
    source: Source, batch: int, skipped: Skipped, numbers: Sequence[int] | None = None
) -> Iterator[Batch]:
    """Batches of samples in order.

    Up to two batches are read ahead, in threads, so that reading and the caller's work overlap.

    Args:
        source: The samples.
        batch: Number of samples per batch; the last may be smaller, or any if some are skipped.
        skipped: Takes those that cannot be read.
        numbers: Which samples; all by default.

    Raises:
        DataError: A sample cannot be read and must not be skipped.
    """
    wanted = range(len(source)) if numbers is None else numbers
    grain = min(source.grain, batch)
    parts = (wanted[i : i + batch] for i in range(0, len(wanted), batch))
    chunks = ([part[i : i + grain] for i in range(0, len(part), grain)] for part in parts)
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        numbered = ahead(pool, lambda some: [*zip(some, source.read(some), strict=True)], chunks)
        for results in numbered:
            good: list[tuple[int, Sample]] = []
            for i, sample in (one for part in results for one in part):
                if isinstance(sample, DataError):
                    skipped.add(sample)
                else:
                    good.append((i, sample))
            if good:
                values = torch.stack([sample.values for _, sample in good])
                yield Batch([i for i, _ in good], values, [sample.size for _, sample in good])


def ahead(
    pool: ThreadPoolExecutor, function: Callable, chunks: Iterable[Sequence], count: int = AHEAD
) -> Generator[list, None, None]:
    """Results of each chunk, in order, with `count` chunks under way in threads."""
    waiting: deque[list[Future]] = deque()
    try:
        for chunk in chunks:
            waiting.append([pool.submit(function, item) for item in chunk])
            if len(waiting) > count:
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]
    finally:
        for futures in waiting:
            for future in futures:
                future.cancel()
