"""Tables whose rows are samples: CSV and Parquet of paths, of encoded images, or of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from iiae.errors import DataError, MissingExtra
from iiae.files.atomic import read_csv, table_ending
from iiae.files.images import Encoded
from iiae.files.remote import RemoteFile, is_url

TABLES = (".csv", ".tsv", ".parquet")

Place = Path | RemoteFile | Encoded


def is_table(path: Path) -> bool:
    return table_ending(path) in TABLES


def read_columns(
    path: Path, wanted: Sequence[str] = (), matrix: bool = False
) -> dict[str, Sequence[Any]]:
    """Columns of a table by name: all of them, or those of `wanted` that it has.

    Cells of `.csv` and `.tsv` are text, those of `.parquet` what they are there. `matrix`: as for
    `read_csv`.

    Raises:
        DataError: The file is missing, damaged or no such table.
        MissingExtra: Parquet without pyarrow.
    """
    if table_ending(path) != ".parquet":
        heading, rows = read_csv(path, matrix)
        cells = zip(*rows, strict=True) if rows else ([] for _ in heading)
        columns = dict(zip(heading, cells, strict=True))
        return {name: columns[name] for name in columns if not wanted or name in wanted}
    with _parquet(path) as parquet:
        names = [n for n in parquet.read_schema(path).names if not wanted or n in wanted]
        return parquet.read_table(path, columns=names).to_pydict()


def column_names(path: Path) -> list[str]:
    """Names of a table's columns.

    Raises:
        DataError: As `read_columns`.
        MissingExtra: Parquet without pyarrow.
    """
    if table_ending(path) != ".parquet":
        return read_csv(path)[0]
    with _parquet(path) as parquet:
        return parquet.read_schema(path).names


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    """pyarrow.parquet, with its errors as one line."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("data", "reading Parquet") from error
    try:
        yield pq
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a Parquet file that can be read: {error}") from error


def image_place(cell: Any, folder: Path, where: str) -> Place:
    """Where the image of a cell is: a path relative to `folder`, a URL, or the image's bytes.

    A path is taken as the file system spells it, however its accents are written.

    Args:
        cell: Text, bytes, or `{bytes, path}` as Hugging Face `datasets` writes images.
        folder: That of the table.
        where: Table, row and column, for messages.

    Raises:
        DataError: The cell is empty, or holds neither.
    """
    content = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if isinstance(content, bytes):
        return Encoded(where, content)
    path = cell.get("path") if isinstance(cell, Mapping) else cell
    if path is None or path == "":
        raise DataError(f"{where} is empty")
    if not isinstance(path, str):
        raise DataError(f"{where} holds {path!r}, which is no image and no path of one")
    if is_url(path):
        base, _, name = str(path).rpartition("/")
        return RemoteFile(base, name)
    spelled = (folder / normalize(form, str(path)) for form in ("NFC", "NFD"))
    given = folder / str(path)
    return given if given.exists() else next((p for p in spelled if p.exists()), given)


def number_columns(path: Path, columns: Mapping[str, Sequence[Any]]) -> np.ndarray:
    """Columns of numbers side by side, `(rows, columns)`; an empty cell is NaN.

    Raises:
        DataError: A cell is no number, or there are no columns.
    """
    if not columns:
        raise DataError(f"{path}: holds no columns of numbers")
    return np.stack([_numbers(path, name, cells) for name, cells in columns.items()], 1)


def _numbers(path: Path, name: str, cells: Sequence[Any]) -> np.ndarray:
    try:
        return np.array([np.nan if cell in ("", None) else cell for cell in cells], np.float64)
    except (TypeError, ValueError) as error:
        row = next(i for i, cell in enumerate(cells) if not is_number(cell))
        raise DataError(
            f"{path}: column {name or 1}, row {row + 1}: {str(cells[row])[:40]!r} is not a number; "
            "only columns path and label, and the first column as names of rows, may hold text"
        ) from error


def is_number(cell: Any) -> bool:
    """Whether a cell is a number; an empty one is."""
    try:
        float(cell or 0)
    except (TypeError, ValueError):
        return False
    return True
