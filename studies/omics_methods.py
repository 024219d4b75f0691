"""What is fitted to paired omics: iiae as suggested, with counts, with the batch; and rivals."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import iiae
from defaults import Parts, Sides, Units, distances, fit_cca, fit_ridge
from iiae.data.arrays import ArrayPairs
from iiae.data.base import Splits
from iiae.data.suggest import suggest_settings_of
from iiae.types import Context, Pair
from omics_probes import Latent

LEVEL = 0.9
NORMAL = 1.645  # deviations on either side that hold it
FIFTY = 50


class Given(NamedTuple):
    """Training, validation and test pairs, counts as log1p, and samples of x without partner.

    `raw` has the counts themselves, where it is of counts.
    """

    parts: Parts
    raw: Parts | None
    batch: Parts | None
    lone: np.ndarray | None
    seed: int


class Made(NamedTuple):
    """What a method gives of test pairs; predictions are log1p of counts, None is none."""

    to_y: np.ndarray | None = None
    to_x: np.ndarray | None = None
    predicted: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    latents: dict[str, Latent] = {}


def suggested(given: Given) -> Made:
    """iiae as suggested, on log1p of counts."""
    return _ours(given, given.parts, {}, {})


def with_counts(given: Given) -> Made:
    """Raw counts, with negative binomials; else as suggested."""
    assert given.raw is not None
    kind = {"objective.x.kind": "negative-binomial", "objective.y.kind": "negative-binomial"}
    return _ours(given, given.raw, kind, {})


def with_batch(given: Given) -> Made:
    """As suggested, with the batch as a covariate."""
    assert given.batch is not None
    names = ("train", "validation", "test")
    columns = {n: p.x[:, 0] for n, p in zip(names, given.batch, strict=True)}
    return _ours(given, given.parts, {}, columns)


def _ours(given: Given, parts: Parts, kinds: dict[str, str], batch: dict[str, np.ndarray]) -> Made:
    run = _fit(parts, given.seed, kinds, batch)
    own = {name: {"covariates": {"batch": values}} for name, values in batch.items()}
    test = own.get("test", {})
    lone = () if given.lone is None else (given.lone,)
    latents = _latents(run, parts, own, lone)
    shared = (latents[f"z_s of {side}"].test[: len(parts.test.x)] for side in ("x", "y"))
    made = run.predict(parts.test.x, to="y", level=LEVEL, seed=given.seed, **test)
    predicted = run.translate(parts.test.x, to="y", **test)
    values = (predicted, made.low, made.high)
    if kinds:
        values = tuple(np.log1p(value) for value in values)
    return Made(*distances(run, *shared), *values, latents)


def _fit(parts: Parts, seed: int, kinds: dict[str, str], batch: dict[str, np.ndarray]) -> iiae.Run:
    sets = (
        ArrayPairs(part.x, part.y, columns={"batch": batch[name]} if batch else {})
        for name, part in zip(("train", "validation", "test"), parts, strict=True)
    )
    data = Splits(*sets)
    settings = suggest_settings_of(data.train)  # pyright: ignore[reportArgumentType]
    settings["training"]["seed"] = seed
    if kinds:
        for side in "xy":
            settings["objective"][side] = {"kind": kinds[f"objective.{side}.kind"]}
    if batch:
        settings["data"] = {**settings["data"], "covariates": ["batch"]}
    return iiae.fit(iiae.make_settings(settings), data=data, progress=False)


def _latents(
    run: iiae.Run, parts: Parts, own: dict[str, dict[str, Any]], lone: tuple[np.ndarray, ...]
) -> dict[str, Latent]:
    """Means of all latents of training and test pairs."""
    found: dict[str, list[np.ndarray]] = {}
    for name, part in (("train", parts.train), ("test", parts.test)):
        known = own.get(name, {})
        x, y = run.embed(x=part.x, **known), run.embed(y=part.y, **known)
        more = [run.embed(x=rows) for rows in lone if name == "test"]
        blocks = {
            "z_s of both": _of_both(run, part, known),
            "z_s of x": np.concatenate([x.shared, *(z.shared for z in more)]),
            "z_s of y": y.shared,
            "z_x": np.concatenate([x.exclusive, *(z.exclusive for z in more)]),
            "z_y": y.exclusive,
        }
        for block, values in blocks.items():
            found.setdefault(block, []).append(values)
    return {block: Latent(*values) for block, values in found.items()}


@torch.inference_mode()
def _of_both(run: iiae.Run, part: Sides, known: dict[str, Any]) -> np.ndarray:
    """Mean of q(z_s given x and y)."""
    x, y = (torch.from_numpy(side).float() for side in part)
    covariates = known.get("covariates")
    encoded = run.model.covariates.encode(covariates, len(x)) if covariates else None
    context = Context(None, encoded)
    return run.model.encode(Pair(x, y, context, context)).shared.mean.numpy()


def cca(given: Given) -> Made:
    """Ridge CCA on principal components; strength and components chosen on validation pairs."""
    parts, best = given.parts, fit_cca(given.parts)
    latents = {
        f"canonical variates of {name}": Latent(
            best(side, parts.train[side]),
            np.concatenate([best(side, parts.test[side]), *_lone(given, side, best)]),
        )
        for side, name in enumerate("xy")
    }
    x, y = (latents[f"canonical variates of {name}"].test for name in "xy")
    distance = -(x[: len(parts.test.x)] @ y.T)
    return Made(distance, distance.T, latents=latents)


def _lone(given: Given, side: int, map_: Callable[..., np.ndarray]) -> list[np.ndarray]:
    return [map_(side, given.lone)] if side == 0 and given.lone is not None else []


def ridge(given: Given) -> Made:
    """Ridge regression of y; an interval is as wide as its errors on validation pairs are."""
    parts, predict = given.parts, fit_ridge(given.parts)
    errors = predict(parts.validation.x) - parts.validation.y
    predicted, half = predict(parts.test.x), NORMAL * errors.std(0)
    return Made(predicted=predicted, low=predicted - half, high=predicted + half)


def components(given: Given) -> Made:
    """The 50 leading principal components of each assay, and both side by side."""
    parts = given.parts
    units = Units.of(parts.train.x), Units.of(parts.train.y)

    def of(side: int, rows: np.ndarray) -> np.ndarray:
        return units[side](rows)[:, :FIFTY]

    both = [np.hstack([of(0, part.x), of(1, part.y)]) for part in (parts.train, parts.test)]
    found = {
        f"components of {name}": Latent(
            of(side, parts.train[side]),
            np.concatenate([of(side, parts.test[side]), *_lone(given, side, of)]),
        )
        for side, name in enumerate("xy")
    }
    return Made(latents={**found, "components of both": Latent(*both)})


def total_vi(python: str) -> Callable[[Given], Made]:
    """totalVI of scvi-tools, in an environment of its own: the program `totalvi.py`."""

    def fitted(given: Given) -> Made:
        assert given.raw is not None
        with tempfile.TemporaryDirectory() as folder:
            cells, made = Path(folder, "cells.npz"), Path(folder, "made.npz")
            arrays = {f"{side}{i}": p[i] for i in (0, 1) for side, p in given.raw._asdict().items()}
            np.savez(cells, seed=given.seed, **arrays)
            program = Path(__file__).parent / "totalvi.py"
            subprocess.run([python, program, cells, made], check=True)
            with np.load(made) as held:
                latent = Latent(held["train"], held["test"])
                return Made(predicted=held["predicted"], latents={"totalVI of x": latent})

    return fitted


METHODS: dict[str, Callable[[Given], Made]] = {
    "components": components,
    "CCA": cca,
    "ridge": ridge,
    "iiae": suggested,
    "iiae, batch": with_batch,
    "iiae, counts": with_counts,
}
