"""Rows of arrays and of tables of numbers: `.npy`, `.npz`, `.csv`, `.tsv`, `.parquet`."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from iiae.errors import DataError, first_five
from iiae.files.arrays import array_names, read_array, read_texts
from iiae.files.atomic import table_ending
from iiae.files.folders import SUFFIXES
from iiae.files.interface import Sample, Source, absolute
from iiae.files.matrices import Matrix, with_columns
from iiae.files.remote import is_url
from iiae.files.tables import is_number, is_table, number_columns, read_columns
from iiae.types import Domain

ARRAYS = (".npy", ".npz")
NAMES, LABELS = ("paths", "path"), ("labels", "label")
PANDAS_INDEX = "__index_level_0__"  # of a data frame without a name, in Parquet

log = logging.getLogger("iiae")


class Rows(NamedTuple):
    """Samples of one domain, `(rows, ...)`, with their paths and labels if the file has them.

    Rows and columns of a table whose first column holds no numbers have `names` and `columns`.
    """

    values: np.ndarray
    paths: list[str] | None = None
    labels: list[str] | None = None
    names: list[str] | None = None
    columns: list[str] | None = None


def is_rows(path: Path) -> bool:
    """Whether a file holds rows by its ending; a table may hold paths of images instead."""
    return path.suffix.lower() in ARRAYS or is_table(path)


class ArrayRows(Source):
    """Rows of an array file or table; a copy in another process opens the file again."""

    grain = 1024

    def __init__(
        self,
        file: Path,
        shape: Sequence[int],
        domain: Domain,
        columns: Sequence[str] | None = None,
    ):
        self.file, self.shape, self.domain, self.columns = file, shape, domain, columns
        rows = read_rows(file, domain)
        values = as_rows(rows.values)
        if columns is not None and rows.columns is not None:
            values = with_columns(Matrix(values, None, rows.columns, str(file)), columns).values
        self.rows = rows._replace(values=values)
        check_rows(self.rows.values, shape, file)
        about = file.stat()
        self.changed = (about.st_size, about.st_mtime_ns)

    def __reduce__(self):
        return ArrayRows, (self.file, self.shape, self.domain, self.columns)

    def __len__(self) -> int:
        return len(self.rows.values)

    def name(self, i: int) -> str:
        if self.rows.names:
            return self.rows.names[i]
        return self.rows.paths[i] if self.rows.paths else f"{self.file.name}#{i}"

    def path(self, i: int) -> str:
        if not self.rows.paths:
            return f"{absolute(self.file)}#{self.rows.names[i] if self.rows.names else i}"
        path = self.rows.paths[i]
        return path if is_url(path) else absolute(self.file.parent / path)

    def label(self, i: int) -> str | None:
        return self.rows.labels[i] if self.rows.labels else None

    def stamp(self, i: int) -> Sequence[object]:
        return self.changed

    def digest(self, i: int) -> str:
        row = as_samples(self.rows.values[i : i + 1], self.shape)
        return hashlib.sha256(row.tobytes()).hexdigest()

    def read(self, numbers: Sequence[int]) -> list[Sample | DataError]:
        rows = self.rows.values[list(numbers)]
        values = as_samples(rows, self.shape)
        finite = [bool(np.isfinite(value).all()) for value in values]
        size = (self.shape[-1], self.shape[1] if len(self.shape) == 3 else 1)
        return [
            Sample(torch.from_numpy(value), size) if good else self._why(i, row)
            for i, row, value, good in zip(numbers, rows, values, finite, strict=True)
        ]

    def _why(self, i: int, row: np.ndarray) -> DataError:
        finite = np.isfinite(row).all()
        why = "values too large for float32 (above 3.4e38)" if finite else "NaN or infinite values"
        name = self.rows.names[i] if self.rows.names else f"row {i}"
        return DataError(f"{self.file}: {name}: {why}")


def read_rows(path: Path, name: str) -> Rows:
    """Samples of a file.

    - `.npy`: the array, mapped, not read.
    - `.npz`: the array `features`, `vector` (as `iiae embed` writes it) or `name`; texts `paths`
      or `path`, and `labels` or `label`.
    - `.csv`, `.tsv`, `.parquet`: a column `features`, `vector` or `name` of lists, or all columns
      of numbers side by side; columns `path` and `label`. A first column without a name, or of
      text, has the names of the rows.

    Args:
        path: The file.
        name: "x" or "y".

    Raises:
        DataError: The file is missing or damaged, holds Python objects or no numbers, or has not
            one path and label per row.
    """
    if is_table(path):
        rows = _of_table(path, name)
    elif path.suffix.lower() == ".npz":
        rows = _of_npz(path, name)
    elif path.suffix.lower() in SUFFIXES:
        raise DataError(
            f"{path}: is a picture; rows of numbers are needed here: .npy, .npz, .csv, .tsv or "
            ".parquet"
        )
    else:
        rows = Rows(_mapped(path))
    values = as_rows(rows.values)
    for texts in (rows.paths, rows.labels):
        if texts is not None and len(texts) != len(values):
            raise DataError(f"{path}: {len(values):,} rows of features, {len(texts):,} names")
    if rows.paths is not None and len(set(rows.paths)) < len(rows.paths):
        raise DataError(f"{path}: some of its paths occur twice")
    return rows


def as_rows(values: np.ndarray) -> np.ndarray:
    """An array, or a vector as the one row of an array."""
    return values[None] if values.ndim == 1 else values


def check_rows(values: np.ndarray, shape: Sequence[int], path: object) -> None:
    """Raises DataError if rows of an array are not what a model takes.

    Args:
        values: `(rows, ...)`.
        shape: Of one sample: `(size,)`, or `(channels, height, width)`, which bytes may have as
            `(height, width[, channels])`.
        path: For messages.
    """
    given = tuple(values.shape[1:])
    if len(shape) == 3 and values.dtype == np.uint8 and values.ndim in (3, 4):
        given = (given[2] if len(given) == 3 else 1, *given[:2])
    if values.ndim < 2 or given != tuple(shape):
        takes = f"rows of {shape[0]} values" if len(shape) == 1 else f"images of {list(shape)}"
        raise DataError(f"{path}: has shape {values.shape}; the model takes {takes}")
    if not len(values):
        raise DataError(f"{path}: holds no rows")


def as_samples(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Rows in float32, images in [-1, 1] with channels first."""
    if len(shape) == 3 and values.dtype == np.uint8:
        values = values.reshape(len(values), *shape[1:], shape[0]).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(values / np.float32(127.5) - 1, np.float32)
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, np.float32)


