"""Files that are either whole or not there."""

from __future__ import annotations

import csv
import errno
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
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
    with changing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
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


def make_folder(folder: Path) -> None:
    """Makes a folder that files will be written to, if it isn't there; for before long work.

    Raises:
        RunError: It cannot be made or written to, or is a file.
    """
    with changing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Says of a folder that cannot be made or written to that it is so.

    Raises:
        RunError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"{folder}: cannot be written to: {error.strerror}") from error


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuses to write over what is read.

    Raises:
        DataError: An output is one of the inputs.
    """
    folder_of = cache(os.path.realpath)  # files are many, their folders few

    def real(path: Path) -> str:
        if path.is_symlink():
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        return os.path.join(folder_of(folder), name)

    given = {real(path) for path in inputs}
    for path in outputs:
        if real(path) in given:
            raise DataError(f"{path}: is an input, which the output would replace; choose another")


def read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    """Heading and rows of a table in UTF-8; blank lines are left out.

    Raises:
        DataError: The file is missing, not such a table, empty, names a column twice, or has a row
            that is longer or shorter than its heading.
    """
    try:
        # spreadsheets begin a file with a byte-order mark
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV table in UTF-8: {error}") from error
    if not lines:
        raise DataError(f"{path}: is empty; expected a heading and rows")
    heading, *rows = lines
    twice = [name for name, count in Counter(heading).items() if count > 1]
    if twice:
        raise DataError(f"{path}: has several columns called {', '.join(twice)}")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(heading):
            raise DataError(
                f"{path}: row {number} has {len(row)} cells and the heading {len(heading)}"
            )
    return heading, rows


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an `.npz` atomically."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]

    write_atomically(path, write)


def write_text(path: Path, text: str) -> None:
    """Writes text atomically, as UTF-8."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
