"""Means over pairs with their intervals."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from iiae.types import Measured


class Estimate(NamedTuple):
    """A mean over pairs, with its 95% interval (normal approximation); of one pair without."""

    mean: Measured
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: Float[Tensor, " pairs"]) -> Estimate:
        """The estimate of a value per pair."""
        values = values.double()
        mean = values.mean().item()
        if len(values) == 1:
            return cls(mean, None, None)
        half = 1.96 * values.std().item() / len(values) ** 0.5
        return cls(mean, mean - half, mean + half)


class Bound(NamedTuple):
    """Mean over pairs in nats, with its 95% bootstrap interval.

    The interval covers which pairs are averaged over; a bound can miss the truth by more.
    """

    value: Measured
    low: Measured
    high: Measured
