"""Which latent each known factor can be read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from iiae.data.base import Factor
from iiae.metrics.readability import (
    FOLDS,
    chance_accuracy,
    readable_class,
    readable_linearly,
)
from iiae.model.iiae import Active
from iiae.model.latents import Embeddings, latent_views


class Readability(NamedTuple):
    """How well one factor is read linearly from each latent, on held-out pairs.

    R2 for continuous factors, accuracy for categories; `chance` is what no information gives.
    `scores` is by latent: see `probe_factors`; None if the factor is constant or there are fewer
    pairs than folds.
    """

    factor: str
    measure: str
    belongs_to: str
    chance: float
    scores: dict[str, float | None]


class Leak(NamedTuple):
    """The largest reading of a factor from a latent it does not belong to: 0 chance, 1 all."""

    value: float
    factor: str
    latent: str


class LargestLeaks(NamedTuple):
    """The largest leak where latents are read by means, by active means, by samples."""

    mean: Leak
    active: Leak
    sample: Leak


def largest_leaks(rows: Sequence[Readability]) -> LargestLeaks | None:
    r"""The largest readability above chance of any factor from a latent it does not belong to.

    Above chance: $\operatorname{clip}((score - chance) / (1 - chance), 0, 1)$. None where no
    factor is known. The worst single linear reading; `metrics.blocks.leakage_score` is a mean over
    factors, of two probes.
    """
    found: dict[str, Leak] = {}
    for row in rows:
        for latent, score in row.scores.items():
            if latent.startswith(row.belongs_to) or score is None or row.chance >= 1:
                continue
            value = min(max((score - row.chance) / (1 - row.chance), 0.0), 1.0)
            for view, ending in _VIEWS.items():
                # runs measured before exclusive latents had views say "z_x mean", for all three
                shown = latent.endswith(ending) or ", " not in latent
                if shown and (view not in found or value > found[view].value):
                    found[view] = Leak(value, row.factor, latent)
    return LargestLeaks(**found) if found else None


_VIEWS = {"mean": ", mean", "active": ", active mean", "sample": ", sample"}


def probe_factors(
    found: Embeddings, factors: Mapping[str, Factor], active: Active, seed: int
) -> list[Readability]:
    """Linear probes of every factor from every latent.

    Of z_x, z_y, z_s given x and z_s given y: the means, the means of the active dimensions, and
    one sample of the posterior. Means can show what samples do not: a dimension whose signal lies
    far below its noise still orders its means.
    """
    latents = _latents(found, active, seed)
    return [_probe(name, factor, latents) for name, factor in factors.items()]


def _latents(found: Embeddings, active: Active, seed: int) -> dict[str, np.ndarray]:
    every = latent_views(found, active, seed)
    return {
        f"{name}, {view}": latents[i].numpy()
        for i, name in enumerate(("z_s given x", "z_s given y", "z_x", "z_y"))
        for view, latents in every.items()
    }


def _probe(name: str, factor: Factor, latents: Mapping[str, np.ndarray]) -> Readability:
    block, values = factor.latent, factor.values.reshape(len(factor.values), -1)
    varying = (values != values[:1]).any(0)
    measured = len(values) >= FOLDS and varying.any()
    if factor.kind == "categorical":
        label = factor.values
        scores = {k: readable_class(z, label) if measured else None for k, z in latents.items()}
        return Readability(name, "accuracy", block, chance_accuracy(label), scores)
    axes = values[:, varying].astype(np.float64)
    scores = {k: readable_linearly(z, axes) if measured else None for k, z in latents.items()}
    return Readability(name, "R2", block, 0.0, scores)
