r"""How much is read from latents that should not hold it, as single numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from iiae.errors import DataError
from iiae.metrics.probe_matrix import ProbeMatrix
from iiae.types import Measured


class Leakage(NamedTuple):
    """Mean over factors of the most that is read where it should not be; see `leakage_score`.

    `value` is None if a block is collapsed: from nothing nothing leaks, and that is no merit.
    `at_home` is the mean of what is read where it should be, over factors that have such a block:
    low, and no leak means little.
    """

    value: float | None
    by_factor: dict[str, Measured]
    at_home: Measured
    collapsed: tuple[str, ...]


class Leak(NamedTuple):
    """A reading of a factor from a block it does not belong to: 0 chance, 1 all of it."""

    value: Measured
    factor: str
    block: str


def leakage_score(matrix: ProbeMatrix) -> Leakage:
    """One number for what is in the wrong block: 0, nothing; 1, all of every factor.

    Mean over factors of the largest reading from a block they do not belong to, by the better
    probe. A reading counts from the 95th percentile of chance (0) to the perfect score (1).
    """
    if not matrix.cells:
        raise DataError("a leakage score needs at least one factor")
    own, by_factor = (
        {
            name: max(
                (cell.above_chance for cell in matrix.sides(name)[side].values()), default=0.0
            )
            for name in matrix.cells
        }
        for side in (0, 1)
    )
    value = None if matrix.collapsed else float(np.mean(list(by_factor.values())))
    homes = [own[name] for name in own if matrix.sides(name)[0]]
    at_home = float(np.mean(homes)) if homes else math.nan
    return Leakage(value, by_factor, at_home, matrix.collapsed)


def largest_leak(matrix: ProbeMatrix) -> Leak:
    """The worst single reading of a factor from a block that it does not belong to.

    `leakage_score` is a mean over factors instead.
    """
    leaks = [
        Leak(cell.above_chance, factor, block)
        for factor in matrix.cells
        for block, cell in matrix.sides(factor)[1].items()
    ]
    return max(leaks, key=lambda leak: leak.value)


def area_above_chance(recall: Mapping[int, float], items: int) -> float:
    """Recall@K of an exclusive latent as one number: 0 is guessing, 1 is every partner first.

    Twice the area between the curve of recall over K / items and its diagonal, straight between
    the given K and to (1, 1), so it is low by what the missing K would add. Below 0: worse than
    guessing.

    >>> round(area_above_chance({1: 0.01, 50: 0.5}, 100), 12)
    0.0

    Raises:
        DataError: no K, a K beyond 1 to `items`, or a recall outside [0, 1].
    """
    if not recall or min(recall) < 1 or max(recall) > items:
        raise DataError(f"recall needs K from 1 to {items}; given {sorted(recall)}")
    if not all(0 <= value <= 1 for value in recall.values()):
        raise DataError("a recall is outside [0, 1]; percent must be divided by 100")
    ks = sorted(recall)
    at = np.array([0.0, *(k / items for k in ks), 1.0])
    height = np.array([0.0, *(recall[k] for k in ks), 1.0])
    # each width times the mean of its two heights
    area = float((np.diff(at) * (height[1:] + height[:-1]) / 2).sum())
    return 2 * area - 1
