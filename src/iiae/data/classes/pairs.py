"""Pairs made of classes: a random x and a random y of one class."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.base import Factor, PairSet, pick
from iiae.data.classes.collections import Labelled
from iiae.data.classes.splits import plain
from iiae.data.splits import key
from iiae.types import Context, Domain, Draw, Pair


class _Members(NamedTuple):
    """Rows of a collection ordered by class: where each class starts, and how many it has."""

    order: np.ndarray
    starts: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, classes: list[str]) -> _Members:
        position = np.searchsorted(classes, labels)
        counts = np.bincount(position, minlength=len(classes))
        return cls(np.argsort(position, kind="stable"), np.cumsum(counts) - counts, counts)

    def rows(self, classes: np.ndarray, turn: np.ndarray) -> np.ndarray:
        return self.order[self.starts[classes] + turn]


class ClassPairs(PairSet):
    """Two labelled collections; pairs share a class.

    Pair i has a class; drawn with a seed, it is a random x and a random y of that class; in its
    fixed appearance the items of a class are matched in turn, every item at least once.

    Args:
        x: Items of one domain.
        y: Items of the other, of the same classes.
        class_list: Which classes these are, for the record.
    """

    def __init__(self, x: Labelled, y: Labelled, class_list: str = ""):
        self.x, self.y, self.class_list = x, y, class_list
        self.classes = sorted({str(name) for name in x.labels})
        self._members = tuple(_Members.of(side.labels, self.classes) for side in (x, y))
        counts = np.maximum(*(side.counts for side in self._members))
        self.class_of = np.repeat(np.arange(len(self.classes)), counts)
        self._turn = np.arange(len(self.class_of)) - np.repeat(np.cumsum(counts) - counts, counts)
        self.shapes = (tuple(x.values.shape[1:]), tuple(y.values.shape[1:]))

    def __len__(self) -> int:
        return len(self.class_of)

    def pairs(self, draw: Draw) -> Pair:
        index = draw.indices.numpy()
        classes = self.class_of[index]
        if draw.seed is None:
            rows = [
                side.rows(classes, self._turn[index] % side.counts[classes])
                for side in self._members
            ]
        else:
            generator = np.random.default_rng(draw.seed)
            rows = [
                side.rows(classes, generator.integers(side.counts[classes]))
                for side in self._members
            ]
        x, y = map(torch.from_numpy, rows)
        return self._of(x, y)

    def members(self) -> np.ndarray:
        """Keys of the classes."""
        return np.array(sorted(key(plain(name)) for name in self.classes), np.uint64)

    def content(self) -> Iterator[bytes]:
        for side in (self.x, self.y):
            yield "\n".join(map(str, side.labels)).encode("utf-8", "backslashreplace")
            yield side.values.cpu().numpy().tobytes()

    def factors(self) -> dict[str, Factor]:
        names = np.array(self.classes)[self.class_of]
        return {"class": Factor(names, "categorical", "shared")}

    def _of(self, x: Tensor, y: Tensor) -> Pair:
        """Items of both domains by their rows."""
        return Pair(as_float(pick(self.x.values, x)), as_float(pick(self.y.values, y)))

    @property
    def held_bytes(self) -> int:
        return self.x.values.nbytes + self.y.values.nbytes

    def to(self, device: torch.device) -> ClassPairs:
        moved = copy(self)
        moved.x, moved.y = (s._replace(values=s.values.to(device)) for s in (self.x, self.y))
        return moved

    def domain_batches(self, domain: Domain, size: int) -> Iterator[tuple[Tensor, Context]]:
        for batch in self.sides(size)["xy".index(domain)]:
            yield batch, Context()

    def sides(self, batch: int) -> tuple[Iterator[Tensor], Iterator[Tensor]]:
        """Batches of every x, and of every y, each alone and in order."""
        x, y = ((as_float(part) for part in side.values.split(batch)) for side in (self.x, self.y))
        return x, y


def as_float(values: Tensor) -> Tensor:
    """Features as they are, bytes as floats in [-1, 1]."""
    return values.float().div(127.5).sub(1) if values.dtype == torch.uint8 else values
