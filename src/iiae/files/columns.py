"""Columns by name, such as the batch of each sample: of an `.npz`, or of a table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from iiae.errors import DataError
from iiae.files.arrays import array_names, read_array
from iiae.files.tables import is_table, read_columns


def read_named_columns(path: Path, wanted: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Columns of numbers or text by name, `(rows,)` each.

    Args:
        path: `.npz`, `.csv`, `.tsv` or `.parquet`.
        wanted: Names, of which those that the file has are read; all by default.

    Raises:
        DataError: The file is missing, damaged or of another kind, or a column holds objects.
        MissingExtra: Parquet without the extra `data`.
    """
    if path.suffix.lower() == ".npz":
        names = [name for name in array_names(path) if wanted is None or name in wanted]
        return {name: read_array(path, name, "buifUS") for name in names}
    if not is_table(path):
        raise DataError(f"{path}: columns are read from .npz, .csv, .tsv or .parquet")
    columns = read_columns(path, () if wanted is None else tuple(wanted))
    return {name: typed_column(cells) for name, cells in columns.items()}


def typed_column(cells: Sequence[Any]) -> np.ndarray:
    """Whole numbers if all cells are, else numbers if all cells are, else text.

    >>> typed_column(["1", "2"]).dtype.kind, typed_column(["1", "2.5"]).dtype.kind
    ('i', 'f')
    """
    for kind in (int, float):
        try:
            if not any(isinstance(cell, float) and kind is int for cell in cells):
                return np.array([kind(cell) for cell in cells])
        except (TypeError, ValueError, OverflowError):
            continue
    return np.array(["" if cell is None else str(cell) for cell in cells])
