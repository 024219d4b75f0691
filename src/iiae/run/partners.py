"""Which row of x belongs to which row of y, where rows are not in one order or lack a partner."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int

from iiae.errors import DataError
from iiae.files.matrices import Matrix, is_sparse


def laid_together(x: Matrix, y: Matrix, pairs: Any) -> tuple[Matrix, Matrix]:
    """x and y with partners in one row: pairs first, then rows that have none.

    A row without a partner is NaN throughout on the other side.

    Args:
        x: Vectors, a row each.
        y: The same, of another width and number of rows if need be.
        pairs: `(pairs, 2)`, the number of a row of x and that of its partner in y, from 0. A row
            may have several partners.

    Raises:
        DataError: `pairs` are no such numbers; x or y are not dense vectors.
    """
    for side in (x, y):
        if is_sparse(side.values) or side.values.ndim != 2:
            raise DataError(f"pairs of rows: {side.place} must be dense vectors, a row each")
    of_x, of_y = _numbers(pairs, len(x.values), len(y.values)).T
    lone_x = np.setdiff1d(np.arange(len(x.values)), of_x)
    lone_y = np.setdiff1d(np.arange(len(y.values)), of_y)
    none = np.full(max(len(lone_x), len(lone_y)), -1)
    return (
        _taken(x, np.concatenate([of_x, lone_x, none[: len(lone_y)]])),
        _taken(y, np.concatenate([of_y, none[: len(lone_x)], lone_y])),
    )


def _numbers(pairs: Any, rows_x: int, rows_y: int) -> Int[np.ndarray, "pairs 2"]:
    numbers = np.asarray(pairs)
    if numbers.ndim != 2 or numbers.shape[1] != 2 or numbers.dtype.kind not in "iu":
        raise DataError(
            "pairs: expected whole numbers of shape (pairs, 2), a row of x and its partner in y "
            f"each; given {numbers.dtype} of shape {numbers.shape}"
        )
    wrong = (numbers < 0) | (numbers >= (rows_x, rows_y))
    if wrong.any():
        pair, side = np.argwhere(wrong)[0]
        raise DataError(
            f"pairs: pair {pair} names row {numbers[pair, side]} of {'xy'[side]}, which has rows 0 "
            f"to {(rows_x, rows_y)[side] - 1}"
        )
    return numbers.astype(np.int64)


def _taken(side: Matrix, rows: Int[np.ndarray, " rows"]) -> Matrix:
    """Rows of a side in this order, NaN where the number is -1."""
    values = side.values[rows].astype(np.result_type(side.values, np.float32))
    values[rows < 0] = np.nan
    return side._replace(values=values, rows=None)
