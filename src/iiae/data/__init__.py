"""Data sets of pairs, one kind a file, and the table of their names."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import torch

from iiae.data.arrays import load_arrays
from iiae.data.base import Factor, PairSet, Splits
from iiae.data.cars import load_cars
from iiae.data.class_pairs import ClassPairs, load_classes
from iiae.data.digits import fetch_mnist, load_digits, load_mnist, mnist_folders
from iiae.data.folders import load_side_by_side, load_two_folders
from iiae.data.images import to_image
from iiae.data.partners import PartPairs, take_partners
from iiae.data.path_tables import load_hugging_face, load_table
from iiae.data.shards import ShardPairs, load_shards
from iiae.data.suggest import suggest_settings
from iiae.data.synthetic import load_synthetic
from iiae.errors import DataError
from iiae.settings import DataSettings
from iiae.types import Draw

DATASETS: dict[str, Callable[[DataSettings], Splits]] = {
    "mnist-cdcb": load_mnist,
    "digits-cdcb": load_digits,
    "arrays": load_arrays,
    "side-by-side": load_side_by_side,
    "two-folders": load_two_folders,
    "table": load_table,
    "hugging-face": load_hugging_face,
    "parquet-shards": load_shards,
    "classes": load_classes,
    "cars": load_cars,
    "synthetic": load_synthetic,
}


def load(settings: DataSettings) -> Splits:
    """The splits of the data set that settings name.

    Raises:
        DataError: No data set has that name, or its files are missing or damaged.
    """
    check_name(settings.name)
    parts = DATASETS[settings.name](settings)
    if settings.missing == 0:
        return parts
    if isinstance(parts.train, ClassPairs | PartPairs | ShardPairs):
        raise DataError(
            f"data.missing = {settings.missing}: no partners can be taken from {settings.name}, "
            "whose pairs are of classes, are streamed, or lack partners already; leave it at 0"
        )
    return parts._replace(train=take_partners(parts.train, settings.missing, settings.seed))


def check_name(name: str) -> None:
    """Raises DataError, with the closest name, where no data set is called `name`."""
    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(DATASETS)}"
        raise DataError(f"data.name = {name!r} is not a data set; {hint}")


def fetch(name: str, root: Path | None) -> str:
    """Downloads the files of a data set, by default into the cache, and says where they are.

    Raises:
        DataError: There is no such data set, or its files could not be fetched.
    """
    check_name(name)
    if name != "mnist-cdcb":
        return f"{name} needs no files of its own"
    folder = fetch_mnist(root or mnist_folders(None)[-1])
    return f"{name}: four files in {folder}, checksums right"


def export_pairs(pairs: PairSet, folder: Path, count: int) -> None:
    """Writes the first pairs as `x/0000.png` and `y/0000.png`.

    Raises:
        DataError: The pairs are not images.
    """
    if any(len(shape) != 3 for shape in pairs.shapes):
        raise DataError("only images can be written as PNG; this data set holds features")
    pair = pairs.pairs(Draw(torch.arange(min(count, len(pairs)))))
    for side, values in pair._asdict().items():
        (folder / side).mkdir(parents=True, exist_ok=True)
        for i, value in enumerate(values):
            to_image(value).save(folder / side / f"{i:04d}.png")


__all__ = [
    "DATASETS",
    "Factor",
    "PairSet",
    "Splits",
    "export_pairs",
    "fetch",
    "load",
    "suggest_settings",
]
