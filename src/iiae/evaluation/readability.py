"""Which latent each known factor can be read from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from iiae.data.base import Factor
from iiae.errors import DataError
from iiae.metrics.leakage import BlockFactor, by_view, check_factor, linear_matrix
from iiae.model.iiae import Active
from iiae.model.latents import Embeddings, latent_views
from iiae.results import Readability

LATENTS: tuple[str, ...] = ("z_s given x", "z_s given y", "z_x", "z_y")


def probe_factors(
    embeddings: Embeddings, factors: Mapping[str, Factor], active: Active, seed: int
) -> Readability:
    """Every factor read linearly from every latent, on held-out pairs.

    By the means, the means of the active dimensions, and one sample of the posterior. Means can
    show what samples do not: a dimension whose signal lies far below its noise still orders its
    means.
    """
    known: dict[str, BlockFactor] = {}
    refused: dict[str, str] = {}
    for name, factor in factors.items():
        one = BlockFactor(_varying(factor), factor.kind, factor.latent)
        try:
            check_factor(name, one, len(embeddings.shared_given_x.mean))
            known[name] = one
        except DataError as error:
            refused[name] = str(error)
    views = {
        f"{view}s": dict(zip(LATENTS, (z.numpy() for z in every), strict=True))
        for view, every in latent_views(embeddings, active, seed).items()
    }
    if not known:
        return Readability({}, refused)
    return Readability(by_view(views, lambda every: linear_matrix(every, known, seed)), refused)


def _varying(factor: Factor) -> np.ndarray:
    """Its values, without axes that are the same in all pairs if others are not."""
    values = factor.values
    if factor.kind == "categorical" or values.ndim == 1:
        return values
    varying = (values != values[:1]).any(0)
    return values[:, varying] if varying.any() else values
