"""Labelled samples of two domains, unpaired: class folders, feature files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.arrays import array_names, read_array
from iiae.data.decoding import OnError, decode_batches
from iiae.data.folders import find_folder
from iiae.data.images import is_image
from iiae.errors import DataError


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
    """Both domains; `unseen` where the files themselves say which classes are, and the labels
    that a pretrained backbone was taught, where the files tell."""

    x: Labelled
    y: Labelled
    unseen: tuple[str, ...] | None = None
    backbone_labels: tuple[str, ...] = ()


def read_collections(
    root: str, x: str, y: str, size: int, on_error: OnError = "stop"
) -> Collections:
    """Whatever `root` holds: an `.npz`, a folder of feature files, or class folders of images.

    - `.npz`: `{x}_features`, `{x}_classes`, `{x}_paths` and the same of y; `unseen` classes, if it
      says them;
    - the authors' layout: `{train,test}_{x,y}_{features,paths}.npy`, the class being the folder of
      each path, and the classes of test being unseen;
    - `{x}/class/file` and `{y}/class/file`: images, made `size` pixels a side.

    Raises:
        DataError: Files are missing, damaged, hold objects or do not fit each other.
    """
    path = Path(root)
    if path.suffix == ".npz":
        return _read_npz(path, x, y)
    folder = find_folder(root, "data.root")
    if (folder / f"train_{x}_features.npy").is_file():
        return _read_feature_files(folder, x, y)
    sides = [read_class_folders(folder / side, size, on_error) for side in (x, y)]
    return Collections(sides[0], sides[1])


def class_files(folder: Path) -> tuple[list[Path], np.ndarray]:
    """Image files of `folder/class/file` and their classes, in order.

    Raises:
        DataError: There is no such folder, no class, or a class without images (named).
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected {folder.name}/class/image in it")
    found = {
        inner.name: sorted(filter(is_image, inner.iterdir()))
        for inner in sorted(folder.iterdir())
        if inner.is_dir()
    }
    if not found:
        raise DataError(f"{folder}: holds no class folders")
    empty = [name for name, images in found.items() if not images]
    if empty:
        raise DataError(f"{folder}: no images in {_named(empty)}")
    files = [path for images in found.values() for path in images]
    return files, np.array([path.parent.name for path in files])


def read_class_folders(folder: Path, size: int, on_error: OnError = "stop") -> Labelled:
    """Images of `folder/class/file`, as bytes.

    Raises:
        DataError: As `class_files`; or an image cannot be read.
    """
    files, _ = class_files(folder)
    kept: list[Path] = []
    values: list[Tensor] = []
    for batch in decode_batches(files, (3, size, size), 256, on_error):
        kept += batch.files
        values.append(((batch.images + 1) * 127.5).round().byte())
    labels = np.array([path.parent.name for path in kept])
    return Labelled(torch.cat(values), labels, np.array([str(path) for path in kept]))


def _read_npz(path: Path, x: str, y: str) -> Collections:
    sides: list[Labelled] = []
    for side in (x, y):
        labels = read_array(path, f"{side}_classes", kinds="US")
        paths = read_array(path, f"{side}_paths", kinds="US")
        features = read_array(path, f"{side}_features", kinds="f")
        sides.append(_items(features, labels, paths, f"{path} {side}"))
    held = array_names(path)
    taught, unseen = (
        read_array(path, name, kinds="US").tolist() if name in held else None
        for name in ("backbone_labels", "unseen")
    )
    said = None if unseen is None else tuple(sorted(unseen))
    return Collections(sides[0], sides[1], said, tuple(taught or []))


def _read_feature_files(folder: Path, x: str, y: str) -> Collections:
    parts: dict[tuple[str, str], Labelled] = {}
    for part in ("train", "test"):
        for side in (x, y):
            name = folder / f"{part}_{side}"
            paths = read_array(Path(f"{name}_paths.npy"), kinds="US")
            features = read_array(Path(f"{name}_features.npy"), kinds="f")
            labels = np.array([str(p).replace("\\", "/").split("/")[-2:][0] for p in paths])
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
        raise DataError(f"{folder}: classes in train and in test: {_named(sorted(seen & unseen))}")
    return Collections(sides[0], sides[1], tuple(sorted(unseen)))


def _items(features: np.ndarray, labels: np.ndarray, paths: np.ndarray, name: str) -> Labelled:
    if features.ndim != 2:
        raise DataError(f"{name}: features have shape {features.shape}; expected (items, size)")
    if not len(features) == len(labels) == len(paths):
        raise DataError(
            f"{name}: {len(features):,} features, {len(labels):,} classes and {len(paths):,} "
            "paths; there must be one of each an item"
        )
    if len(features) == 0:
        raise DataError(f"{name}: is empty")
    bad = np.flatnonzero(~np.isfinite(features).all(1))
    if len(bad):
        raise DataError(f"{name}: NaN or infinite features in row {_named(bad.tolist())}")
    values = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))
    return Labelled(values, labels, paths)


def _named(things: Sequence[object]) -> str:
    more = f" and {len(things) - 5} more" if len(things) > 5 else ""
    return ", ".join(map(str, things[:5])) + more
