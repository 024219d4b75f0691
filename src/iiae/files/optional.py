"""Files that a run may have."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import SafetensorError

from iiae.errors import RunError

T = TypeVar("T")
DAMAGE = (SafetensorError, OSError, TypeError, ValueError, KeyError, zipfile.BadZipFile)


def read_if_there(path: Path, read: Callable[[Path], T], hint: str = "") -> T | None:
    """What `read` returns of a file; None if there is no such file.

    Raises:
        RunError: The file is damaged; the message ends in `hint`.
    """
    if not path.is_file():
        return None
    try:
        return read(path)
    except DAMAGE as error:
        raise RunError(f"{path}: damaged: {error}{hint}") from error


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an `.npz`."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)
