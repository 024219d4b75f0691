"""What several test files build on."""

from __future__ import annotations

import torch

from iiae.data import load
from iiae.distributions import DiagonalNormal, Laplace, Likelihoods, Normal, Posteriors
from iiae.model import build_model
from iiae.settings import Settings, make_settings
from iiae.types import Pair

SMALL = {
    "data": {"name": "synthetic", "limit": 200, "validation": 40, "test": 60},
    "model": {"family": "features", "exclusive": 4, "shared": 4, "width": 16},
    "objective": {
        "tau": 20.0,
        "x": {"kind": "normal", "weight": 50.0},
        "y": {"kind": "normal", "weight": 50.0},
    },
    "training": {"epochs": 2, "batch": 50},
}


def small_settings(*overrides: str) -> Settings:
    """A feature model that trains in a second."""
    return make_settings(SMALL, overrides)


def small_model(settings: Settings | None = None):
    """An untrained model of `small_settings`, and its test pairs."""
    settings = settings or small_settings()
    pairs = load(settings.data).test
    return build_model(settings.model, settings.objective, pairs.shapes), pairs


def random_terms_inputs(batch: int = 5, laplace: float | None = None):
    """A pair, posteriors and likelihoods with random parameters, in the default precision."""
    normal = lambda size: DiagonalNormal(torch.randn(batch, size), torch.randn(batch, size))  # noqa: E731
    pair = Pair(torch.randn(batch, 3, 4), torch.randn(batch, 6))
    q = Posteriors(normal(4), normal(4), normal(4), normal(2), normal(3))
    if laplace is None:
        p = Likelihoods(Normal(torch.randn(batch, 3, 4), 0.7), Normal(torch.randn(batch, 6), 1.3))
    else:
        p = Likelihoods(
            Laplace(torch.randn(batch, 3, 4), 12 / laplace),
            Laplace(torch.randn(batch, 6), 6 / laplace),
        )
    return pair, q, p
