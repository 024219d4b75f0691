"""A collection of single samples in files: images in folders, rows of feature arrays."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.arrays import array_names, read_array
from iiae.data.images import only_images, read_image
from iiae.errors import DataError
from iiae.files import read_csv
from iiae.types import Domain

IMAGES_A_PART, ROWS_A_PART = 256, 8192


class Part(NamedTuple):
    """Some samples of a collection.

    `paths` are absolute, that of row 3 of an array file `features.npy#3`; `ids` are SHA-256 of
    the content; `labels` are names of folders, or given by the file. `sample(i)` reads one, or
    raises DataError.
    """

    paths: list[str]
    ids: list[str]
    labels: list[str | None]
    sample: Callable[[int], Tensor]


def collect(
    inputs: Sequence[Path], shape: Sequence[int], domain: Domain
) -> tuple[Iterator[Part], int]:
    """Parts of a collection, made one after the other, and how many samples it has in all.

    Args:
        inputs: Images and folders of them, searched to any depth; or `.npy` of features, or
            `.npz` with `features` (or an array named as the domain), `paths` and `labels`.
        shape: Of one sample.
        domain: Whose samples they are.

    Raises:
        DataError: An input is missing or holds no samples, or an array does not fit.
    """
    if len(shape) == 1:
        arrays = [_read_rows(Path(path), shape[0], domain) for path in inputs]
        return _of_arrays(arrays), sum(len(rows.values) for rows in arrays)
    files = list(dict.fromkeys(file for path in inputs for file in _images(Path(path))))
    return _of_images(files, shape), len(files)


class _Rows(NamedTuple):
    values: np.ndarray
    paths: list[str]
    labels: list[str | None]


def _of_images(files: Sequence[Path], shape: Sequence[int]) -> Iterator[Part]:
    for start in range(0, len(files), IMAGES_A_PART):
        some = files[start : start + IMAGES_A_PART]
        yield Part(
            [absolute(file) for file in some],
            [_hash_of(file) for file in some],
            [Path(absolute(file)).parent.name or None for file in some],
            lambda i, some=some: read_image(some[i], shape),
        )


def _of_arrays(arrays: Sequence[_Rows]) -> Iterator[Part]:
    for rows in arrays:
        for start in range(0, len(rows.values), ROWS_A_PART):
            part = slice(start, start + ROWS_A_PART)
            values = np.ascontiguousarray(rows.values[part], dtype=np.float32)
            yield Part(
                rows.paths[part],
                [hashlib.sha256(row.tobytes()).hexdigest() for row in values],
                rows.labels[part],
                lambda i, values=values: torch.from_numpy(values[i]),
            )


def _images(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder")
    return only_images((inner for inner in path.rglob("*") if inner.is_file()), path)


def _hash_of(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""  # reading the sample will say why


def _read_rows(path: Path, size: int, domain: str) -> _Rows:
    labels: np.ndarray | None = None
    names: np.ndarray | None = None
    if path.suffix == ".npz":
        held = array_names(path)
        values = read_array(path, "features" if "features" in held else domain)
        names = read_array(path, "paths", "US") if "paths" in held else None
        labels = read_array(path, "labels", "US") if "labels" in held else None
    else:
        values = np.atleast_2d(read_array(path))
    if values.ndim != 2 or values.shape[1] != size:
        raise DataError(f"{path}: has shape {values.shape}; the model takes rows of {size} values")
    if not np.isfinite(values).all():
        raise DataError(f"{path}: holds NaN or infinite values")
    for other in (names, labels):
        if other is not None and len(other) != len(values):
            raise DataError(f"{path}: {len(values)} rows of features, {len(other)} names")
    paths = [f"{absolute(path)}#{i}" for i in range(len(values))]
    if names is not None:
        paths = [absolute(path.parent / str(name)) for name in names]
        if len(set(paths)) < len(paths):
            raise DataError(f"{path}: some of its paths occur twice")
    text: list[str | None] = [None] * len(values) if labels is None else [str(v) for v in labels]
    return _Rows(values, paths, text)


def read_metadata(path: Path) -> dict[str, dict[str, str | float | None]]:
    """Rows of a CSV by the absolute path that its column `path` gives, relative to the CSV.

    Columns of whole numbers or of numbers become numbers; empty cells are None.

    Raises:
        DataError: The file is missing or has no column `path`.
    """
    heading, rows = read_csv(path)
    if not rows or "path" not in heading:
        raise DataError(f"{path}: a header line with a column path, and a row a file, are needed")
    columns = dict(zip(heading, zip(*rows, strict=True), strict=True))
    files = [absolute(path.parent / name) for name in columns.pop("path")]
    numbers = {name: _numbers(texts) for name, texts in columns.items()}
    return {file: {n: column[i] for n, column in numbers.items()} for i, file in enumerate(files)}


def _numbers(texts: Sequence[str]) -> list[str | float | None]:
    for kind in (int, float):
        try:
            return [kind(text) if text else None for text in texts]
        except ValueError:
            continue
    return [text or None for text in texts]


def absolute(path: str | Path) -> str:
    """How a gallery writes the path of a file: absolute, without `..`, links not followed."""
    return os.path.abspath(path)
