"""What a data set of pairs is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch

from iiae.types import Draw, Pair, PartPaired


class Factor(NamedTuple):
    """A known cause of variation, for evaluation only: training never sees it.

    `values` is `(pairs,)`, or `(pairs, axes)` for a continuous factor of several axes;
    `block` says which latent ought to hold it.
    """

    values: np.ndarray
    kind: Literal["continuous", "categorical"]
    block: Literal["shared", "x", "y"]

    @property
    def latent(self) -> str:
        """The latent that ought to hold it: z_s, z_x or z_y."""
        return "z_s" if self.block == "shared" else f"z_{self.block}"


class PairSet(ABC):
    """Pairs that can be drawn in any order.

    `shapes` are those of one x and one y, without the batch axis.
    """

    shapes: tuple[Sequence[int], Sequence[int]]

    @abstractmethod
    def __len__(self) -> int:
        """How many pairs."""

    @abstractmethod
    def pairs(self, draw: Draw) -> Pair:
        """The pairs of a draw, in its order."""

    @abstractmethod
    def factors(self) -> dict[str, Factor]:
        """Known factors of every pair in its fixed appearance; empty where none are known."""

    def __getitem__(self, draw: Draw) -> Pair | PartPaired:
        """A batch to train on."""
        return self.pairs(draw)

    def batches(self, size: int) -> Iterator[Pair]:
        """Every pair once, in order and in its fixed appearance."""
        for index in torch.arange(len(self)).split(size):
            yield self.pairs(Draw(index))


class Splits(NamedTuple):
    """Disjoint sets of pairs; `validation` is never taken from what is trained on."""

    train: PairSet
    validation: PairSet
    test: PairSet
