"""Labelled samples of two domains, unpaired: class folders, feature files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.image_folders import find_folder
from iiae.data.ranges import to_float32
from iiae.errors import DataError, first_five
from iiae.files.arrays import array_names, read_array, read_texts
from iiae.files.decoding import OnError, Skipped, read_batches
from iiae.files.folders import list_images, merged, report, same_name, subfolders
from iiae.files.image_source import Images


class Labelled(NamedTuple):
    """Samples of one domain.

    `values` are features `(items, size)` or images as bytes `(items, 3, side, side)`; `labels` name
    the class of each, `paths` where each comes from.
    """

    values: Tensor
    labels: np.ndarray
    paths: np.ndarray

    def at(self, index: np.ndarray | Tensor) -> Labelled:
        """Some of them, in the order of `index`."""
        index = np.asarray(index)
        return Labelled(self.values[torch.from_numpy(index)], self.labels[index], self.paths[index])

    def of(self, classes: Sequence[str]) -> Labelled:
        """Those of some classes."""
        return self.at(np.flatnonzero(np.isin(self.labels, list(classes))))


class Collections(NamedTuple):
    """Both domains.

    `unseen` are the unseen classes, if the files name them; `backbone_labels` the classes that the
    backbone was pretrained on, if known; `protocol` whether one network was trained on both domains
    ("joint") or one on each ("apart").
    """

    x: Labelled
    y: Labelled
    unseen: tuple[str, ...] | None = None
    backbone_labels: tuple[str, ...] = ()
    protocol: str = ""


def read_collections(
    root: str, x: str, y: str, size: int, on_error: OnError = "stop"
) -> Collections:
    """Whatever `root` holds: an `.npz`, a folder of feature files, or class folders of images.

    - `.npz`: `{x}_features`, `{x}_classes`, `{x}_paths` and the same of y; `unseen` classes and
      the `protocol` of its features, if it holds them;
    - the authors' layout: `{train,test}_{x,y}_{features,paths}.npy`, the class being the folder of
      each path, and the classes of test being unseen;
    - `{x}/class/file` and `{y}/class/file`: images, made `size` pixels per side.

    Raises:
        DataError: Files are missing, damaged, hold objects or do not fit each other.
    """
    path = Path(root)
    if path.suffix.lower() == ".npz":
        return _read_npz(path, x, y)
    folder = Path(find_folder(root, "data.root"))
    if (folder / f"train_{x}_features.npy").is_file():
        return _read_feature_files(folder, x, y)
    sides = [read_class_folders(folder / side, size, on_error) for side in (x, y)]
    return Collections(sides[0], sides[1])


def class_files(folder: Path) -> tuple[list[Path], np.ndarray]:
    """Image files of `folder/class`, at any depth, and their classes, in order.

    Hidden folders and what `image_files` leaves out are no part of them.

    Raises:
        DataError: There is no such folder, no class, or a class without images (named).
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected {folder.name}/class/image in it")
    listings = {inner: list_images(inner) for inner in subfolders(folder)}
    if not listings:
        raise DataError(f"{folder}: holds no class folders")
    report(merged(listings.values()), folder)
    named = [(inner.name, listing) for inner, listing in listings.items()]
    empty = [name for name, listing in named if not listing.images]
    if empty:
        raise DataError(f"{folder}: no images in {first_five(empty)}")
    files = [inner / name for inner, listing in listings.items() for name in listing.images]
    classes = [same_name(name) for name, listing in named for _ in listing.images]
    return files, np.array(classes)


def read_class_folders(folder: Path, size: int, on_error: OnError = "stop") -> Labelled:
    """Images of `folder/class`, at any depth, as bytes.

    Raises:
        DataError: As `class_files`; or an image cannot be read.
    """
    files, classes = class_files(folder)
    skipped, kept = Skipped(on_error), list[int]()
    values: list[Tensor] = []
    source = Images(None, [str(file) for file in files], (3, size, size))
    for batch in read_batches(source, 256, skipped):
        kept += batch.numbers
        values.append(((batch.values + 1) * 127.5).round().byte())
    skipped.check(len(kept))
    paths = np.array([str(files[i]) for i in kept])
    return Labelled(torch.cat(values), classes[kept], paths)


def _read_npz(path: Path, x: str, y: str) -> Collections:
    sides: list[Labelled] = []
    for side in (x, y):
        labels = read_texts(path, f"{side}_classes")
        paths = read_texts(path, f"{side}_paths")
        features = read_array(path, f"{side}_features", kinds="f")
        sides.append(_items(features, labels, paths, f"{path} {side}"))
    held = array_names(path)
    unseen = None
    if "unseen" in held:
        unseen = tuple(sorted(map(same_name, read_texts(path, "unseen"))))
    taught = read_texts(path, "backbone_labels") if "backbone_labels" in held else []
    protocol = "".join(read_texts(path, "protocol")) if "protocol" in held else ""
    return Collections(sides[0], sides[1], unseen, tuple(taught), protocol)


def _read_feature_files(folder: Path, x: str, y: str) -> Collections:
    parts: dict[tuple[str, str], Labelled] = {}
    for part in ("train", "test"):
        for side in (x, y):
            name = folder / f"{part}_{side}"
            paths = read_texts(Path(f"{name}_paths.npy"))
            features = read_array(Path(f"{name}_features.npy"), kinds="f")
            labels = [path.replace("\\", "/").split("/")[-2:][0] for path in paths]
            parts[part, side] = _items(features, labels, paths, str(name))
    sides: list[Labelled] = []
    for side in (x, y):
        train, test = parts["train", side], parts["test", side]
        if train.values.shape[1] != test.values.shape[1]:
            raise DataError(
                f"{folder}: {side} features are {train.values.shape[1]} wide in train and "
                f"{test.values.shape[1]} in test"
            )
        sides.append(
            Labelled(
                torch.cat([train.values, test.values]),
                np.concatenate([train.labels, test.labels]),
                np.concatenate([train.paths, test.paths]),
            )
        )
    seen = {str(n) for side in (x, y) for n in parts["train", side].labels}
    unseen = {str(n) for side in (x, y) for n in parts["test", side].labels}
    if seen & unseen:
        raise DataError(
            f"{folder}: classes in train and in test: {first_five(sorted(seen & unseen))}"
        )
    return Collections(sides[0], sides[1], tuple(sorted(unseen)))


def _items(
    features: np.ndarray, labels: Sequence[str], paths: Sequence[str], name: str
) -> Labelled:
    if features.ndim != 2:
        raise DataError(f"{name}: features have shape {features.shape}; expected (items, size)")
    if not len(features) == len(labels) == len(paths):
        raise DataError(
            f"{name}: {len(features):,} features, {len(labels):,} classes and {len(paths):,} "
            "paths; there must be one of each per item"
        )
    if len(features) == 0:
        raise DataError(f"{name}: is empty")
    values = torch.from_numpy(to_float32(features, name, "features"))
    return Labelled(values, np.array([*map(same_name, labels)]), np.array(paths))
