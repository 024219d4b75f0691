"""The columns of a gallery, and items as rows of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from iiae.errors import GalleryError
from iiae.search.items import OWN, GalleryInfo, Items, row_id
from iiae.search.lance import Value
from iiae.search.values import check_columns, check_values, column_type, stored

KEY = {b"lance-schema:unenforced-primary-key:position": b"1"}


def make_schema(info: GalleryInfo) -> Any:
    """Columns of a gallery without metadata."""
    import pyarrow as pa

    fields = [
        pa.field("path", pa.string(), nullable=False, metadata=KEY),
        pa.field("id", pa.string()),
        pa.field("digest", pa.string()),
        pa.field("label", pa.string()),
        pa.field("thumbnail", pa.binary()),
        pa.field("shared", pa.list_(pa.float32(), info.shared)),
        pa.field("exclusive", pa.list_(pa.float32(), info.exclusive)),
    ]
    return pa.schema(fields, metadata={b"iiae": json.dumps(info._asdict()).encode()})


def read_info(schema: Any) -> GalleryInfo | None:
    """What `make_schema` was given; None where the columns are of another table."""
    try:
        info = GalleryInfo(**json.loads((schema.metadata or {})[b"iiae"]))
        return info if set(OWN) <= set(schema.names) else None
    except (KeyError, TypeError, ValueError):
        return None


def make_table(
    items: Items, keys: Sequence[str], held: Mapping[str, Mapping[str, Value]], schema: Any
) -> Any:
    """Items as an Arrow table of the columns.

    Args:
        items: Of absolute paths.
        keys: Their paths as the gallery stores them.
        held: Rows that it has of the same paths.
        schema: The columns.

    Raises:
        GalleryError: Metadata does not fit its column.
    """
    import pyarrow as pa

    try:
        return pa.table(_columns(items, keys, held, schema), schema=schema)
    except (pa.ArrowException, OverflowError, TypeError) as error:
        raise GalleryError(f"metadata does not fit its column: {error}") from error


def _columns(
    items: Items, keys: Sequence[str], held: Mapping[str, Mapping[str, Value]], schema: Any
) -> dict[str, Any]:
    import pyarrow as pa

    columns: dict[str, Any] = {
        "path": keys,
        "id": [row_id(key) for key in keys],
        "digest": items.digests,
        "label": items.labels,
        "thumbnail": pa.array(items.thumbnails or [None] * len(keys), pa.binary()),
    }
    for latent in ("shared", "exclusive"):
        flat = pa.array(np.ascontiguousarray(getattr(items, latent), dtype=np.float32).ravel())
        columns[latent] = pa.FixedSizeListArray.from_arrays(
            flat, schema.field(latent).type.list_size
        )
    for field in schema:
        if field.name in OWN:
            continue
        values = [
            stored({**held.get(path, {}), **row}.get(field.name), field.type)
            for path, row in zip(items.paths, items.metadata, strict=True)
        ]
        columns[field.name] = pa.array(values, field.type)
    return columns


def new_fields(metadata: Mapping[str, Mapping[str, Value]], schema: Any) -> list[Any]:
    """A column for each name of metadata that is new and has values.

    Args:
        metadata: Names and values, by path.
        schema: Columns of the gallery.

    Raises:
        GalleryError: A name or value does not fit.
    """
    import pyarrow as pa

    names = dict.fromkeys(name for row in metadata.values() for name in row)
    check_columns(names)
    kinds = {
        name: column_type(name, [row.get(name) for row in metadata.values()])
        for name in names
        if name not in schema.names
    }
    fields = [pa.field(name, kind) for name, kind in kinds.items() if kind is not None]
    check_values(metadata.items(), pa.schema([*schema, *fields]))
    return fields
