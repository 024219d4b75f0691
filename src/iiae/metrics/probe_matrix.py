r"""Which known factor can be read from which block of latents, as a table of probes.

A model splits a pair into blocks ("x", "shared", "y"); each known factor belongs to one of them,
or to all readings of one: a factor of z_s to "z_s given x" and "z_s given y"; or to "none", as a
covariate that networks are given anyway.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num

from iiae.errors import DataError
from iiae.metrics.factors import FOLDS, BlockFactor, check_factor, columns
from iiae.metrics.probes import alive, standardised, widened
from iiae.metrics.readings import Reading, readings

SAMPLES = 5000


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
    Blocks may have more dimensions than samples, as a ridge shrinks what it cannot know.

    Raises:
        DataError: blocks or factors of unequal length, not finite, a constant factor, a class with
            one sample (refused, not dropped), more than 200 classes, or a factor of a block that
            is not there.
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
                pair[i] = readings(probe(linear, seed), targets, factors, orders, fold)
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
    whole = probe(every)

    def matrix(source: dict[str, str]) -> ProbeMatrix:
        return whole._replace(
            cells={
                factor: {block: row[name] for block, name in source.items()}
                for factor, row in whole.cells.items()
            },
            collapsed=tuple(block for block, name in source.items() if name in whole.collapsed),
        )

    return {view: matrix(source) for view, source in sources.items()}


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
    for name, factor in factors.items():
        check_factor(name, factor, n)
        if factor.block not in (*blocks, "none"):
            raise DataError(f"factor {name} belongs to {factor.block}; blocks: {', '.join(blocks)}")
    return n


def collapsed(blocks: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Names of the blocks in which no dimension varies."""
    return tuple(name for name, latent in blocks.items() if not alive(latent).any())
