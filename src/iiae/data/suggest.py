"""Settings to begin with, for pairs that come without a settings file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iiae.data.arrays import read_arrays
from iiae.errors import DataError
from iiae.files.remote import is_url
from iiae.files.tables import is_table
from iiae.settings import DataSettings

FOLDER_SIZE = 64


def suggest_settings(
    x: str | Path | None = None, y: str | Path | None = None, pairs: str | Path | None = None
) -> dict[str, Any]:
    """Settings that suit the data: feature networks for vectors, image networks for images.

    Args:
        x: Array file, table of numbers, or folder or URL of images; an `.npz` may hold both.
        y: The same of the y side.
        pairs: Instead of both, a folder of images whose left half is x and right half y, or a
            .csv, .tsv or .parquet table with columns x and y.

    Raises:
        DataError: A file cannot be read, or x and y are not of one kind.
    """
    if pairs is not None:
        kind = "table" if is_table(Path(pairs)) else "side-by-side"
        return _images({"name": kind, "root": str(pairs), "size": FOLDER_SIZE}, FOLDER_SIZE)
    sides = {name: str(side) for name, side in (("x", x), ("y", y)) if side is not None}
    folders = [is_url(side) or Path(side).is_dir() for side in sides.values()]
    if any(folders):
        if folders != [True, True]:
            raise DataError("give two folders of images (--x, --y), or two array files")
        return _images({"name": "two-folders", "size": FOLDER_SIZE, **sides}, FOLDER_SIZE)
    data = {"name": "arrays", **sides}
    return suggest_settings_for(read_arrays(DataSettings.model_validate(data)).shapes, data)


def suggest_settings_for(
    shapes: tuple[Sequence[int], Sequence[int]], data: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Settings for samples of these shapes: vectors, or square images of one size.

    Args:
        shapes: Of one x and one y.
        data: Section `data`; arrays in memory by default.
    """
    section = dict(data or {"name": "arrays"})
    return _features(section) if len(shapes[0]) == 1 else _images(section, shapes[0][-1])


def _features(data: dict[str, Any]) -> dict[str, Any]:
    likelihood = {side: {"kind": "normal", "weight": 100.0} for side in "xy"}
    return {
        "data": data,
        "model": {"family": "features", "exclusive": 64, "shared": 64},
        "objective": {"beta": 0.5, "tau": 2000.0, **likelihood},
        "training": {"epochs": 50, "batch": 100, "learning_rate": 2e-4, "adam_beta1": 0.5},
    }


def _images(data: dict[str, Any], size: int) -> dict[str, Any]:
    training: dict[str, Any] = {"precision": "auto", "epochs": 50}
    if size <= 64:
        likelihood = {side: {"weight": 8000.0} for side in "xy"}
        model: dict[str, Any] = {"family": "small", "shared": 8, "width": 16}
        return {
            "data": data,
            "model": model,
            "objective": likelihood,
            "training": {**training, "batch": 32},
        }
    # as published
    training |= {"batch": 8, "learning_rate": 2e-4, "adam_beta1": 0.5, "decay_from": 1.0}
    likelihood = {side: {"weight": 1000.0} for side in "xy"}
    return {
        "data": data,
        "model": {"family": "image-map", "shared": 128},
        "objective": {"tau": 25_000.0, **likelihood},
        "training": training,
    }
