"""Pairs in array files: `.npy` for each side, or one `.npz` with `x` and `y`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from iiae.covariates import plain_name
from iiae.data.base import Factor, PairSet, Splits, pick
from iiae.data.ranges import check_images, to_float32, warn_of_steps
from iiae.data.splits import PairKeys, key, limited, pair_keys, split_by_key
from iiae.errors import DataError
from iiae.files.arrays import read_array
from iiae.files.columns import read_named_columns
from iiae.files.rows import read_rows
from iiae.settings import DataSettings
from iiae.types import Draw, Pair


class ArrayPairs(PairSet):
    """Rows of two arrays.

    uint8 arrays are images, `(pairs, height, width[, channels])`, and become floats in
    [-1, 1], channels first. Others are taken as they are: `(pairs, size)` features or
    `(pairs, channels, height, width)` images in [-1, 1].

    Raises:
        DataError: The arrays do not fit each other, or hold values that are NaN, infinite, too
            large for float32 or, in images, outside [-1, 1].
    """

    held = ("x", "y")

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
            raise DataError(f"{names[0]} and {names[1]} are empty")
        self.x, self.y = _checked(x, names[0]), _checked(y, names[1])
        self.annotations = _checked_columns(columns, len(x))
        self.shapes = (tuple(_rows(self.x[:1]).shape[1:]), tuple(_rows(self.y[:1]).shape[1:]))

    def __len__(self) -> int:
        return len(self.x)

    def pairs(self, draw: Draw) -> Pair:
        return Pair(_rows(pick(self.x, draw.indices)), _rows(pick(self.y, draw.indices)))

    def factors(self) -> dict[str, Factor]:
        return {}


def read_arrays(settings: DataSettings) -> ArrayPairs:
    """All pairs of `settings.x` and `settings.y`, or of one `.npz` given as `x`.

    Raises:
        DataError: A file is missing, damaged or holds objects, or the pairs do not fit.
    """
    return ArrayPairs(*_read(settings), _read_columns(settings))


def load_arrays(settings: DataSettings) -> Splits:
    """Pairs of `settings.x` and `settings.y`, or of one `.npz` given as `x`.

    Training, validation (by default a tenth) and test (by default a tenth) are disjoint, chosen by
    the rows' content: see `split_by_key`.

    Raises:
        DataError: A file is missing, damaged or holds objects; the pairs do not fit or are
            too few.
    """
    return split_arrays(*_read(settings), settings, _read_columns(settings))


def split_arrays(
    x: np.ndarray,
    y: np.ndarray,
    names: tuple[str, str],
    settings: DataSettings,
    columns: Mapping[str, np.ndarray] = {},
) -> Splits:
    """`load_arrays` of arrays in memory; `names` are for messages."""
    everything = ArrayPairs(x, y, names, columns)
    total = min(len(everything), settings.limit or len(everything))
    if total < 4:
        raise DataError(
            f"{names[0]}: {total} pair{'s' * (total != 1)}; at least 4 are needed: 2 to train on, "
            "1 for validation, 1 for testing"
        )
    keys = pair_keys(*(_row_names(side) for side in (everything.x, everything.y)))
    used = limited(keys.own, settings.limit, settings.seed)
    parts = split_by_key(keys.group[used], settings.validation, settings.test, settings.seed)
    warn_of_steps(x, names[0])
    warn_of_steps(y, names[1])
    return Splits(*(_part(x, y, names, everything.annotations, keys, used[part]) for part in parts))


def _part(
    x: np.ndarray,
    y: np.ndarray,
    names: tuple[str, str],
    columns: Mapping[str, np.ndarray],
    keys: PairKeys,
    rows: np.ndarray,
) -> ArrayPairs:
    some = {name: values[rows] for name, values in columns.items()}
    pairs = ArrayPairs(x[rows], y[rows], names, some)
    pairs.keys = keys.own[rows]
    return pairs


def _row_names(rows: torch.Tensor) -> list[str]:
    """Each row by its content, so that equal rows have one name."""
    return [str(key(row.tobytes())) for row in rows.numpy()]


def _read(settings: DataSettings) -> tuple[np.ndarray, np.ndarray, tuple[str, str]]:
    if settings.x is None:
        raise DataError("data.x is missing: give an array or table for x and for y, or an .npz")
    path = Path(settings.x)
    if settings.y is not None:
        y = Path(settings.y)
        x, other = (read_rows(side, name).values for side, name in ((path, "x"), (y, "y")))
        return np.array(x), np.array(other), (str(path), str(y))
    if path.suffix.lower() != ".npz":
        raise DataError(f"data.y is missing; {path} alone must be an .npz with arrays x and y")
    return read_array(path, "x"), read_array(path, "y"), (f"{path} x", f"{path} y")


def _read_columns(settings: DataSettings) -> dict[str, np.ndarray]:
    """Columns of the file that settings name; of an `.npz` with x and y, those that are asked for.

    Raises:
        DataError: As `iiae.files.columns.read_named_columns`.
    """
    if settings.columns is not None:
        return read_named_columns(Path(settings.columns))
    if settings.y is not None or settings.x is None:
        return {}
    wanted = {*map(plain_name, settings.covariates), "size_x", "size_y"}
    return read_named_columns(Path(settings.x), wanted)


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
        raise DataError(
            f"{name}: shape {array.shape}; expected (pairs, size), (pairs, channels, height, "
            "width), or bytes (pairs, height, width[, channels])"
        )
    if 0 in array.shape[1:]:
        raise DataError(f"{name}: shape {array.shape}: its rows hold no values")
    if array.ndim == 4 and bytes_ and array.shape[-1] not in (1, 3, 4):
        raise DataError(
            f"{name}: {array.shape[-1]} channels last in shape {array.shape}; byte images have 1, "
            "3 or 4"
        )


def _checked(array: np.ndarray, name: str) -> torch.Tensor:
    """The array as a tensor of bytes or float32: finite, and images in [-1, 1]."""
    if array.dtype == np.uint8 and array.ndim > 2:
        return torch.from_numpy(np.ascontiguousarray(array))
    values = torch.from_numpy(to_float32(array, name))
    if values.ndim == 4:
        check_images(values, name)
    return values


def _rows(part: torch.Tensor) -> torch.Tensor:
    if part.dtype != torch.uint8:
        return part
    part = part.unsqueeze(-1) if part.ndim == 3 else part
    return part.movedim(-1, 1).float().div_(127.5).sub_(1)
