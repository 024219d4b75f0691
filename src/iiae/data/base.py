"""What a data set of pairs is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

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

    `shapes` are those of one x and one y, without the batch axis. `held` names the attributes
    that are tensors with a row a pair, or None: what `pairs` picks from; nothing where pairs are
    read from disk.
    """

    shapes: tuple[Sequence[int], Sequence[int]]
    held: tuple[str, ...] = ()

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

    @property
    def held_bytes(self) -> int:
        """Bytes of the tensors that pairs are picked from; 0 where they are read from disk."""
        tensors = (getattr(self, name) for name in self.held)
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)

    def to(self, device: torch.device) -> PairSet:
        """The same pairs, picked from tensors on a device; draws stay on the CPU."""
        moved = copy(self)
        for name in self.held:
            tensor = getattr(self, name)
            setattr(moved, name, None if tensor is None else tensor.to(device))
        return moved

    def batches(self, size: int) -> Iterator[Pair]:
        """Every pair once, in order and in its fixed appearance."""
        for index in torch.arange(len(self)).split(size):
            yield self.pairs(Draw(index))


class Splits(NamedTuple):
    """Disjoint sets of pairs; `validation` is never taken from what is trained on."""

    train: PairSet
    validation: PairSet
    test: PairSet


def pick(rows: Tensor, index: Tensor) -> Tensor:
    """Some rows, on their own device, wherever the index is."""
    return rows.index_select(0, index.to(rows.device))
