"""What a gallery is made of: items, hits, and their columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from iiae.errors import GalleryError
from iiae.lance import Value
from iiae.types import Domain

Latent = Literal["shared", "exclusive"]

OWN = ("path", "id", "label", "shared", "exclusive")
RESERVED = (*OWN, "query_index")
KEY = {b"lance-schema:unenforced-primary-key:position": b"1"}


class GalleryInfo(NamedTuple):
    """What every item of a gallery has in common.

    `model` is the digest of the weights that made the vectors; `shared` and `exclusive` are
    their sizes; `active_only` says that `shared` holds the active dimensions of z_s alone.
    """

    model: str
    domain: Domain
    distance: Literal["cosine", "euclidean"]
    shared: int
    exclusive: int
    active_only: bool = False


class Items(NamedTuple):
    """Rows to put into a gallery; `ids` are content hashes, `metadata` a mapping a row."""

    paths: Sequence[str]
    ids: Sequence[str]
    labels: Sequence[str | None]
    shared: Float[np.ndarray, "items shared"]
    exclusive: Float[np.ndarray, "items exclusive"]
    metadata: Sequence[Mapping[str, Value]]


class Hit(NamedTuple):
    """One item found. `distance`: Euclidean, or 1 - cosine in [0, 2]; less is nearer."""

    path: str
    id: str
    label: str | None
    distance: float
    metadata: dict[str, Value]


class Found(NamedTuple):
    """Hits of each query, nearest first; `method` is "exact" or names the index."""

    hits: list[list[Hit]]
    method: str


def make_schema(info: GalleryInfo) -> Any:
    """Columns of a gallery without metadata."""
    import pyarrow as pa

    fields = [
        pa.field("path", pa.string(), nullable=False, metadata=KEY),
        pa.field("id", pa.string()),
        pa.field("label", pa.string()),
        pa.field("shared", pa.list_(pa.float32(), info.shared)),
        pa.field("exclusive", pa.list_(pa.float32(), info.exclusive)),
    ]
    return pa.schema(fields, metadata={b"iiae": json.dumps(info._asdict()).encode()})


def read_info(schema: Any) -> GalleryInfo | None:
    """What `make_schema` was given; None where the columns are of another table."""
    try:
        return GalleryInfo(**json.loads((schema.metadata or {})[b"iiae"]))
    except (KeyError, TypeError, ValueError):
        return None


def make_table(items: Items, held: Mapping[str, Mapping[str, Value]], schema: Any) -> Any:
    """Items as an Arrow table of the columns; `held` are the rows of the same paths."""
    import pyarrow as pa

    columns: dict[str, Any] = {"path": items.paths, "id": items.ids, "label": items.labels}
    for latent in ("shared", "exclusive"):
        flat = pa.array(np.ascontiguousarray(getattr(items, latent), dtype=np.float32).ravel())
        columns[latent] = pa.FixedSizeListArray.from_arrays(
            flat, schema.field(latent).type.list_size
        )
    for field in schema:
        if field.name in OWN:
            continue
        values = [
            {**held.get(path, {}), **row}.get(field.name)
            for path, row in zip(items.paths, items.metadata, strict=True)
        ]
        columns[field.name] = pa.array(values, field.type)
    return pa.table(columns, schema=schema)


def column_type(values: Sequence[Value]) -> Any:
    """Arrow type of new metadata; text where there are no values to tell from."""
    import pyarrow as pa

    kind = pa.array(values).type
    return pa.string() if pa.types.is_null(kind) else kind


def make_hits(rows: Sequence[dict[str, Any]], queries: int, info: GalleryInfo) -> list[list[Hit]]:
    """Rows that LanceDB found, as hits of each query, nearest first."""
    hits: list[list[Hit]] = [[] for _ in range(queries)]
    for row in rows:
        d = row.pop("_distance")
        d = d**0.5 if info.distance == "euclidean" else d  # LanceDB's l2 is squared
        own = (row.pop("path"), row.pop("id"), row.pop("label"))
        hits[row.pop("query_index", 0)].append(Hit(*own, d, row))
    for found in hits:
        found.sort(key=lambda hit: (hit.distance, hit.path))
    return hits


def check_vectors(
    vectors: np.ndarray, info: GalleryInfo, latent: Latent, names: Sequence[str]
) -> None:
    """Raises GalleryError where vectors have the wrong size or no distance."""
    size = getattr(info, latent)
    if vectors.ndim != 2 or vectors.shape[1] != size:
        raise GalleryError(
            f"{latent} vectors have {size} values, those given have shape {vectors.shape}"
        )
    bad = np.flatnonzero(~np.isfinite(vectors).all(1))
    if len(bad):
        raise GalleryError(f"NaN or infinite values in the vector of {_some(names, bad)}")
    zero = np.flatnonzero(~vectors.any(1))
    if info.distance == "cosine" and len(zero):
        raise GalleryError(f"zero vectors have no cosine distance: {_some(names, zero)}")


def check_columns(names: Iterable[str]) -> None:
    """Raises GalleryError where a name cannot be that of a metadata column."""
    for name in names:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", name) or name in RESERVED:
            raise GalleryError(
                f"{name!r} cannot name a metadata column: letters, digits and _, at most 64, "
                f"a letter first, and none of {', '.join(RESERVED)}"
            )


def _some(names: Sequence[str], which: np.ndarray) -> str:
    bad = [names[int(i)] for i in which]
    return ", ".join(bad[:5]) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
