"""Training sets in which some x or some y lack their partner."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from iiae.data.base import Factor, PairSet, pick, side_of
from iiae.errors import DataError
from iiae.types import Context, Domain, Draw, Pair, PartialBatch, mapped


class Sides(IntEnum):
    """The samples of a row: both, x alone or y alone, in the order of rows within a batch."""

    BOTH, X, Y = range(3)


class PartialPairs(PairSet):
    """Rows of a set of which some have only x or only y.

    As a set of pairs it is the complete rows alone: `len`, `pairs` and `factors` are of them.
    Training draws from all rows, `forward_partial`.

    Args:
        rows: Where a row lacks a side, the set may return anything for it.
        sides: What each row has, a `Sides` value.

    Raises:
        DataError: Fewer than two rows are complete.
    """

    def __init__(self, rows: PairSet, sides: np.ndarray):
        self.rows, self.sides = rows, sides
        self.shapes, self.features = rows.shapes, rows.features
        self.keys, self.of_bytes = rows.keys, rows.of_bytes
        self.annotations = rows.annotations
        self.complete = torch.from_numpy(np.flatnonzero(sides == Sides.BOTH))
        if len(self.complete) < 2:
            raise DataError(
                f"{len(self.complete)} of {len(sides)} training rows have both x and y; at least "
                "2 pairs are needed to learn what is shared"
            )

    def __len__(self) -> int:
        return len(self.complete)

    def pairs(self, draw: Draw) -> Pair:
        return self.rows.pairs(draw._replace(indices=self.complete[draw.indices]))

    def domain_batches(self, domain: Domain, size: int) -> Iterator[tuple[Tensor, Context]]:
        """Batches of every x or every y, with or without a partner."""
        index = np.flatnonzero(self.sides != (Sides.Y if domain == "x" else Sides.X))
        for pair in self.rows.batches(size, torch.from_numpy(index)):
            yield side_of(pair, domain)

    def factors(self) -> dict[str, Factor]:
        return {
            name: factor._replace(values=factor.values[self.complete.numpy()])
            for name, factor in self.rows.factors().items()
        }

    def content(self) -> Iterator[bytes]:
        yield self.sides.tobytes()
        yield from self.rows.content()

    @property
    def held_bytes(self) -> int:
        return self.rows.held_bytes

    def to(self, device: torch.device) -> PartialPairs:
        moved = copy(self)
        moved.rows = self.rows.to(device)
        return moved

    def __getitem__(self, draw: Draw) -> PartialBatch:
        """Rows of a draw over all rows: pairs first, then x alone, then y alone."""
        sides = self.sides[draw.indices.numpy()]
        both, lone_x, lone_y = (np.flatnonzero(sides == side) for side in Sides)
        x, y, known_x, known_y = self.rows.pairs(draw)
        of_x, of_y = (torch.from_numpy(np.concatenate([both, lone])) for lone in (lone_x, lone_y))
        batch = PartialBatch(
            pick(x, of_x),
            pick(y, of_y),
            len(both),
            mapped(known_x, lambda v: pick(v, of_x)),
            mapped(known_y, lambda v: pick(v, of_y)),
        )
        return self.augmented(batch, draw.seed)


def drop_partners(pairs: PairSet, share: float, seed: int) -> PartialPairs:
    """Drops one side of a share of the pairs, chosen by seed: y, x, y, x and so on.

    Raises:
        DataError: Fewer than two pairs would be left.
    """
    count = round(share * len(pairs))
    chosen = np.random.default_rng(seed).permutation(len(pairs))[:count]
    sides = np.full(len(pairs), int(Sides.BOTH))
    sides[chosen[::2]], sides[chosen[1::2]] = Sides.X, Sides.Y
    return PartialPairs(pairs, sides)
