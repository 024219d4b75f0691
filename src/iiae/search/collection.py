"""A collection of single samples in files: images in folders, rows of feature arrays."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.ranges import to_float32
from iiae.errors import DataError
from iiae.files.arrays import array_names, read_array, read_texts
from iiae.files.atomic import Cell, odd_cell, read_csv, typed_cells
from iiae.files.folders import (
    UNWRITABLE,
    escaped,
    is_writable,
    list_below,
    report,
    same_name,
    some_images,
)
from iiae.files.images import read_image
from iiae.types import Domain

IMAGES_A_PART, ROWS_A_PART = 256, 8192

log = logging.getLogger("iiae")


class Part(NamedTuple):
    """Some samples of a collection.

    `paths` are absolute, that of row 3 of an array file `features.npy#3`; `digests` are SHA-256
    of the content; `labels` are names of folders, or given by the file. `sample(i)` reads one, or
    raises DataError.
    """

    paths: list[str]
    digests: list[str]
    labels: list[str | None]
    sample: Callable[[int], Tensor]


class Collection(NamedTuple):
    """Parts, made one after the other; the paths of all samples; and a line for each file that is
    left out since its name cannot be written."""

    parts: Iterator[Part]
    paths: list[str]
    skipped: list[str]


def collect(inputs: Sequence[Path], shape: Sequence[int], domain: Domain) -> Collection:
    """The samples of files and folders.

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
        return Collection(_of_arrays(arrays), [path for rows in arrays for path in rows.paths], [])
    named = [_images(Path(path)) for path in inputs]
    files = list(dict.fromkeys(file for images, _ in named for file in images))
    paths = [absolute(file) for file in files]
    good = [i for i, path in enumerate(paths) if is_writable(path)]
    bad = [str(file) for file, path in zip(files, paths, strict=True) if not is_writable(path)]
    bad += [name for _, unwritable in named for name in unwritable]
    parts = _of_images([files[i] for i in good], [paths[i] for i in good], shape)
    return Collection(parts, [paths[i] for i in good], [f"{escaped(n)}: {UNWRITABLE}" for n in bad])


class _Rows(NamedTuple):
    values: np.ndarray
    paths: list[str]
    labels: list[str | None]


def _of_images(files: Sequence[Path], paths: Sequence[str], shape: Sequence[int]) -> Iterator[Part]:
    for start in range(0, len(files), IMAGES_A_PART):
        some = files[start : start + IMAGES_A_PART]
        named = paths[start : start + IMAGES_A_PART]
        yield Part(
            list(named),
            [_digest_of(file) for file in some],
            [same_name(Path(path).parent.name) or None for path in named],
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


def _images(path: Path) -> tuple[list[Path], list[str]]:
    """Image files of an input, and those whose names cannot be written."""
    if path.is_file():
        return [path], []
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder")
    listing = list_below(path)
    report(listing._replace(unwritable=[]), path)  # the caller names those
    if not listing.unwritable:
        some_images(listing, path)
    unwritable = [os.path.join(path, name) for name in listing.unwritable]
    return [path / name for name in listing.images], unwritable


def _digest_of(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""  # reading the sample will say why


def _read_rows(path: Path, size: int, domain: str) -> _Rows:
    labels: list[str] | None = None
    names: list[str] | None = None
    if path.suffix.lower() == ".npz":
        held = array_names(path)
        values = read_array(path, "features" if "features" in held else domain)
        names = read_texts(path, "paths") if "paths" in held else None
        labels = read_texts(path, "labels") if "labels" in held else None
    else:
        values = read_array(path)
    rows = values[None] if values.ndim == 1 else values
    if rows.ndim != 2 or rows.shape[1] != size:
        raise DataError(f"{path}: has shape {values.shape}; the model takes rows of {size} values")
    if not len(rows):
        raise DataError(f"{path}: holds no rows")
    for other in (names, labels):
        if other is not None and len(other) != len(rows):
            raise DataError(f"{path}: {len(rows)} rows of features, {len(other)} names")
    paths = [f"{absolute(path)}#{i}" for i in range(len(rows))]
    if names is not None:
        paths = [absolute(path.parent / name) for name in names]
        if len(set(paths)) < len(paths):
            raise DataError(f"{path}: some of its paths occur twice")
    return _Rows(to_float32(rows, str(path)), paths, [*(labels or [None] * len(rows))])


def read_metadata(path: Path) -> dict[str, dict[str, Cell]]:
    """Rows of a CSV by the file that its column `path` names, relative to the CSV.

    The keys are `metadata_key` of the files. Cells are numbers where a whole column is, as
    `typed_cells` says; empty ones are None.

    Raises:
        DataError: The file is missing or has no column `path`, or two rows name one file.
    """
    heading, rows = read_csv(path)
    if not rows or "path" not in heading:
        raise DataError(f"{path}: a header line with a column path, and a row a file, are needed")
    columns = dict(zip(heading, zip(*rows, strict=True), strict=True))
    keys = [metadata_key(path.parent / name) for name in columns.pop("path")]
    first: dict[str, int] = {}
    for row, key in enumerate(keys, start=1):
        if first.setdefault(key, row) != row:
            raise DataError(f"{path}: rows {first[key]} and {row} name one file, {key}")
    cells = {name: typed_cells(texts) for name, texts in columns.items()}
    _report_text(path, columns)
    return {key: {name: cells[name][i] for name in cells} for i, key in enumerate(keys)}


def metadata_key(path: str | Path) -> str:
    """How metadata and a file find each other."""
    return same_name(absolute(path))


def _report_text(path: Path, columns: dict[str, tuple[str, ...]]) -> None:
    """Names in the log columns that look like numbers, but are kept as text."""
    for name, texts in columns.items():
        row = odd_cell(texts)
        if row is not None and all(_looks_numeric(text) for text in texts if text):
            log.info(
                "%s: column %s is kept as text, so that %s in row %d stays as it is written",
                *(path, name, texts[row], row + 1),
            )


def _looks_numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def absolute(path: str | Path) -> str:
    """How a gallery writes the path of a file: absolute, without `..`, links not followed."""
    return os.path.abspath(path)
