"""LanceDB, as the gallery uses it: connecting, filters, commits repeated, errors in one line."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from unicodedata import normalize

from iiae.errors import GalleryError, MissingExtra

Value = str | int | float | bool | None
T = TypeVar("T")
TRIES = 8
ARRAYS = (".npy", ".npz")
NAMING = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".h5ad", ".h5mu")  # rows may have names


def quote(text: str) -> str:
    """Text as a literal of a filter."""
    return "'" + text.replace("'", "''") + "'"


def equals(column: str, value: Value) -> str:
    """The filter that a column has this value; None asks for items without one."""
    if value is None:
        return f"`{column}` IS NULL"
    return f"`{column}` = {quote(value) if isinstance(value, str) else value}"


def text_equals(column: str, text: str) -> str:
    """The filter that a column, written as text, equals `text`."""
    return f"CAST(`{column}` AS string) = {quote(text)}"


def in_list(column: str, values: Sequence[str]) -> str:
    """The filter that a column has one of these values."""
    return f"`{column}` IN ({', '.join(map(quote, values))})" if values else "false"


def at_or_below(path: str) -> str:
    """The filter that a path is this one, in the folder so named, or a row of the array file."""
    terms = [
        f"path = {quote(name)} OR starts_with(path, {quote(name.rstrip('/') + '/')})"
        for name in sorted({path, *(normalize(form, path) for form in ("NFC", "NFD"))})
    ]
    if path.endswith(ARRAYS + NAMING):
        row = f"starts_with(path, {quote(path + '#')})"
        numbered = " AND regexp_like(path, '#[0-9]+$')" if path.endswith(ARRAYS) else ""
        terms.append(f"({row}{numbered})")
    return " OR ".join(terms)


def connect(where: str | Path) -> Any:
    """The database in a folder or at a URL; what others commit is seen at the next call.

    Raises:
        MissingExtra: LanceDB is not installed.
        GalleryError: The folder cannot be made.
    """
    try:
        import lancedb
    except ImportError as error:
        raise MissingExtra("search", "a gallery") from error
    with gallery_errors(where):
        return lancedb.connect(str(where), read_consistency_interval=timedelta(0))


def retry_on_conflict(commit: Callable[[], T]) -> T:
    """Repeats a commit that another writer was quicker than."""
    for attempt in range(TRIES):
        try:
            return commit()
        except RuntimeError as error:
            if "conflict" not in str(error).lower() or attempt == TRIES - 1:
                raise
            time.sleep(0.05 * 2**attempt)
    raise AssertionError


@contextmanager
def gallery_errors(where: str | Path) -> Iterator[None]:
    """Turns what LanceDB raises into one line that a user can act on.

    Raises:
        GalleryError: In place of LanceDB's errors.
    """
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        text = re.sub(r",? *\S+\.rs:\d+:\d+", "", str(error).splitlines()[0])[:300]
        kept = "; what was committed before is kept: repeat the command"
        if re.search("No space left|Disk quota|File too large", str(error)):
            raise GalleryError(f"{where}: the disk is full, or a limit is reached{kept}") from error
        if "conflict" in text.lower():
            raise GalleryError(f"{where}: other processes are writing to it{kept}") from error
        if "://" in str(where) and "Request" in text:
            raise GalleryError(
                f"{where}: the object store does not answer or refuses; its address and keys are "
                f"taken from the environment (AWS_ENDPOINT, AWS_ACCESS_KEY_ID, ...): {text}"
            ) from error
        raise GalleryError(f"{where}: {text}") from error
