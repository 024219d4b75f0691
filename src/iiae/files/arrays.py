"""Array files: `.npy`, and `.npz` with its names; never pickles."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from iiae.errors import DataError


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
                held = ", ".join(loaded.files) or "no array"
                if key is None:
                    raise DataError(f"{path}: is an .npz ({held}); an .npy is needed here")
                if key not in loaded.files:
                    raise DataError(f"{path}: holds {held}, not {key}")
                loaded = loaded[key]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except ValueError as error:
        if "Object arrays" in str(error) or _begins_as_pickle(path):
            raise DataError(
                f"{path}: holds Python objects (a pickle), which are never loaded; "
                "save a plain array of numbers"
            ) from error
        if "allow_pickle" in str(error):  # so NumPy names whatever it does not know
            raise DataError(f"{path}: not a NumPy file; numpy.save writes one") from error
        raise DataError(f"{path}: damaged, cut off, or not a NumPy file: {error}") from error
    except Exception as error:  # zipfile, zlib and numpy each raise their own on damage
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: damaged, cut off, or not a NumPy file: {error}") from error
    if loaded.dtype.kind not in kinds:
        wanted = {"US": "text", "f": "decimals", "buifUS": "numbers or text"}.get(kinds, "numbers")
        raise DataError(f"{path}: holds {loaded.dtype}, not {wanted}")
    return loaded


def read_texts(path: Path, key: str | None = None, kinds: str = "US") -> list[str]:
    """Names or labels of an array file, as text: bytes are UTF-8, and 1.0 is spelled as 1 is.

    `kinds` are NumPy's codes of the element types that will do; text by default.

    Raises:
        DataError: As `read_array`; or the array has several axes, a number is not finite, or
            bytes are not UTF-8.
    """
    values = read_array(path, key, kinds)
    name = str(path) if key is None else f"{path} {key}"
    if values.ndim != 1:
        raise DataError(f"{name}: has shape {values.shape}; a row of names is needed")
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise DataError(f"{name}: NaN or infinite values, where names are needed")
        return [np.format_float_positional(value + 0, trim="-") for value in values]
    if values.dtype.kind == "b":
        values = values.astype(int)
    try:
        return [v.decode() if isinstance(v, bytes) else str(v) for v in values.tolist()]
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: {error.object!r} is not UTF-8") from error


def _begins_as_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"\x80"


def array_names(path: Path) -> list[str]:
    """Names of the arrays of an `.npz` file.

    Raises:
        DataError: The file is missing, damaged or no `.npz`.
    """
    try:
        if not zipfile.is_zipfile(path):
            path.open("rb").close()
            raise DataError(f"{path}: damaged, cut off, or not an .npz; numpy.savez writes one")
        with np.load(path, allow_pickle=False) as file:
            return list(file.files)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except Exception as error:  # zipfile and numpy each raise their own on damage
        raise DataError(f"{path}: damaged, cut off, or not a NumPy file: {error}") from error
