"""What several test files build on."""

from __future__ import annotations

import importlib
import os
import sys
import urllib.request
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iiae.data import load
from iiae.distributions import DiagonalNormal, Laplace, Likelihoods, Normal, Posteriors
from iiae.model.build import build_model
from iiae.run_folder import MODEL, StoredRun, save_settings, save_weights
from iiae.settings import Settings, make_settings
from iiae.types import Pair, PerDomain

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

PROGRAMS = Path(__file__).parent / "programs"


def program(name: str, *arguments: object) -> list[str]:
    """The command that runs a file of tests/programs in a process of its own."""
    return [sys.executable, str(PROGRAMS / f"{name}.py"), *map(str, arguments)]


def small_settings(*overrides: str) -> Settings:
    """A feature model that trains in a second."""
    return make_settings(SMALL, overrides)


def small_model(settings: Settings | None = None):
    """An untrained model of `small_settings`, and its test pairs."""
    settings = settings or small_settings()
    pairs = load(settings.data).test
    return build_model(settings.model, settings.objective, pairs.shapes), pairs


def save_run(folder: Path, settings: Settings | None = None) -> StoredRun:
    """An untrained model in a run folder; small images by default."""
    settings = settings or make_settings(
        {"data": {"name": "digits-cdcb", "size": 16}, "model": {"width": 4, "shared": 2}}
    )
    model, pairs = small_model(settings)
    save_settings(folder, settings)
    save_weights(folder / MODEL, model.state_dict(), pairs.shapes)
    return StoredRun(folder, settings, model.eval(), PerDomain(*pairs.shapes))


def write_images(folder: Path, names: Sequence[str], seed: int = 0) -> None:
    """Pictures of noise."""
    rng = np.random.default_rng(seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(256, size=(20, 20, 3), dtype=np.uint8)).save(folder / name)


def needs(module: str):
    """A module of the extra `dev`; without it the test is skipped, in CI it fails."""
    if os.environ.get("CI"):
        return importlib.import_module(module)
    return pytest.importorskip(module, reason=f"{module} is not installed")


@contextmanager
def object_store(monkeypatch):
    """URL of an empty bucket of an S3 server on this machine."""
    server = needs("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        for method, path in (("POST", "moto-api/reset"), ("PUT", "bucket")):
            request = urllib.request.Request(f"{address}/{path}", method=method)
            urllib.request.urlopen(request).close()
        for name, value in {
            "AWS_ENDPOINT": address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        yield "s3://bucket"
    finally:
        server.stop()


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
