"""The order in which pairs are drawn, a pure function of seed, epoch and position.

Nothing but (epoch, position) has to be stored to go on exactly where a run stopped.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler

from iiae.types import Draw


class AlignedBatches(Sampler[Draw]):
    """Every pair once an epoch, shuffled anew each epoch; the incomplete last batch is left out.

    Args:
        pairs: How many pairs there are; fewer than `batch` make one batch of all.
        batch: Pairs a batch.
        seed: Of the order and of what each batch draws anew.
    """

    def __init__(self, pairs: int, batch: int, seed: int):
        self.pairs, self.batch, self.seed = pairs, min(batch, pairs), seed
        self.epoch = 0
        self.sought = (0, 0)

    def __len__(self) -> int:
        return self.pairs // self.batch

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
        order = torch.from_numpy(generator.permutation(self.pairs))
        seeds = generator.integers(2**32, size=len(self)).tolist()
        for position in range(start, len(self)):
            index = order[position * self.batch : (position + 1) * self.batch]
            yield Draw(index, seeds[position])
