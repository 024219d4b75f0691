"""The order in which pairs are drawn, a pure function of seed, epoch and position.

Nothing but (epoch, position) has to be stored to go on exactly where a run stopped.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler

from iiae.data.base import PairSet
from iiae.data.class_pairs import ClassPairs
from iiae.data.partners import PartPairs
from iiae.errors import SettingsError
from iiae.types import Draw

OTHER_SEED = 0x9E3779B1  # between the seeds of two processes; odd, so no two meet


class AlignedBatches(Sampler[Draw]):
    """Every pair once an epoch, shuffled anew each epoch; the incomplete last batch is left out.

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
        order = torch.from_numpy(self._order(generator))
        seeds = generator.integers(2**32, size=len(self)).tolist()
        part = self.batch // self.world
        for position in range(start, len(self)):
            index = order[position * self.batch : (position + 1) * self.batch]
            own = index[self.rank * part : (self.rank + 1) * part]
            yield Draw(own, (seeds[position] + self.rank * OTHER_SEED) % 2**32)

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

    Args:
        kinds: Of each row.
        batch: Rows a batch.
        seed: Of the order and of what each batch draws anew.
    """

    def __init__(self, kinds: np.ndarray, batch: int, seed: int):
        super().__init__(len(kinds), batch, seed)
        self.members = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]

    def _order(self, generator: np.random.Generator) -> np.ndarray:
        members = [generator.permutation(m) for m in self.members]
        places = [(np.arange(len(m)) + generator.random()) / len(m) for m in members]
        return np.concatenate(members)[np.argsort(np.concatenate(places), kind="stable")]


def make_batches(pairs: PairSet, batch: int, seed: int) -> AlignedBatches:
    """The order that suits a set: by class where pairs are made of classes.

    Raises:
        SettingsError: Of a part-paired set, some batches would have fewer than two pairs.
    """
    if isinstance(pairs, PartPairs):
        batches = EvenBatches(pairs.sides, batch, seed)
        least = len(pairs) * batches.batch // batches.pairs - 1
        if least < 2:
            raise SettingsError(
                f"training.batch = {batch}: with {len(pairs)} pairs among {batches.pairs} rows "
                f"some batches would have fewer than 2 pairs; give at least "
                f"{-(-3 * batches.pairs // len(pairs))}"
            )
        return batches
    if isinstance(pairs, ClassPairs):
        return ClassBatches(pairs.class_of, batch, seed)
    return AlignedBatches(len(pairs), batch, seed)
