r"""What can be read from each block of latents, and what should not be.

A model splits a pair into blocks ("x", "shared", "y"); each known factor belongs to one of them,
or to all readings of one: a factor of z_s to "z_s given x" and "z_s given y"; or to "none", as a
covariate that networks are given anyway. Everything here is one table, factor by block, and
numbers made from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Num, Shaped

from iiae.errors import DataError
from iiae.metrics.magnitude import rescaled
from iiae.metrics.probes import held_out_ridge, standardised, widened
from iiae.types import Measured

SAMPLES = 5000
FOLDS = 5
RESAMPLES = 200
MOST_CLASSES = 200

Kind = Literal["continuous", "categorical"]


class BlockFactor(NamedTuple):
    """A known factor, one value (or row of values) a pair, and the block it belongs to.

    Categories may be numbers or strings.
    """

    values: Shaped[np.ndarray, "samples *axes"]
    kind: Kind
    block: str


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


class Cell(NamedTuple):
    """One factor read from one block, linearly and otherwise.

    None where the block is collapsed, or the probe was not tried.
    """

    linear: Reading | None
    nonlinear: Reading | None

    @property
    def best(self) -> Reading | None:
        """The better of the two probes; None if the block is collapsed or no score is finite."""
        known = [reading for reading in self if reading and math.isfinite(reading.score)]
        return max(known, key=lambda reading: reading.score, default=None)

    @property
    def above_chance(self) -> float:
        """That of the better of the two probes; 0 of a collapsed block."""
        return max((r.above_chance for r in self if r is not None), default=0.0)


class ProbeMatrix(NamedTuple):
    """Readings by factor and block, collapsed blocks, and the number of samples used.

    `home` is the block each factor belongs to, `measure` what is scored: R2 or accuracy.
    """

    cells: dict[str, dict[str, Cell]]
    home: dict[str, str]
    measure: dict[str, str]
    collapsed: tuple[str, ...]
    samples: int

    def sides(self, factor: str) -> tuple[dict[str, Cell], dict[str, Cell]]:
        """Cells by block: of those that the factor belongs to, and of the others."""
        row, home = self.cells[factor], self.home[factor]
        own = {b: cell for b, cell in row.items() if b == home or b.startswith(f"{home} given ")}
        return own, {b: cell for b, cell in row.items() if b not in own}


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


Features = Callable[[Float[np.ndarray, "samples size"], int], Float[np.ndarray, "samples features"]]


def probe_matrix(
    blocks: Mapping[str, Num[np.ndarray, "_ _"]],
    factors: Mapping[str, BlockFactor],
    seed: int = 0,
    permutations: int = 20,
) -> ProbeMatrix:
    """Every factor read from every block by a linear and a non-linear probe, on held-out samples.

    Ridge regression on the standardised latents, and on features wide enough for curves of each
    dimension (`probes.widened`); categories as one column each, the largest prediction wins. Five
    folds; the permuted factors go through the same fits. Constant dimensions are left out and a
    block without any other is reported as collapsed. Beyond 5,000 samples a random 5,000 are used.

    Raises:
        DataError: blocks or factors of unequal length, not finite, a block with more dimensions
            than samples, a constant factor, a class with one sample (refused, not dropped), more
            than 200 classes, or a factor of a block that is not there.
    """
    checked(blocks, factors)
    return _matrix(blocks, factors, [_as_is, widened], seed, permutations)


def linear_matrix(
    blocks: Mapping[str, Num[np.ndarray, "_ _"]],
    factors: Mapping[str, BlockFactor],
    seed: int = 0,
    permutations: int = 20,
) -> ProbeMatrix:
    """`probe_matrix` by the linear probe alone.

    Blocks may have more dimensions than samples, as a ridge shrinks what it cannot know.

    Raises:
        DataError: As `check_factor`.
    """
    for name, factor in factors.items():
        check_factor(name, factor, len(next(iter(blocks.values()))))
    return _matrix(blocks, factors, [_as_is], seed, permutations)


def _as_is(latent: np.ndarray, seed: int) -> np.ndarray:
    return latent


def _matrix(
    blocks: Mapping[str, np.ndarray],
    factors: Mapping[str, BlockFactor],
    probes: Sequence[Features],
    seed: int,
    permutations: int,
) -> ProbeMatrix:
    """Readings by ridge regression on the features that each probe makes of a latent."""
    if permutations < 1:
        raise DataError(
            f"{permutations} permutations: chance needs at least 1, and 20 to be of use"
        )
    rng = np.random.default_rng(seed)
    picked = rng.permutation(len(next(iter(blocks.values()))))[:SAMPLES]
    targets = {name: columns(factor)[picked] for name, factor in factors.items()}
    orders = [np.arange(len(picked))]
    orders += [rng.permutation(len(picked)) for _ in range(permutations)]
    fold = np.arange(len(picked)) % FOLDS
    cells: dict[str, dict[str, Cell]] = {name: {} for name in factors}
    for block, latent in blocks.items():
        kept = latent[picked][:, alive(latent[picked])]
        pair: list[dict[str, Reading] | None] = [None, None]
        if kept.shape[1]:
            linear = standardised(kept)
            for i, probe in enumerate(probes):
                pair[i] = _readings(probe(linear, seed), targets, factors, orders, fold)
        for name in factors:
            cells[name][block] = Cell(*(of[name] if of else None for of in pair))
    home = {name: factor.block for name, factor in factors.items()}
    measure = {n: "R2" if f.kind == "continuous" else "accuracy" for n, f in factors.items()}
    return ProbeMatrix(cells, home, measure, collapsed(blocks), len(picked))


def by_view(
    views: Mapping[str, Mapping[str, np.ndarray]],
    probe: Callable[[Mapping[str, np.ndarray]], ProbeMatrix],
) -> dict[str, ProbeMatrix]:
    """A matrix for each view of the same blocks; blocks equal in two views are probed once.

    Args:
        views: Blocks by view. Those of the first keep their names, to which factors belong.
        probe: Reads the factors from blocks: `probe_matrix` or `linear_matrix`.
    """
    every: dict[str, np.ndarray] = {}
    sources: dict[str, dict[str, str]] = {}
    for view, blocks in views.items():
        sources[view] = {}
        for block, latent in blocks.items():
            same = next((n for n, other in every.items() if np.array_equal(latent, other)), None)
            name = same or (f"{block}, {view}" if sources.keys() - {view} else block)
            every[name] = latent
            sources[view][block] = name
    found = probe(every)

    def matrix(source: dict[str, str]) -> ProbeMatrix:
        return found._replace(
            cells={
                factor: {block: row[name] for block, name in source.items()}
                for factor, row in found.cells.items()
            },
            collapsed=tuple(block for block, name in source.items() if name in found.collapsed),
        )

    return {view: matrix(source) for view, source in sources.items()}


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


def checked(blocks: Mapping[str, np.ndarray], factors: Mapping[str, BlockFactor]) -> int:
    """The number of samples, if all blocks and factors can be used together."""
    if not blocks or not factors:
        raise DataError("at least one block and one factor are needed")
    n = len(next(iter(blocks.values())))
    for name, latent in blocks.items():
        if len(latent) != n:
            raise DataError(f"block {name} has {len(latent)} samples and the first block {n}")
        if not np.isfinite(latent).all():
            raise DataError(f"block {name} has values that are not finite")
        if latent.shape[1] > min(n, SAMPLES):
            raise DataError(
                f"block {name} has {latent.shape[1]} dimensions and {min(n, SAMPLES)} samples are "
                "used: give more samples or fewer dimensions"
            )
    for name, factor in factors.items():
        check_factor(name, factor, n)
        if factor.block not in (*blocks, "none"):
            raise DataError(f"factor {name} belongs to {factor.block}; blocks: {', '.join(blocks)}")
    return n


def alive(latent: np.ndarray) -> np.ndarray:
    """Which dimensions vary beyond rounding."""
    latent = rescaled(latent)
    return latent.std(0) > 1e-6 * np.abs(latent).max(0, initial=1e-30)


def collapsed(blocks: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Names of the blocks in which no dimension varies."""
    return tuple(name for name, latent in blocks.items() if not alive(latent).any())


