"""Columns by name, such as the batch of each sample: of an `.npz`, or of a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from iiae.errors import DataError, first_five
from iiae.files.arrays import array_names, read_array
from iiae.files.tables import is_table, read_columns


class Columns(NamedTuple):
    """Columns of samples by name, and the names of their rows, where these have any."""

    values: Mapping[str, np.ndarray] = {}
    rows: Sequence[str] | None = None
    place: str = "columns"

    def named(self, names: Sequence[str]) -> Columns:
        """With the first column as names of the rows, if it holds all of `names`, or some and none
        twice."""
        first, *others = self.values or [""]
        held = [str(cell) for cell in self.values.get(first, ())]
        known, once = set(held) & set(names), len(set(held)) == len(held)
        if not known or not (once or len(known) == len(names)):
            return self
        return self._replace(values={name: self.values[name] for name in others}, rows=held)

    def of(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Those of samples of these names, in their order.

        Raises:
            DataError: There is no row of one, or two.
        """
        place = {row: i for i, row in enumerate(self.rows or ())}
        if lacking := [name for name in names if name not in place]:
            raise DataError(f"{self.place}: no row of {first_five(lacking)}")
        if len(place) < len(self.rows or ()):
            raise DataError(f"{self.place}: names of rows occur more than once")
        numbers = [place[name] for name in names]
        return {name: values[numbers] for name, values in self.values.items()}


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
