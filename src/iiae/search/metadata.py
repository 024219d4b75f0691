"""Metadata of samples, to be stored with them: from a CSV, or of cells the columns of `obs`."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

from iiae.errors import DataError
from iiae.files.atomic import Cell, odd_cell, read_csv, typed_cells
from iiae.files.folders import same_name
from iiae.files.interface import Source, absolute
from iiae.files.remote import is_url
from iiae.search.lance import Value
from iiae.search.values import fitting_name

log = logging.getLogger("iiae")


def read_metadata(path: Path) -> dict[str, dict[str, Cell]]:
    """Rows of a CSV by the file that its column `path` names, relative to the CSV.

    The keys are `metadata_key` of the files. Cells are numbers where a whole column is, as
    `typed_cells` says; empty ones are None.

    Raises:
        DataError: The file is missing or has no column `path`, or two rows name one file.
    """
    heading, rows = read_csv(path)
    if not rows or "path" not in heading:
        raise DataError(f"{path}: needs a header line with a column path, and one row per file")
    columns = dict(zip(heading, zip(*rows, strict=True), strict=True))
    keys = [
        metadata_key(name if is_url(name) else path.parent / name) for name in columns.pop("path")
    ]
    first: dict[str, int] = {}
    for row, key in enumerate(keys, start=1):
        if first.setdefault(key, row) != row:
            raise DataError(f"{path}: rows {first[key]} and {row} name one file, {key}")
    cells = {name: typed_cells(texts) for name, texts in columns.items()}
    _report_text(path, columns)
    return {key: {name: cells[name][i] for name in cells} for i, key in enumerate(keys)}


def source_metadata(source: Source) -> dict[str, dict[str, Value]]:
    """Metadata that samples bring with them, by `metadata_key` of their path; of cells, `obs`.

    Columns are called as `fitting_name` says. Empty cells are None.
    """
    columns: dict[str, list[Value]] = {}
    for name, values in (source.annotations() or {}).items():
        columns.setdefault(fitting_name(name), _held(values.tolist()))
    keys = [metadata_key(source.path(i)) for i in range(len(source))] if columns else []
    return {key: {name: held[i] for name, held in columns.items()} for i, key in enumerate(keys)}


def _held(values: list[Any]) -> list[Value]:
    """Values of one column: all as text if any is text."""
    known = [_value(value) for value in values]
    if not any(isinstance(value, str) for value in known):
        return known
    return [None if value is None else str(value) for value in known]


def _value(value: Any) -> Value:
    """What a gallery can hold; None of what is not there, NaN and pandas' NA."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool | int | str) else None


def metadata_key(path: str | Path) -> str:
    """How metadata and a file find each other."""
    return same_name(absolute(path))


def _report_text(path: Path, columns: dict[str, tuple[str, ...]]) -> None:
    """Logs which columns look like numbers, but are kept as text."""
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
