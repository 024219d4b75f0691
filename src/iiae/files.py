"""Files that are either whole or not there."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from iiae.errors import DataError, RunError


def write_atomically(path: Path, write: Callable[[Path], object], durable: bool = True) -> None:
    """Calls `write` with a temporary path beside `path`, then renames it into place.

    Whatever happens meanwhile, `path` holds either what it held before or all that was
    written.

    Args:
        path: The file.
        write: Writes it at the path it is given.
        durable: Wait until the disk has it, so that this holds through a power cut too; not worth
            its time for many small files that can be made again.

    Raises:
        RunError: The folder cannot be written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise RunError(f"{path.parent}: cannot be written to: {error.strerror}") from error
    temporary = Path(name)
    try:
        write(temporary)
        if durable:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        why = "the disk is full" if error.errno == errno.ENOSPC else str(error)
        kept = "; the file that was there before is kept" if path.exists() else ""
        raise RunError(f"{path}: not written: {why}{kept}") from error
    finally:
        temporary.unlink(missing_ok=True)


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuses to write over what is read.

    Raises:
        DataError: An output is one of the inputs.
    """
    given = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in given:
            raise DataError(f"{path}: is an input, which the output would replace; choose another")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an `.npz` atomically."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]

    write_atomically(path, write)


def write_text(path: Path, text: str) -> None:
    """Writes text atomically, as UTF-8."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
