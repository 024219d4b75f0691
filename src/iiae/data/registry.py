"""The table of data sets by name, and checks of their settings."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from pydantic import ValidationError

from iiae.data.arrays import load_arrays
from iiae.data.base import DataSet, PairSet, Splits
from iiae.data.cars import load_cars
from iiae.data.classes.pairs import ClassPairs
from iiae.data.classes.zero_shot import load_classes
from iiae.data.degrade import Degrade, check_bytes
from iiae.data.digits import fetch_mnist, find_mnist, load_digits, load_mnist, mnist_folders
from iiae.data.image_folders import load_side_by_side, load_two_folders
from iiae.data.image_tables import load_hugging_face, load_table
from iiae.data.missing import PartialPairs, drop_partners
from iiae.data.omics import load_omics
from iiae.data.parquet_shards import ShardPairs, load_shards
from iiae.data.synthetic import load_planted_counts, load_synthetic
from iiae.errors import DataError, SettingsError
from iiae.files.cells import split_place
from iiae.files.images import bytes_image, image_bytes
from iiae.settings import DataSettings, describe_settings, explain, imported
from iiae.types import Draw

HELD_OUT = frozenset({"validation", "test", "limit"})
OF_IMAGES = frozenset({"size", "flip", "crop", "turn", "pad", "degrade", "on_error", "bands"})
IMAGES = HELD_OUT | OF_IMAGES
ROOT, SIDES = frozenset({"root"}), frozenset({"x", "y"})

DATASETS: dict[str, DataSet] = {
    "mnist-cdcb": DataSet(load_mnist, ROOT | {"size", "validation", "limit", "degrade"}, ROOT),
    "digits-cdcb": DataSet(load_digits, HELD_OUT | {"size", "degrade"}),
    "arrays": DataSet(
        load_arrays, SIDES | HELD_OUT | {"degrade", "columns", "covariates"}, SIDES | {"columns"}
    ),
    "omics": DataSet(load_omics, ROOT | SIDES | HELD_OUT | {"factors", "covariates"}, ROOT),
    "side-by-side": DataSet(load_side_by_side, ROOT | IMAGES, ROOT),
    "two-folders": DataSet(load_two_folders, SIDES | IMAGES, SIDES),
    "table": DataSet(load_table, ROOT | SIDES | IMAGES, ROOT),
    "hugging-face": DataSet(load_hugging_face, ROOT | SIDES | IMAGES, ROOT),
    "parquet-shards": DataSet(
        load_shards, ROOT | SIDES | HELD_OUT | OF_IMAGES - {"on_error", "bands"} | {"buffer"}, ROOT
    ),
    "classes": DataSet(
        load_classes,
        ROOT | SIDES | {"unseen", "pairing", "size", "validation", "on_error"},
        ROOT | {"unseen"},
    ),
    "cars": DataSet(load_cars, ROOT | {"size", "validation", "degrade"}, ROOT),
    "synthetic": DataSet(load_synthetic, HELD_OUT),
    "planted-counts": DataSet(load_planted_counts, HELD_OUT),
}


def load(settings: DataSettings) -> Splits:
    """The splits of the data set that settings name.

    Raises:
        DataError: No data set has that name, or its files are missing or damaged.
        SettingsError: A setting is given that the data set does not read.
    """
    data_set = find(settings.name)
    settings = settings_of(data_set, settings)
    parts = data_set.load(settings)
    vectors = all(len(shape) == 1 for shape in parts.train.shapes)
    unread = OF_IMAGES & settings.given if vectors else frozenset[str]()
    if unread and data_set.reads is not None:
        raise SettingsError(
            f"data.{min(unread)}: has no effect on vectors, only on images; leave it out"
        )
    if settings.missing:
        parts = parts._replace(train=_with_gaps(parts.train, settings))
    if settings.degrade:
        check_bytes(parts.train, f"data.degrade = {settings.degrade} must be set to 0 here")
        parts.train.augment = Degrade(settings.degrade)
    return parts


def _with_gaps(train: PairSet, settings: DataSettings) -> PartialPairs:
    """The training pairs, of which a share lose x or y."""
    if isinstance(train, ClassPairs | PartialPairs | ShardPairs):
        raise DataError(
            f"data.missing = {settings.missing}: no partners can be taken from {settings.name}, "
            "whose pairs are of classes, are streamed, or lack partners already; leave it at 0"
        )
    return drop_partners(train, settings.missing, settings.seed)


def find(name: str) -> DataSet:
    """The data set of a name, or `module:object` of your own.

    Raises:
        DataError: There is none, with the closest name.
        SettingsError: `module:object` cannot be imported, or is no `DataSet`.
    """
    if name in DATASETS:
        return DATASETS[name]
    if ":" in name:
        return imported(name, {}, DataSet)
    close = difflib.get_close_matches(name, DATASETS, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(DATASETS)}"
    raise DataError(f"data.name = {name!r} is not a data set; {hint}")


def settings_of(data_set: DataSet, settings: DataSettings) -> DataSettings:
    """Settings as a data set reads them, in a model of its own if it brings one.

    Raises:
        SettingsError: A setting is given that the data set does not read, or one of its own
            options is wrong.
    """
    for name in sorted(settings.given - data_set.options):
        value = getattr(settings, name)
        if name not in DataSettings.model_fields:
            close = difflib.get_close_matches(name, data_set.options, 1)
            hint = f"did you mean data.{close[0]}?" if close else "it has no such option"
            raise SettingsError(f"data.{name}: is not a setting of {settings.name}; {hint}")
        readers = [other for other, one in DATASETS.items() if name in one.options]
        raise SettingsError(
            f"data.{name} = {value!r}: has no effect on {settings.name}; leave it out "
            f"({', '.join(readers)} read{'s' * (len(readers) == 1)} it)"
        )
    if isinstance(settings, data_set.settings):
        return settings
    try:
        return data_set.settings.model_validate(settings.model_dump(exclude_unset=True))
    except ValidationError as error:
        raise SettingsError(explain(error, settings.name, "data.")) from error


def describe_data_set(name: str) -> list[tuple[str, str, str]]:
    """Name, default and meaning of every setting that a data set reads; errors as for `find`."""
    data_set = find(name)
    rows = describe_settings(data_set.settings, "data.")
    return [row for row in rows if row[0].removeprefix("data.") in data_set.options - {"name"}]


def with_absolute_paths(settings: DataSettings) -> DataSettings:
    """The same settings, with local paths that mean the same from any working folder.

    Paths that are not there, such as folders of `$IIAE_DATA`, names on a hub and URLs, stay.
    """
    try:
        paths = find(settings.name).paths
    except DataError:  # pairs in memory, under a name of the user's
        return settings
    given = {name: getattr(settings, name) for name in paths}
    local = {n: os.path.abspath(v) for n, v in given.items() if v and _is_local(v)}
    return settings.model_copy(update=local)


def _is_local(place: str) -> bool:
    """Whether a file or folder is there; cells may have a place in them, `cells.h5ad:counts`."""
    return os.path.exists(split_place(place)[0])


def check_shapes(shapes: Sequence[Sequence[int]], taken: Sequence[Sequence[int]]) -> None:
    """Raises DataError if samples of `shapes`, of x and of y, differ from the model's, `taken`."""
    for side, given, wanted in zip("xy", shapes, taken, strict=True):
        if tuple(given) == tuple(wanted):
            continue
        if len(given) == len(wanted) == 1:
            raise DataError(f"{side} has {given[0]} values, the model takes {wanted[0]}")
        form, right = ("x".join(map(str, shape)) for shape in (given, wanted))
        fix = "; data.size is the side of image files" if len(given) == len(wanted) == 3 else ""
        raise DataError(f"{side} has shape {form}, the model takes {right}{fix}")


