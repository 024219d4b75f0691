"""Pairs in array files: `.npy` for each side, or one `.npz` with `x` and `y`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from iiae.data.base import Factor, PairSet, Splits, pick
from iiae.data.splits import held_out
from iiae.errors import DataError
from iiae.settings import DataSettings
from iiae.types import Draw, Pair


class ArrayPairs(PairSet):
    """Rows of two arrays.

    uint8 arrays are images, `(pairs, height, width[, channels])`, and become floats in
    [-1, 1], channels first. Others are taken as they are: `(pairs, size)` features or
    `(pairs, channels, height, width)` images in [-1, 1].

    Raises:
        DataError: The arrays do not fit each other or hold NaN or infinite values.
    """

    held = ("x", "y")

    def __init__(self, x: np.ndarray, y: np.ndarray, names: tuple[str, str] = ("x", "y")):
        if len(x) != len(y):
            raise DataError(
                f"{names[0]} has {len(x):,} samples and {names[1]} has {len(y):,}; "
                "row i of one must match row i of the other"
            )
        if len(x) == 0:
            raise DataError(f"{names[0]} and {names[1]} are empty")
        self.x, self.y = _checked(x, names[0]), _checked(y, names[1])
        self.shapes = (tuple(_rows(self.x[:1]).shape[1:]), tuple(_rows(self.y[:1]).shape[1:]))

    def __len__(self) -> int:
        return len(self.x)

    def pairs(self, draw: Draw) -> Pair:
        return Pair(*(_rows(pick(side, draw.indices)) for side in (self.x, self.y)))

    def factors(self) -> dict[str, Factor]:
        return {}


def load_arrays(settings: DataSettings) -> Splits:
    """Pairs of `settings.x` and `settings.y`, or of one `.npz` given as `x`.

    Training, validation (by default a tenth) and test (by default a tenth) are disjoint.

    Raises:
        DataError: A file is missing, damaged or holds objects; the pairs do not fit or are
            too few.
    """
    x, y, names = _read(settings)
    everything = ArrayPairs(x, y, names)
    total = min(len(everything), settings.limit or len(everything))
    if total < 4:
        raise DataError(
            f"{names[0]}: {total} pair{'s' * (total != 1)}; at least 4 are needed: 2 to train on, "
            "1 for validation, 1 for testing"
        )
    parts = held_out(
        total,
        settings.validation or max(1, total // 10),
        settings.test or max(1, total // 10),
        settings.seed,
    )
    return Splits(*(ArrayPairs(x[part], y[part], names) for part in parts))


def read_array(path: Path, key: str | None = None, kinds: str = "buif") -> np.ndarray:
    """One array of an `.npy` file, or the array `key` of an `.npz` file; never a pickle.

    `kinds` are NumPy's codes of the element types that will do; numbers by default.

    Raises:
        DataError: The file is missing, damaged, holds Python objects, or has no such array.
    """
    try:
        with path.open("rb") as file:  # numpy leaves damaged files open
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.ndarray):
                if key not in loaded.files:
                    raise DataError(f"{path}: holds {', '.join(loaded.files)}, not {key}")
                loaded = loaded[key]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except ValueError as error:
        if "allow_pickle" in str(error) or "Object arrays" in str(error):
            raise DataError(
                f"{path}: holds Python objects (a pickle), which are never loaded; "
                "save a plain array of numbers"
            ) from error
        raise DataError(f"{path}: damaged, cut off, or not a NumPy file: {error}") from error
    except Exception as error:  # zipfile, zlib and numpy each raise their own on damage
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: damaged, cut off, or not a NumPy file: {error}") from error
    if loaded.dtype.kind not in kinds:
        raise DataError(f"{path}: holds {loaded.dtype}, not numbers")
    return loaded


def array_names(path: Path) -> list[str]:
    """Names of the arrays of an `.npz` file.

    Raises:
        DataError: The file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return list(file.files)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except Exception as error:  # zipfile and numpy each raise their own on damage
        raise DataError(f"{path}: damaged, cut off, or not a NumPy file: {error}") from error


def _read(settings: DataSettings) -> tuple[np.ndarray, np.ndarray, tuple[str, str]]:
    if settings.x is None:
        raise DataError("data.x is missing: give an .npy for each of data.x and data.y, or an .npz")
    path = Path(settings.x)
    if settings.y is not None:
        y = Path(settings.y)
        return read_array(path), read_array(y), (str(path), str(y))
    if path.suffix != ".npz":
        raise DataError(f"data.y is missing; {path} alone must be an .npz with arrays x and y")
    return read_array(path, "x"), read_array(path, "y"), (f"{path} x", f"{path} y")


def _checked(array: np.ndarray, name: str) -> torch.Tensor:
    """The array as a tensor of bytes or float32, every value finite."""
    if array.ndim not in (2, 3, 4) or (array.ndim == 3 and array.dtype != np.uint8):
        raise DataError(
            f"{name}: shape {array.shape}; expected (pairs, size), (pairs, channels, height, "
            "width), or bytes (pairs, height, width[, channels])"
        )
    if array.dtype == np.uint8 and array.ndim > 2:
        if array.ndim == 4 and array.shape[-1] not in (1, 3, 4):
            raise DataError(
                f"{name}: {array.shape[-1]} channels last in shape {array.shape}; byte images "
                "have 1, 3 or 4"
            )
        return torch.from_numpy(np.ascontiguousarray(array))
    values = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    bad = (~values.isfinite().flatten(1).all(1)).nonzero().flatten().tolist()
    if bad:
        rows = ", ".join(map(str, bad[:5])) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
        raise DataError(f"{name}: NaN or infinite values in row {rows}")
    return values


def _rows(part: torch.Tensor) -> torch.Tensor:
    if part.dtype != torch.uint8:
        return part
    part = part.unsqueeze(-1) if part.ndim == 3 else part
    return part.movedim(-1, 1).float().div_(127.5).sub_(1)
