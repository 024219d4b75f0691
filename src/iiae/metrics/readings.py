"""How well a known factor is read from features, against chance, on held-out samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from iiae.metrics.factors import BlockFactor, Kind
from iiae.metrics.probes import held_out_ridge
from iiae.types import Measured

RESAMPLES = 200


class Reading(NamedTuple):
    """How well a factor is read: R2 of a continuous one, accuracy of a category; held out.

    `low`, `high`: 95% bootstrap interval over samples. `chance`, `chance_high`: mean and 95th
    percentile of the same probe on permuted factors, and at least what the best constant answer
    scores: 0, or the share of the most common class.
    """

    score: Measured
    low: Measured
    high: Measured
    chance: Measured
    chance_high: Measured

    @property
    def above_chance(self) -> float:
        """0 up to the 95th percentile of chance, 1 where the factor is read without error."""
        if self.chance_high >= 1:
            return 0.0
        return float(np.clip((self.score - self.chance_high) / (1 - self.chance_high), 0, 1))


def readings(
    features: np.ndarray,
    targets: Mapping[str, np.ndarray],
    factors: Mapping[str, BlockFactor],
    orders: list[np.ndarray],
    fold: np.ndarray,
) -> dict[str, Reading]:
    """Every factor and its permutations through one fit a fold."""
    every = np.hstack([target[order] for target in targets.values() for order in orders])
    predicted = held_out_ridge(features, every, fold)
    by_name, start = {}, 0
    for name, target in targets.items():
        width, losses = target.shape[1], []
        for order in orders:
            part = predicted[:, start : start + width]
            losses.append(_losses(part, target[order], factors[name].kind))
            start += width
        constant = float(target.mean(0).max()) if factors[name].kind == "categorical" else 0.0
        by_name[name] = _reading(losses, constant)
    return by_name


def _losses(predicted: np.ndarray, target: np.ndarray, kind: Kind) -> np.ndarray:
    """Each sample's error and what it is held against: their means give 1 less the score."""
    if kind == "categorical":
        return np.stack([predicted.argmax(1) != target.argmax(1), np.ones(len(target))], 1)
    spread = target.var(0)
    per_axis = np.where(spread > 0, spread, np.inf)
    error, deviation = np.square(predicted - target), np.square(target - target.mean(0))
    return np.stack([(error / per_axis).mean(1), (deviation / per_axis).mean(1)], 1)


def _reading(losses: list[np.ndarray], constant: float) -> Reading:
    """Score of the factor, which is first, against its permutations and a constant answer."""
    n = len(losses[0])
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), RESAMPLES)
    resampled = weights @ losses[0]
    low, high = np.quantile(1 - resampled[:, 0] / resampled[:, 1], (0.025, 0.975))
    score, *chance = (float(1 - loss[:, 0].mean() / loss[:, 1].mean()) for loss in losses)
    mean, top = float(np.mean(chance)), float(np.quantile(chance, 0.95))
    return Reading(score, float(low), float(high), max(mean, constant), max(top, constant))
