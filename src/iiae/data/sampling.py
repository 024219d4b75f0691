"""The order in which pairs are drawn, a pure function of seed, epoch and position.

A run resumes exactly where it stopped from (epoch, position) alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler

from iiae.data.base import PairSet
from iiae.data.classes.pairs import ClassPairs
from iiae.data.missing import PartialPairs, Sides
from iiae.data.parquet_shards import ShardPairs
from iiae.errors import SettingsError
from iiae.types import Draw

PAIR_SHARE = 0.25  # of a batch, at least, where some samples have no partner
OTHER_SEED = 0x9E3779B1  # between the seeds of two processes; odd, so no two meet


class AlignedBatches(Sampler[Draw]):
    """Every pair once per epoch, shuffled anew each epoch; the incomplete last batch is left out.

    Args:
        pairs: How many pairs there are; fewer than `batch` make one batch of all.
        batch: Pairs a batch.
        seed: Of the order and of what each batch draws anew.
    """

    def __init__(self, pairs: int, batch: int, seed: int):
        self.pairs, self.batch, self.seed = pairs, min(batch, pairs), seed
        self.rank, self.world = 0, 1
        self.epoch = 0
        self.sought = (0, 0)

    def __len__(self) -> int:
        return self.pairs // self.batch

    def share(self, rank: int, world: int) -> None:
        """Yields process `rank`'s part of every batch: `world` equal parts, none twice.

        A batch of all pairs, where they are fewer than a batch, is cut to a multiple of `world`.
        What is drawn anew differs between processes.

        Raises:
            SettingsError: The batch is smaller than `world`, or not a multiple of it.
        """
        if (self.batch < self.pairs and self.batch % world) or self.batch < world:
            raise SettingsError(
                f"training.batch = {self.batch} over {world} processes: each takes an equal part, "
                f"so give a multiple of {world}"
            )
        self.batch -= self.batch % world
        self.rank, self.world = rank, world

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def seek(self, step: int) -> None:
        """Makes the epoch of optimiser step `step` begin at that step."""
        self.sought = divmod(step, len(self))
        self.epoch = self.sought[0]

    def __iter__(self) -> Iterator[Draw]:
        epoch = self.epoch
        start = self.sought[1] if epoch == self.sought[0] else 0
        generator = np.random.default_rng((self.seed, epoch))
        order = self._order(generator)
        seeds = generator.integers(2**32, size=len(self)).tolist()
        for position, own in enumerate(self._own(order, epoch, start), start):
            seed = (seeds[position] + self.rank * OTHER_SEED) % 2**32
            yield Draw(torch.from_numpy(own), seed)

    def _own(self, order: np.ndarray, epoch: int, start: int) -> Iterator[np.ndarray]:
        """This process's part of each batch from `start` on."""
        part = self.batch // self.world
        for position in range(start, len(self)):
            index = order[position * self.batch : (position + 1) * self.batch]
            yield index[self.rank * part : (self.rank + 1) * part]

    def _order(self, generator: np.random.Generator) -> np.ndarray:
        return generator.permutation(self.pairs)


class ClassBatches(AlignedBatches):
    """As `AlignedBatches`, but classes come in turn: a batch of C pairs has each of C classes once.

    Paper: one random sketch and one random photo of each of the 100 seen classes a batch. Here:
    any number of classes and any batch; rounds of all classes, each in a new order, are cut into
    batches. An epoch has as many pairs as the larger domain has items.

    Args:
        class_of: Class of each pair, 0 to C - 1.
        batch: Pairs a batch.
        seed: Of the order and of what each batch draws anew.
    """

    def __init__(self, class_of: np.ndarray, batch: int, seed: int):
        super().__init__(len(class_of), batch, seed)
        self.members = [np.flatnonzero(class_of == c) for c in range(class_of.max() + 1)]

    def _order(self, generator: np.random.Generator) -> np.ndarray:
        rounds = -(-self.pairs // len(self.members))
        classes = np.concatenate([generator.permutation(len(self.members)) for _ in range(rounds)])[
            : self.pairs
        ]
        return np.array(
            [self.members[c][generator.integers(len(self.members[c]))] for c in classes]
        )


class EvenBatches(AlignedBatches):
    """As `AlignedBatches`, over rows of several kinds: each batch has its share of each kind.

    So every batch of part-paired rows has pairs, which BatchNorm and the joint encoder need.
    Where fewer than `PAIR_SHARE` of all rows are pairs, each pair comes several times an epoch.

    Args:
        kinds: Of each row, a `Sides` value.
        batch: Rows a batch.
        seed: Of the order and of what each batch draws anew.
    """

    def __init__(self, kinds: np.ndarray, batch: int, seed: int):
        pairs = int((kinds == Sides.BOTH).sum())
        wanted = PAIR_SHARE / (1 - PAIR_SHARE) * (len(kinds) - pairs)
        self.times = max(1, round(wanted / max(1, pairs)))
        super().__init__(len(kinds) + (self.times - 1) * pairs, batch, seed)
        self.members = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]

    def _order(self, generator: np.random.Generator) -> np.ndarray:
        pairs, *lone = self.members
        members = [np.concatenate([generator.permutation(pairs) for _ in range(self.times)])]
        members += [generator.permutation(m) for m in lone]
        places = [(np.arange(len(m)) + generator.random()) / len(m) for m in members]
        return np.concatenate(members)[np.argsort(np.concatenate(places), kind="stable")]