def fetch(name: str, root: Path | None) -> str:
    """Downloads the files of a data set, by default into the cache, and returns their folder.

    Raises:
        DataError: There is no such data set, or its files could not be fetched.
    """
    data_set = find(name)
    if name != "mnist-cdcb":
        own = " and ".join(f"data.{setting}" for setting in sorted(data_set.paths))
        return f"{name} takes files of yours: {own}" if own else f"{name} needs no files of its own"
    if root is None:
        with suppress(DataError):
            return f"{name}: four files in {find_mnist(None)}"
    folder = fetch_mnist(root or mnist_folders(None)[-1])
    return f"{name}: four files in {folder}, checksums right"


def export_pairs(pairs: PairSet, folder: Path, count: int, by: str | None = None) -> int:
    """Writes the first pairs as `x/0000.png` and `y/0000.png`, and returns their number.

    Args:
        pairs: Of images.
        folder: To write into.
        count: Number of pairs, at most.
        by: Known factor whose value names a folder between: `x/7/0000.png`.

    Raises:
        DataError: The pairs are not images.
    """
    if any(len(shape) != 3 for shape in pairs.shapes):
        raise DataError("only images can be written as PNG; this data set holds features")
    pair = pairs.pairs(Draw(torch.arange(min(count, len(pairs)))))
    classes = [] if by is None else pairs.factors()[by].values
    for side, values in zip("xy", pair[:2], strict=True):
        for i, value in enumerate(values):
            place = folder / side if by is None else folder / side / str(classes[i])
            place.mkdir(parents=True, exist_ok=True)
            bytes_image(image_bytes(value)).save(place / f"{i:04d}.png")
    return len(pair.x)
