"""Pairs with their context: covariates and library sizes, known besides x and y."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy

import numpy as np
import torch
from torch import Tensor

from iiae.data.base import Factor, PairSet, ShuffledPairs, Splits, pick
from iiae.data.missing import PartialPairs
from iiae.errors import DataError, first_five
from iiae.networks.covariates import Covariates, learn_covariates
from iiae.settings import DataSettings, ObjectiveSettings
from iiae.types import Context, Draw, Pair, mapped


class ContextPairs(PairSet):
    """Pairs of a set, each with the context that models get besides it.

    Covariates are factors too, which no latent ought to hold; one that is constant, or has a level
    of one pair, is left out there.

    Args:
        rows: The set.
        covariates: Of which the set has columns.
        sized: Whether x and y have library sizes, columns `size_x` and `size_y`.

    Raises:
        DataError: A column is missing, a value is unknown, or a size is not above 0.
    """

    def __init__(self, rows: PairSet, covariates: Covariates, sized: tuple[bool, bool]):
        self.rows, self.covariates = rows, covariates
        self.shapes, self.keys, self.annotations = rows.shapes, rows.keys, rows.annotations
        self.features, self.of_bytes = rows.features, rows.of_bytes
        values = {k: v for k, v in rows.annotations.items() if k in covariates.names}
        known = covariates.encode(values, len(rows), rows.places) if covariates.names else None
        x, y = (
            _sizes(rows, f"size_{side}") if own else None
            for side, own in zip("xy", sized, strict=True)
        )
        self.context_x, self.context_y = Context(x, known), Context(y, known)

    def __len__(self) -> int:
        return len(self.rows)

    def pairs(self, draw: Draw) -> Pair:
        known = (
            mapped(each, lambda v: pick(v, draw.indices))
            for each in (self.context_x, self.context_y)
        )
        return Pair(*self.rows.pairs(draw)[:2], *known)

    def factors(self) -> dict[str, Factor]:
        factors = self.rows.factors()
        for one in self.covariates.each:
            values = np.asarray(self.annotations[one.name])
            if not one.levels:
                factors[one.name] = Factor(values.astype(np.float64), "continuous", "none")
            elif _readable(values := values.astype(np.str_)):
                factors[one.name] = Factor(values, "categorical", "none")
        return factors

    def content(self) -> Iterator[bytes]:
        yield from self.rows.content()
        for values in (*self.context_x, *self.context_y):
            yield b"" if values is None else values.cpu().numpy().tobytes()

    def members(self) -> np.ndarray:
        return self.rows.members()

    @property
    def held_bytes(self) -> int:
        return self.rows.held_bytes

    def to(self, device: torch.device) -> ContextPairs:
        moved = copy(self)
        moved.rows = self.rows.to(device)
        moved.context_x, moved.context_y = (
            mapped(each, lambda v: v.to(device)) for each in (self.context_x, self.context_y)
        )
        return moved


def _sizes(rows: PairSet, name: str) -> Tensor:
    if name not in rows.annotations:
        raise DataError(
            f"library sizes are to be given, as column {name} of the data; it has "
            f"{', '.join(sorted(rows.annotations)) or 'none'}"
        )
    sizes = np.asarray(rows.annotations[name], dtype=np.float32)
    bad = np.flatnonzero(~(np.isfinite(sizes) & (sizes > 0)))
    if len(bad):
        raise DataError(f"{name}: not a size above 0 in row {first_five(bad.tolist())}")
    return torch.from_numpy(sizes)


def _readable(values: np.ndarray) -> bool:
    counts = np.unique(values, return_counts=True)[1]
    return len(counts) > 1 and int(counts.min()) > 1


def with_context(pairs: PairSet, covariates: Covariates, objective: ObjectiveSettings) -> PairSet:
    """The same pairs with their context; unchanged if the model takes none.

    Raises:
        DataError: As `ContextPairs`.
    """
    sized = objective.x.size == "given", objective.y.size == "given"
    if isinstance(pairs, ContextPairs) or not (covariates.names or any(sized)):
        return pairs
    if isinstance(pairs, PartialPairs | ShuffledPairs):
        known = copy(pairs)
        known.rows = with_context(pairs.rows, covariates, objective)
        return known
    return ContextPairs(pairs, covariates, sized)


def learn_context(
    data: Splits, settings: DataSettings, objective: ObjectiveSettings
) -> tuple[Splits, Covariates]:
    """All sets with their context; covariates are coded as in the training pairs.

    Raises:
        DataError: As `ContextPairs`, and as `iiae.networks.covariates.learn_covariates`.
    """
    train = data.train
    if isinstance(train, PartialPairs | ShuffledPairs):
        train = train.rows
    covariates = learn_covariates(settings.covariates, train.annotations, train.places)
    return Splits(*(with_context(part, covariates, objective) for part in data)), covariates