class ShardBatches(AlignedBatches):
    """As `AlignedBatches`, for pairs that are read by row group: shuffled within a buffer.

    Row groups in a new order each epoch make one line of all pairs. It is cut into a stretch for
    each process, and that into one for each worker, so that all but the groups at a cut are read
    by one worker alone. Along a stretch, groups that fill the buffer are shuffled together.
    Memory is that of the groups' order; nothing grows with the number of pairs.

    With another number of processes or workers the order is another one.

    Args:
        rows: Of each row group.
        batch: Pairs a batch.
        seed: Of the order and of what each batch draws anew.
        buffer: Pairs that a process holds and shuffles, over all its workers.
        workers: Processes that prepare batches in turn; 0 for none.

    Raises:
        SettingsError: A row group does not fit the buffer.
    """

    def __init__(self, rows: Sequence[int], batch: int, seed: int, buffer: int, workers: int):
        super().__init__(sum(rows), batch, seed)
        self.rows, self.lanes = np.asarray(rows), max(1, workers)
        self.starts = self.rows.cumsum() - self.rows
        self.buffer = buffer // self.lanes
        if max(rows) > self.buffer:
            raise SettingsError(
                f"data.buffer = {buffer} over {self.lanes} worker{'s' * (self.lanes > 1)}: a row "
                f"group has {max(rows)} pairs; give at least {max(rows) * self.lanes}, or write "
                "shards with smaller row groups"
            )

    def _order(self, generator: np.random.Generator) -> np.ndarray:
        return generator.permutation(len(self.rows))

    def _own(self, order: np.ndarray, epoch: int, start: int) -> Iterator[np.ndarray]:
        part, steps = self.batch // self.world, len(self)
        begin, lanes = self.rank * steps * part, []
        for lane in range(self.lanes):  # batch i is of lane i % lanes, as workers take turns
            end = begin + part * len(range(lane, steps, self.lanes))
            windows = self._windows(order, begin, end)
            name = (self.seed, epoch, 1 + self.rank * self.lanes + lane)
            skipped = part * len(range(lane, start, self.lanes))
            lanes.append(_cut(self._shuffled(windows, name, skipped), part))
            begin = end
        for position in range(start, steps):
            yield next(lanes[position % self.lanes])

    def _windows(self, order: np.ndarray, begin: int, end: int) -> list[list[tuple[int, int]]]:
        """(first row, end row) of the groups between two places of the line, by buffer."""
        ends = self.rows[order].cumsum()
        first, last = np.searchsorted(ends, begin, "right"), np.searchsorted(ends, end, "left")
        windows: list[list[tuple[int, int]]] = []
        held = self.buffer
        for place in range(first, min(last + 1, len(order))):
            rows, start = int(self.rows[order[place]]), int(self.starts[order[place]])
            before = int(ends[place]) - rows
            low, high = max(begin - before, 0), min(end - before, rows)
            if held + rows > self.buffer:
                windows.append([])
                held = 0
            held += rows
            windows[-1].append((start + low, start + high))
        return windows

    def _shuffled(
        self, windows: list[list[tuple[int, int]]], name: tuple[int, ...], skipped: int
    ) -> Iterator[np.ndarray]:
        """Pairs of each window in a random order, without the first `skipped`."""
        for number, window in enumerate(windows):
            size = sum(high - low for low, high in window)
            if skipped >= size:
                skipped -= size
                continue
            index = np.concatenate([np.arange(low, high) for low, high in window])
            yield np.random.default_rng((*name, number)).permutation(index)[skipped:]
            skipped = 0


def _cut(pieces: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Pieces of any length joined, and cut to `size`."""
    rest = np.empty(0, dtype=np.int64)
    for piece in pieces:
        rest = np.concatenate([rest, piece])
        while len(rest) >= size:
            yield rest[:size]
            rest = rest[size:]


def make_batches(pairs: PairSet, batch: int, seed: int, workers: int = 0) -> AlignedBatches:
    """The order that suits a set: by class if pairs are made of classes.

    Raises:
        SettingsError: Of a part-paired set, some batches would have fewer than two pairs; a row
            group of shards does not fit the buffer.
    """
    if isinstance(pairs, ShardPairs):
        rows = [group.rows for group in pairs.groups]
        return ShardBatches(rows, batch, seed, pairs.buffer, workers)
    if isinstance(pairs, PartialPairs):
        batches = EvenBatches(pairs.sides, batch, seed)
        drawn = len(pairs) * batches.times
        if drawn * batches.batch // batches.pairs < 3:
            raise SettingsError(
                f"training.batch = {batch}: with {len(pairs)} pairs among {len(pairs.sides)} rows "
                f"some batches would have fewer than 2 pairs; give at least "
                f"{-(-3 * batches.pairs // drawn)}"
            )
        return batches
    if isinstance(pairs, ClassPairs):
        return ClassBatches(pairs.class_of, batch, seed)
    return AlignedBatches(len(pairs), batch, seed)