def classes(factor: BlockFactor) -> np.ndarray:
    """Index of each sample's class."""
    return np.unique(np.asarray(factor.values).astype(str), return_inverse=True)[1].ravel()


def check_factor(name: str, factor: BlockFactor, n: int) -> None:
    """Refuses what cannot be read from blocks of `n` samples.

    Raises:
        DataError: Too few samples, a factor of another length, not finite, constant or not
            numeric, a class with one sample, or more than 200 classes.
    """
    values = np.asarray(factor.values)
    if n < FOLDS:
        raise DataError(f"{n} samples; probes on {FOLDS} folds need at least {FOLDS}")
    if len(values) != n:
        raise DataError(f"factor {name} has {len(values)} values and the blocks {n} samples")
    if factor.kind == "categorical":
        if values.ndim != 1:
            raise DataError(f"factor {name}: a category is one value a sample; got {values.shape}")
        found, counts = np.unique(values.astype(str), return_counts=True)
        if len(found) == 1:
            raise DataError(f"factor {name} is constant: every sample is {found[0]}")
        if counts.min() == 1:
            alone = found[counts == 1][0]
            raise DataError(
                f"factor {name}: class {str(alone)!r} has one sample; merge it or leave it out"
            )
        if len(found) > MOST_CLASSES:
            raise DataError(f"factor {name} has {len(found)} classes; at most {MOST_CLASSES}")
    elif values.dtype.kind not in "biuf":
        raise DataError(f"factor {name} is not numeric; make its kind 'categorical'")
    elif not np.isfinite(values).all():
        raise DataError(f"factor {name} has values that are not finite")
    elif not (values != values[:1]).reshape(n, -1).any(0).all():
        raise DataError(f"factor {name} is constant")


def columns(factor: BlockFactor) -> np.ndarray:
    """Standardised axes of a continuous factor, or one 0-1 column a class."""
    if factor.kind == "categorical":
        index = classes(factor)
        return np.eye(index.max() + 1)[index]
    return standardised(np.asarray(factor.values, dtype=np.float64).reshape(len(factor.values), -1))


def _readings(
    features: np.ndarray,
    targets: Mapping[str, np.ndarray],
    factors: Mapping[str, BlockFactor],
    orders: list[np.ndarray],
    fold: np.ndarray,
) -> dict[str, Reading]:
    """Every factor and its permutations through one fit a fold."""
    every = np.hstack([target[order] for target in targets.values() for order in orders])
    predicted = held_out_ridge(features, every, fold)
    found, start = {}, 0
    for name, target in targets.items():
        width, losses = target.shape[1], []
        for order in orders:
            part = predicted[:, start : start + width]
            losses.append(_losses(part, target[order], factors[name].kind))
            start += width
        constant = float(target.mean(0).max()) if factors[name].kind == "categorical" else 0.0
        found[name] = _reading(losses, constant)
    return found


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
