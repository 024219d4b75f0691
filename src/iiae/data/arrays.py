"""Pairs in files of rows: arrays, tables and cells for each side, or one `.npz` with both."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from iiae.data.base import Factor, PairSet, Splits, pick
from iiae.data.columns import columns_beside
from iiae.data.matched import MatchedPairs, make_matched, split_matched
from iiae.data.ranges import check_images, to_float32, warn_of_steps
from iiae.data.splits import PairKeys, content_names, pair_keys, split_pairs
from iiae.errors import DataError
from iiae.files.arrays import read_array
from iiae.files.cells import find_place, open_cells, read_place, split_place
from iiae.files.columns import Columns
from iiae.files.matrices import Matrix, check_columns, is_sparse
from iiae.files.rows import read_rows
from iiae.settings import DataSettings
from iiae.types import Draw, Pair

log = logging.getLogger("iiae")


class ArrayPairs(PairSet):
    """Rows of two arrays.

    uint8 arrays are images, `(pairs, height, width[, channels])`, and become floats in
    [-1, 1], channels first. Others are taken as they are: `(pairs, size)` features or
    `(pairs, channels, height, width)` images in [-1, 1].

    Raises:
        DataError: The arrays do not fit each other, or hold values that are NaN, infinite, too
            large for float32 or, in images, outside [-1, 1].
    """

    tensor_names = ("x", "y")

    def __init__(
        self,
        x: np.ndarray,
        y: np.ndarray,
        names: tuple[str, str] = ("x", "y"),
        columns: Mapping[str, np.ndarray] = {},
    ):
        _check_shape(x, names[0])
        _check_shape(y, names[1])
        if len(x) != len(y):
            raise DataError(
                f"{names[0]} has {len(x):,} samples and {names[1]} has {len(y):,}; "
                "row i of one must match row i of the other"
            )
        if len(x) == 0:
            raise DataError(f"{' and '.join(dict.fromkeys(names))}: no samples")
        self.x, self.y = _checked(x, names[0]), _checked(y, names[1])
        self.of_bytes = self.x.dtype == self.y.dtype == torch.uint8
        self.annotations = _checked_columns(columns, len(x))
        self.shapes = (
            tuple(as_samples(self.x[:1]).shape[1:]),
            tuple(as_samples(self.y[:1]).shape[1:]),
        )

    def __len__(self) -> int:
        return len(self.x)

    def pairs(self, draw: Draw) -> Pair:
        return Pair(as_samples(pick(self.x, draw.indices)), as_samples(pick(self.y, draw.indices)))

    def factors(self) -> dict[str, Factor]:
        return {}


def read_arrays(settings: DataSettings) -> ArrayPairs | MatchedPairs:
    """All pairs of `settings.x` and `settings.y`, or of one `.npz` given as `x`.

    Rows of two files that name them are matched by name; what is in one alone is left out. A row
    of vectors that is NaN throughout is none: its partner has no partner.

    Raises:
        DataError: A file is missing, damaged or holds objects, or the pairs do not fit.
    """
    sides = _read(settings)
    return make_pairs(*sides, columns_beside(settings, sides))


def make_pairs(x: Matrix, y: Matrix, columns: Columns = Columns()) -> ArrayPairs | MatchedPairs:
    """`read_arrays` for arrays in memory."""
    return _of_names(x, y, columns) if _matched(x, y) else _every(x, y, columns)


def _every(x: Matrix, y: Matrix, columns: Columns) -> ArrayPairs:
    for side in (x, y):
        check_columns(side)
    return ArrayPairs(x.values, y.values, (x.place, y.place), columns.values)


def _of_names(x: Matrix, y: Matrix, columns: Columns) -> MatchedPairs:
    """Rows matched by name, sparse or without some partners; columns by name, or of the same row.

    Raises:
        DataError: As `make_matched`; a column has no value of a pair, or rows in two orders.
    """
    pairs, names = make_matched(x, y, keep_lone=_lack(x) or _lack(y))
    if names and columns.rows is not None:
        pairs.annotations = columns.of(names)
    elif columns.values and names and x.rows != y.rows:
        raise DataError(
            f"{columns.place}: {x.place} and {y.place} are matched by name, so their columns need "
            "names of rows too: the first column of a table, or the index of a data frame"
        )
    else:
        checked = _checked_columns(columns.values, x.values.shape[0])
        rows = pairs.index.max(1)
        pairs.annotations = {name: values[rows] for name, values in checked.items()}
    return pairs


def load_arrays(settings: DataSettings) -> Splits:
    """Pairs of `settings.x` and `settings.y`, or of one `.npz` given as `x`.

    Training, validation (by default a tenth) and test (by default a tenth) are disjoint, chosen by
    the rows' content: see `split_by_key`.

    Raises:
        DataError: A file is missing, damaged or holds objects; the pairs do not fit or are
            too few.
    """
    sides = _read(settings)
    return split_rows(*sides, settings, columns_beside(settings, sides))


def split_rows(
    x: Matrix, y: Matrix, settings: DataSettings, columns: Columns = Columns()
) -> Splits:
    """`load_arrays` for arrays in memory."""
    if _matched(x, y):
        return split_matched(_of_names(x, y, columns), settings)
    everything = _every(x, y, columns)
    names = (content_names([row] for row in side.numpy()) for side in (everything.x, everything.y))
    keys = pair_keys(*names)
    parts = split_pairs(keys, settings, x.place)
    warn_of_steps(x.values, x.place)
    warn_of_steps(y.values, y.place)
    return Splits(*(_part(x, y, everything.annotations, keys, part) for part in parts))


def _part(
    x: Matrix, y: Matrix, columns: Mapping[str, np.ndarray], keys: PairKeys, rows: np.ndarray
) -> ArrayPairs:
    some = {name: values[rows] for name, values in columns.items()}
    pairs = ArrayPairs(x.values[rows], y.values[rows], (x.place, y.place), some)
    pairs.keys, pairs.features, pairs.places = keys.own[rows], (x.columns, y.columns), rows
    return pairs


def _matched(x: Matrix, y: Matrix) -> bool:
    """Whether rows are matched by name, stay sparse until a batch takes them, or lack partners."""
    return (x.rows is not None and y.rows is not None) or any(
        is_sparse(side.values) or _lack(side) for side in (x, y)
    )


def _lack(side: Matrix) -> bool:
    """Whether some, not all, rows of vectors without names are NaN throughout."""
    values = side.values
    if side.rows is not None or is_sparse(values) or values.dtype.kind != "f" or values.ndim != 2:
        return False
    lacking = np.isnan(values).all(1)
    return bool(lacking.any() and not lacking.all())


def _read(settings: DataSettings) -> tuple[Matrix, Matrix]:
    if settings.x is None:
        raise DataError("data.x is missing: give an array or table for x and for y, or an .npz")
    if settings.y is not None:
        x, y = _named_alike(_side(settings.x, "x"), _side(settings.y, "y"))
        _warn_of_numbers(x, y)
        return x, y
    path = Path(settings.x)
    if path.suffix.lower() != ".npz":
        raise DataError(f"data.y is missing; {path} alone must be an .npz with arrays x and y")
    x, y = (Matrix(read_array(path, name), place=f"{path} {name}") for name in "xy")
    return x, y


def _side(text: str, name: str) -> tuple[Matrix, list[str] | None]:
    """Rows of one file, with their names and those of their columns if it has them; their paths."""
    file, place = split_place(text)
    if place is not None:
        with open_cells(file) as cells:
            return read_place(cells, find_place(cells, place, f"data.{name}")), None
    rows = read_rows(Path(text), name)
    return Matrix(np.array(rows.values), rows.names, rows.columns, text), rows.paths


def _named_alike(
    x: tuple[Matrix, list[str] | None], y: tuple[Matrix, list[str] | None]
) -> tuple[Matrix, Matrix]:
    """Both sides; if the paths of their rows are the same, in whatever order, they are names."""
    (first, paths_x), (second, paths_y) = x, y
    if paths_x and paths_y and sorted(paths_x) == sorted(paths_y) and paths_x != paths_y:
        return first._replace(rows=paths_x), second._replace(rows=paths_y)
    return first, second


def _warn_of_numbers(x: Matrix, y: Matrix) -> None:
    """Warns of tables whose first columns look like numbers of their rows, which have no names."""
    if x.rows and y.rows:
        return
    if not (x.columns and y.columns) or is_sparse(x.values) or is_sparse(y.values):
        return
    first, second = x.values[:, 0], y.values[:, 0]
    numbers = np.unique(first)
    alike = np.array_equal(numbers, np.unique(second)) and len(numbers) == len(first)
    if alike and len(numbers) > 2 and bool((numbers == np.round(numbers)).all()):
        log.warning(
            "columns %s of x and %s of y hold the same whole numbers, each once: if they number "
            "the rows, empty these headings, and rows are matched by them",
            x.columns[0],
            y.columns[0],
        )


def _checked_columns(columns: Mapping[str, np.ndarray], pairs: int) -> dict[str, np.ndarray]:
    for name, values in columns.items():
        if np.shape(values) != (pairs,):
            raise DataError(
                f"column {name} has shape {np.shape(values)}; {pairs} pairs need ({pairs},)"
            )
    return dict(columns)


def _check_shape(array: np.ndarray, name: str) -> None:
    """Raises DataError if an array has no rows, or rows that are neither vectors nor images."""
    bytes_ = array.dtype == np.uint8
    if array.ndim not in (2, 3, 4) or (array.ndim == 3 and not bytes_):
        hint = "; one column is reshape(-1, 1)" if array.ndim == 1 else ""
        raise DataError(
            f"{name}: shape {array.shape}; expected (pairs, size), (pairs, channels, height, "
            f"width), or bytes (pairs, height, width[, channels]){hint}"
        )
    if 0 in array.shape[1:]:
        raise DataError(f"{name}: shape {array.shape}: its rows hold no values")
    if array.ndim == 4 and not bytes_ and array.shape[3] <= 4 < min(array.shape[1:3]):
        raise DataError(
            f"{name}: shape {array.shape} has channels last, as bytes have; of other numbers they "
            "come first: array.transpose(0, 3, 1, 2)"
        )
    if array.ndim == 4 and bytes_ and array.shape[-1] not in (1, 3, 4):
        raise DataError(
            f"{name}: {array.shape[-1]} channels last in shape {array.shape}; byte images have 1, "
            "3 or 4"
        )


def _checked(array: np.ndarray, name: str) -> torch.Tensor:
    """The array as a tensor of bytes or float32: finite, and images in [-1, 1]."""
    if array.dtype == np.uint8 and array.ndim > 2:
        return _read_only(np.ascontiguousarray(array))
    values = _read_only(to_float32(array, name))
    if values.ndim == 4:
        check_images(values, name)
    return values


def _read_only(array: np.ndarray) -> torch.Tensor:
    """A tensor of the same memory, without torch's warning of arrays that cannot be written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def as_samples(part: torch.Tensor) -> torch.Tensor:
    """Bytes of images, channels last or none, as floats in [-1, 1]; other rows as they are."""
    if part.dtype != torch.uint8:
        return part
    part = part.unsqueeze(-1) if part.ndim == 3 else part
    return part.movedim(-1, 1).float().div_(127.5).sub_(1)
