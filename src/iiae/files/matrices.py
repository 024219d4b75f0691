"""Matrices whose rows and columns may have names; sparse ones stay sparse until rows are taken."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from iiae.errors import DataError, first_five

log = logging.getLogger("iiae")


class Matrix(NamedTuple):
    """Values `(rows, columns)`, a NumPy array or SciPy CSR, and names of rows and columns.

    `place` says where the matrix is from, for messages.
    """

    values: Any
    rows: list[str] | None = None
    columns: list[str] | None = None
    place: str = "the matrix"

    def take(self, index: np.ndarray) -> np.ndarray:
        """Some rows, `(some, columns)`, dense in float32."""
        part = self.values[index]
        dense = part.toarray() if is_sparse(part) else part
        return np.ascontiguousarray(dense, np.float32)

    def row(self, i: int) -> str:
        """The name of a row in messages."""
        return f"row {i}" if self.rows is None else self.rows[i]

    @property
    def stored(self) -> np.ndarray:
        """The values that are stored: of a sparse matrix, those that are not 0."""
        return self.values.data if is_sparse(self.values) else self.values


def is_sparse(values: Any) -> bool:
    """Whether values are a sparse matrix of SciPy, which need not be installed."""
    return hasattr(values, "tocsr")


def make_matrix(
    values: Any,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    place: str = "the matrix",
) -> Matrix:
    """A matrix of numbers; any sparse form becomes CSR.

    Raises:
        DataError: The values are no numbers or have not two axes, or a name of a row occurs twice.
    """
    values = values.tocsr() if is_sparse(values) else np.asarray(values)
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(f"{place}: has shape {values.shape}; a matrix of (cells, features) is read")
    if values.dtype.kind not in "buif":
        raise DataError(f"{place}: holds {values.dtype}, not numbers")
    named = None if rows is None else [str(name) for name in rows]
    twice = [name for name, count in Counter(named or ()).items() if count > 1]
    if twice:
        raise DataError(
            f"{place}: {len(twice):,} names of rows occur more than once ({first_five(twice)}); "
            "make them unique, as AnnData.obs_names_make_unique does"
        )
    named_columns = None if columns is None else [str(name) for name in columns]
    return Matrix(values, named, named_columns, place)


def check_finite(matrix: Matrix) -> None:
    """Raises DataError if a value is NaN or infinite, or too large for float32; names the rows."""
    check_columns(matrix)
    with np.errstate(over="ignore", invalid="ignore"):
        good = np.isfinite(matrix.stored.astype(np.float32, copy=False))
    if good.all():
        return
    if is_sparse(matrix.values):
        bad = np.searchsorted(matrix.values.indptr, np.flatnonzero(~good), "right") - 1
    else:
        bad = np.flatnonzero(~good.all(1))
    names = [matrix.row(i) for i in np.unique(bad).tolist()]
    raise DataError(
        f"{matrix.place}: NaN or infinite values, or values too large for float32, in "
        f"{first_five(names)}"
    )


def measured_rows(matrix: Matrix) -> np.ndarray:
    """Whether each row was measured, `(rows,)`: a dense one that is NaN throughout was not.

    Raises:
        DataError: A value of the others is NaN or infinite, or too large for float32.
    """
    values = matrix.values
    if is_sparse(values) or values.dtype.kind != "f":
        check_finite(matrix)
        return np.ones(values.shape[0], dtype=bool)
    measured = ~np.isnan(values).all(1)
    if not measured.all():
        matrix = matrix._replace(values=np.where(measured[:, None], values, 0))
    check_finite(matrix)
    return measured


def check_columns(matrix: Matrix) -> None:
    """Raises DataError if a column of a dense matrix is NaN throughout."""
    values = matrix.values
    if is_sparse(values) or values.ndim != 2 or values.dtype.kind != "f" or not len(values):
        return
    empty = np.flatnonzero(np.isnan(values).all(0)).tolist()
    if empty:
        names = [matrix.columns[i] if matrix.columns else i for i in empty]
        raise DataError(f"{matrix.place}: no number in column {first_five(names)}; leave it out")


def is_counts(matrix: Matrix) -> bool:
    """Whether all values are whole numbers of 0 or more."""
    stored = matrix.stored
    if stored.dtype.kind in "bu":
        return True
    return bool((stored >= 0).all()) and bool((stored == np.round(stored)).all())


def row_sums(matrix: Matrix) -> np.ndarray:
    """Sum of each row, `(rows,)`, float64."""
    return np.asarray(matrix.values.sum(1, dtype=np.float64)).ravel()


def with_columns(matrix: Matrix, wanted: Sequence[str] | None) -> Matrix:
    """The columns that a model takes, in its order; all, if either has no names.

    Raises:
        DataError: Columns that the model takes are missing.
    """
    if wanted is None or matrix.columns is None or matrix.columns == list(wanted):
        return matrix
    place = {name: i for i, name in enumerate(matrix.columns)}
    several = [name for name, count in Counter((*wanted,)).items() if count > 1]
    several += [n for n, count in Counter(matrix.columns).items() if count > 1 and n in wanted]
    if several:
        raise DataError(
            f"{matrix.place}: several columns are named {first_five([*dict.fromkeys(several)])}: "
            "give columns in the order of training, or names that differ"
        )
    missing = [name for name in wanted if name not in place]
    if missing:
        raise DataError(
            f"{matrix.place}: lacks {len(missing):,} of the {len(wanted):,} columns that the model "
            f"takes: {first_five(missing)}"
        )
    log.info("%s: %d columns taken by name, of %d", matrix.place, len(wanted), len(place))
    chosen = [place[name] for name in wanted]
    return matrix._replace(values=matrix.values[:, chosen], columns=list(wanted))
