"""Metadata of items: which names and values fit a column, and the form in which it is stored."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from iiae.errors import GalleryError
from iiae.search.items import OWN, is_text
from iiae.search.lance import Value

RESERVED = (*OWN, "query_index")
WHOLE, EXACT = 2**63, 2**53  # bounds of whole numbers, in 64 bits and in a float


def column_type(name: str, values: Sequence[Value]) -> Any:
    """Arrow type of new metadata; None if there are no values to tell from.

    Raises:
        GalleryError: The values are of several kinds.
    """
    import pyarrow as pa

    examples = {type(value): value for value in map(_plain, values) if value is not None}
    kinds = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    if {int, float} == set(examples):
        return pa.float64()
    if len(examples) > 1:
        some = " and ".join(f"{value!r}" for value in examples.values())
        raise GalleryError(f"metadata does not fit one column: {name} is {some}")
    return next((kinds.get(kind, pa.string()) for kind in examples), None)


def check_values(items: Iterable[tuple[str, Mapping[str, Value]]], schema: Any) -> None:
    """Raises GalleryError, naming row and column, where metadata does not fit its column.

    Whole numbers and decimals fit each other where nothing is lost, and any number fits text.
    """
    names = set(schema.names) - set(OWN)
    for path, row in items:
        for name in row.keys() & names:
            kind = schema.field(name).type
            if not _fits(_plain(row[name]), kind):
                raise GalleryError(
                    f"metadata does not fit its column: {name} of {path} is {row[name]!r}; "
                    f"the column holds {_kind_name(kind)}"
                )


def _fits(value: Any, kind: Any) -> bool:
    import pyarrow.types as kinds

    if isinstance(value, float) and not math.isfinite(value):
        return False
    if value is None:
        return True
    if isinstance(value, bool) or kinds.is_boolean(kind):
        return isinstance(value, bool) and kinds.is_boolean(kind)
    if isinstance(value, str):
        return kinds.is_string(kind) and is_text(value)
    if kinds.is_integer(kind):
        return value == int(value) and -WHOLE <= value < WHOLE
    return not kinds.is_floating(kind) or isinstance(value, float) or abs(value) <= EXACT


def stored(value: Any, kind: Any) -> Value:
    """A value that fits a column, in the type of the column."""
    import pyarrow.types as kinds

    value = _plain(value)
    if value is not None and kinds.is_string(kind):
        return str(value)
    return int(value) if isinstance(value, float) and kinds.is_integer(kind) else value


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _kind_name(kind: Any) -> str:
    import pyarrow.types as kinds

    if kinds.is_integer(kind):
        return "whole numbers"
    if kinds.is_floating(kind):
        return "finite numbers"
    return "true or false" if kinds.is_boolean(kind) else "text"


def fitting_name(name: str) -> str:
    """What `check_columns` takes: `_` for other characters, `obs_` before a name that fails."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return (plain if plain[:1].isalpha() and plain not in RESERVED else f"obs_{plain}")[:64]


def check_columns(names: Iterable[str]) -> None:
    """Raises GalleryError where a name cannot be that of a metadata column."""
    for name in names:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", name) or name in RESERVED:
            raise GalleryError(
                f"{name!r} cannot name a metadata column: letters, digits and _, at most 64, "
                f"a letter first, and none of {', '.join(RESERVED)}"
            )
