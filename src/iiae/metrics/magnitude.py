"""Values brought to a size at which their squares neither overflow nor vanish."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Num

ROOM = 490  # 2 ** (2 * 490), summed over a million dimensions, is still a float64


def power_of_two(largest: float, exponent: int = 0) -> float:
    """The power of two that brings `largest` to about `2 ** exponent`; to multiply by it is exact.

    >>> power_of_two(1e30) * 1e30 < 1
    True
    """
    return 2.0 ** max(-1000, min(1000, exponent - math.frexp(largest)[1]))


def rescaled(values: Num[np.ndarray, "samples size"]) -> Float[np.ndarray, "samples size"]:
    """The same values in float64, divided by a power of two so that none exceeds 1."""
    values = np.asarray(values, np.float64)
    return values * power_of_two(float(np.abs(values).max(initial=0)))


def middle(rows: Float[np.ndarray, "samples size"]) -> Float[np.ndarray, " size"]:
    """Median of up to 1,001 rows: near most of them, and exactly theirs if all are equal.

    Distances are computed around it, where little cancels; a mean would follow an outlier.
    """
    return np.median(rows[:: max(1, len(rows) // 1000)], 0)
