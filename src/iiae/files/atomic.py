"""Files that are either whole or not there."""

from __future__ import annotations

import codecs
import csv
import errno
import gzip
import io
import json
import math
import os
import re
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from iiae.errors import DataError, RunError
from iiae.types import plain

Cell = str | int | float | None
WHOLE = re.compile(r"0|-?[1-9][0-9]*")
DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
SCIENTIFIC = re.compile(r"-?[0-9]\.[0-9]+[eE][+-][0-9]{2,3}")
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
LARGEST, EXACT = 2**63 - 1, 2**53  # whole numbers in 64 bits; in a float


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
    with folder_errors(path.parent):
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
    """Makes a folder for output if it does not exist; call it before long work.

    Raises:
        RunError: It cannot be made or written to, or is a file.
    """
    with folder_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


@contextmanager
def folder_errors(folder: Path) -> Iterator[None]:
    """Turns an OSError on a folder into a RunError that names it.

    Raises:
        RunError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"{folder}: cannot be written to: {error.strerror}") from error


def refuse_inputs(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuses to overwrite an input.

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


def read_csv(path: Path, matrix: bool = False) -> tuple[list[str], list[list[str]]]:
    """Heading and rows of a table in UTF-8, `.tsv` or CSV, or `.gz` of either.

    Blank lines are left out.

    Args:
        path: The file.
        matrix: The table is of numbers: a heading that lacks the name of the first column, as R
            writes matrices with names of rows, gets an empty one.

    Raises:
        DataError: The file is missing, not such a table, empty, names a column twice, or has a row
            that is longer or shorter than its heading.
    """
    try:
        text = io.StringIO(_decoded(path), newline="")
        delimiter = "\t" if table_ending(path) == ".tsv" else ","
        lines = [line for line in csv.reader(text, delimiter=delimiter) if line]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, EOFError, ValueError, zlib.error, csv.Error) as error:
        raise DataError(f"{path}: not a CSV table in UTF-8: {error}") from error
    if not lines:
        raise DataError(f"{path}: is empty; expected a heading and rows")
    _check_separator(path, lines, delimiter)
    heading, *rows = lines
    if matrix and rows and all(len(row) == len(heading) + 1 for row in rows):
        heading = ["", *heading]
    twice = [name for name, count in Counter(heading).items() if count > 1]
    if twice:
        raise DataError(f"{path}: has several columns named {', '.join(twice)}")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(heading):
            raise DataError(
                f"{path}: row {number} has {len(row)} cells and the heading {len(heading)}"
            )
    return heading, rows


def _check_separator(path: Path, lines: Sequence[Sequence[str]], delimiter: str) -> None:
    """Raises DataError if all lines are one cell with another separator in it."""
    for other in SEPARATORS.keys() - {delimiter}:
        if len(lines[0]) == 1 and all(other in delimiter.join(line) for line in lines):
            raise DataError(
                f"{path}: its cells are separated by {SEPARATORS[other]}; separate them by "
                f"{SEPARATORS[delimiter]}, and write decimals with a point"
            )


def write_table(
    path: Path, values: np.ndarray, rows: Sequence[str], columns: Sequence[str] | None
) -> None:
    """Writes numbers `(rows, columns)` with a name each, atomically, as `.csv` or `.tsv`.

    Raises:
        RunError: The file cannot be written.
    """
    heading = columns or [str(i) for i in range(values.shape[1])]
    delimiter = "\t" if table_ending(path) == ".tsv" else ","

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
            writer.writerow(["", *heading])
            writer.writerows([name, *row] for name, row in zip(rows, values.tolist(), strict=True))

    write_atomically(path, write)


def table_ending(path: Path) -> str:
    """The ending of a table's name in lower case; of `rna.csv.gz` it is `.csv`."""
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return name.suffix.lower()


def read_lines(path: Path) -> list[str]:
    """Lines of a text file in UTF-8, stripped of blanks; empty lines at its end are left out.

    Raises:
        DataError: The file is missing or not in UTF-8.
    """
    try:
        text = _decoded(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not text in UTF-8: {error}") from error
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _decoded(path: Path) -> str:
    """Text of a file in UTF-8; spreadsheets begin it with a byte-order mark, which is left out.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is in another encoding.
    """
    content = path.read_bytes()
    if path.suffix.lower() == ".gz":
        content = gzip.decompress(content)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        raise ValueError("is binary, or text in UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        why = f"line {line} is in another encoding, such as Latin-1; save it as UTF-8"
        raise ValueError(why) from error


def typed_cells(texts: Sequence[str]) -> list[Cell]:
    """Cells of one column of a CSV: numbers if all are spelled as Python spells them, or text.

    What is stored therefore reads as it was written: 00007, 1_000, 12e3, 1.50, nan and whole
    numbers beyond 64 bits make their column text. Empty cells are None.
    """
    if odd_cell(texts) is None:
        return [_number(text) if text else None for text in texts]
    return [text or None for text in texts]


def odd_cell(texts: Sequence[str]) -> int | None:
    """The first cell that keeps a column from being one of numbers; None if there is no such."""
    decimals = any(DECIMAL.fullmatch(text) for text in texts)
    most = EXACT if decimals else LARGEST
    for row, text in enumerate(texts):
        whole = WHOLE.fullmatch(text) and len(text) < 21 and -most - 1 <= int(text) <= most
        decimal = DECIMAL.fullmatch(text) and str(float(text)) == text
        if text and not whole and not decimal:
            return row
    return None


def is_measure(text: str) -> bool:
    """Whether a text is a number whatever its digits: 2, -0.50, or 1.25e-03 as tables are saved."""
    forms = (WHOLE, DECIMAL, SCIENTIFIC)
    return any(form.fullmatch(text) for form in forms) and math.isfinite(float(text))


def _number(text: str) -> int | float:
    return int(text) if WHOLE.fullmatch(text) else float(text)


def json_text(value: object, indent: int | None = None) -> str:
    """JSON of plain values, named tuples and NumPy values.

    NaN and infinite numbers, which JSON does not have, become null.
    """
    separators = (",", ":") if indent is None else None
    return json.dumps(plain(value), indent=indent, separators=separators, allow_nan=False)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes an `.npz` atomically."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]

    write_atomically(path, write)


def write_text(path: Path, text: str) -> None:
    """Writes text atomically, as UTF-8."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