def _of_table(path: Path, name: str) -> Rows:
    columns = read_columns(path, matrix=True)
    if PANDAS_INDEX in columns:  # which pandas writes last
        columns = {"": columns.pop(PANDAS_INDEX), **columns}
    if table_ending(path) != ".parquet":
        _report_heading(path, list(columns))
    texts = [_first(columns, names) for names in (NAMES, LABELS)]
    paths, labels = (None if key is None else [*map(str, columns[key])] for key in texts)
    lists = _first(columns, ("features", "vector", name))
    if lists is not None and not isinstance(next(iter(columns[lists]), ""), list):
        lists = None
    if lists is None:
        numbers = {key: cells for key, cells in columns.items() if key not in texts}
        names = None if paths else _row_names(path, numbers)
        values = number_columns(path, numbers)
        return Rows(values, paths, labels, names, list(numbers))
    try:
        return Rows(np.array(columns[lists], np.float64), paths, labels)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: column {lists}: not lists of numbers of one length") from error


def _row_names(path: Path, columns: dict[str, Sequence[Any]]) -> list[str] | None:
    """Splits off the first column as names if it has no heading, or holds no number.

    Raises:
        DataError: A name of a row occurs twice.
    """
    first = next(iter(columns), None)
    if first is None or (first and not _holds_text(columns[first])):
        return None
    names = [str(cell) for cell in columns.pop(first)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"{path}: {len(twice):,} names of rows occur more than once: {first_five(twice)}"
        )
    return names


def _holds_text(cells: Sequence[Any]) -> bool:
    """Whether cells, those that are not empty, are all text and no numbers."""
    filled = [cell for cell in cells if cell not in ("", None)]
    return bool(filled) and not any(map(is_number, filled))


def _report_heading(path: Path, names: Sequence[str]) -> None:
    """Warns of a CSV whose heading looks like a row of numbers."""
    cells = [name for name in names[len(names) > 1 :] if name]
    if cells and all(map(is_number, cells)) and not all(map(str.isdecimal, cells)):
        log.warning(
            "%s: its heading is numbers: %s; if the file has no heading, add one: its first row is "
            "left out",
            path,
            first_five(cells),
        )


def _of_npz(path: Path, name: str) -> Rows:
    held = array_names(path)
    paths, labels = (
        None if key is None else read_texts(path, key)
        for key in (_first(held, names) for names in (NAMES, LABELS))
    )
    return Rows(read_array(path, _first(held, ("features", "vector")) or name), paths, labels)


def _first(held: Sequence[str] | dict, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in held), None)


def _mapped(path: Path) -> np.ndarray:
    try:
        values = np.lib.format.open_memmap(path, "r")
    except (OSError, ValueError, EOFError):
        return read_array(path)  # says what is wrong; empty arrays cannot be mapped
    return values if values.dtype.kind in "buif" else read_array(path)
