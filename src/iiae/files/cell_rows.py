"""Cells of one assay as samples, by the names of the cells."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from iiae.errors import DataError
from iiae.files.cells import find_place, obs_columns, open_cells, read_place
from iiae.files.interface import Sample, Source, absolute
from iiae.files.matrices import with_columns


class CellRows(Source):
    """Rows of a matrix in a `.h5ad` or `.h5mu`; a copy in another process opens the file again.

    Args:
        file: The file.
        place: Where the matrix is, as for `iiae.files.cells.find_place`.
        size: Number of values that a model takes.
        columns: Their names, by which features are taken.

    Raises:
        DataError: The file or the place is missing, or lacks features.
    """

    grain = 1024

    def __init__(self, file: Path, place: str, size: int, columns: Sequence[str] | None = None):
        self.file, self.place, self.size, self.columns = file, place, size, columns
        with open_cells(file) as cells:
            matrix = read_place(cells, find_place(cells, place, "the place"))
        self.matrix = with_columns(matrix, columns)
        given = self.matrix.values.shape[1]
        if given != size:
            raise DataError(f"{self.matrix.place}: has {given} columns, the model takes {size}")
        about = file.stat()
        self.changed = (about.st_size, about.st_mtime_ns)

    def __reduce__(self):
        return CellRows, (self.file, self.place, self.size, self.columns)

    def __len__(self) -> int:
        return self.matrix.values.shape[0]

    def name(self, i: int) -> str:
        return self.matrix.row(i)

    def path(self, i: int) -> str:
        return f"{absolute(self.file)}#{self.name(i)}"

    def label(self, i: int) -> str | None:
        return None

    def stamp(self, i: int) -> Sequence[object]:
        return self.changed

    def digest(self, i: int) -> str:
        return hashlib.sha256(self.matrix.take(np.array([i])).tobytes()).hexdigest()

    def annotations(self, names: Sequence[str] | None = None) -> Mapping[str, Any]:
        with open_cells(self.file) as cells:
            own = find_place(cells, self.place, "the place").modality
            return obs_columns(cells, names, [self.name(i) for i in range(len(self))], own)

    def read(self, numbers: Sequence[int]) -> list[Sample | DataError]:
        rows = self.matrix.take(np.array(numbers))
        finite = [bool(np.isfinite(row).all()) for row in rows]
        return [
            Sample(torch.from_numpy(row), (self.size, 1))
            if good
            else DataError(f"{self.file}: {self.name(i)}: NaN or infinite values")
            for i, row, good in zip(numbers, rows, finite, strict=True)
        ]
