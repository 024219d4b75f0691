"""What a gallery is made of: items, hits, and their columns."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from iiae.errors import GalleryError, first_five
from iiae.search.lance import Value, equals
from iiae.types import Domain

Latent = Literal["shared", "exclusive"]

OWN = ("path", "id", "digest", "label", "thumbnail", "shared", "exclusive")
VECTORS: tuple[Latent, Latent] = ("shared", "exclusive")
RESERVED = (*OWN, "query_index")
NORMS = (1e-18, 9e18)  # of vectors whose squares and distances float32 can hold
WHOLE, EXACT = 2**63, 2**53  # bounds of whole numbers, in 64 bits and in a float
KEY = {b"lance-schema:unenforced-primary-key:position": b"1"}


Distance = Literal["chosen", "euclidean", "cosine"]


class GalleryInfo(NamedTuple):
    """What every item of a gallery has in common.

    `model` is the digest of the weights that made the vectors; `shared` and `exclusive` are
    their sizes; `active_only` says that `shared` holds the active dimensions of z_s alone.
    `distance` "chosen" is the run's comparison of z_s: vectors of the space that
    `iiae.metrics.comparison` maps means to, by Euclidean distance. `root` is the folder that paths
    are relative to, itself relative to the gallery's if that is a folder: see `iiae.search.root`.
    """

    model: str
    domain: Domain
    distance: Distance
    shared: int
    exclusive: int
    active_only: bool = False
    root: str = ""


class Items(NamedTuple):
    """Rows to put into a gallery; `digests` tell their content, `metadata` is a mapping per row.

    `thumbnails` are small image files to show; none by default.
    """

    paths: Sequence[str]
    digests: Sequence[str]
    labels: Sequence[str | None]
    shared: Float[np.ndarray, "items shared"]
    exclusive: Float[np.ndarray, "items exclusive"]
    metadata: Sequence[Mapping[str, Value]]
    thumbnails: Sequence[bytes | None] = ()


class Hit(NamedTuple):
    """One item found. `id` is that of its path: see `row_id`.

    `distance`: Euclidean, or 1 - cosine in [0, 2]; less is nearer.
    """

    path: str
    id: str
    label: str | None
    distance: float
    metadata: dict[str, Value]


class Found(NamedTuple):
    """Hits of each query, nearest first; `method` is "exact" or names the index."""

    hits: list[list[Hit]]
    method: str


def row_id(path: str) -> str:
    """The id of the item of a path, which copies of its content do not share."""
    return hashlib.sha256(path.encode()).hexdigest()


def by_id_or_path(item: str) -> str:
    """The filter that keeps the item of an id, or of a path."""
    return f"{equals('id', item)} OR {equals('path', item)}"


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
    """
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
    return pa.table(columns, schema=schema)


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
        return kinds.is_string(kind) and _is_text(value)
    if kinds.is_integer(kind):
        return value == int(value) and -WHOLE <= value < WHOLE
    return not kinds.is_floating(kind) or isinstance(value, float) or abs(value) <= EXACT


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


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


def make_hits(rows: Sequence[dict[str, Any]], queries: int, info: GalleryInfo) -> list[list[Hit]]:
    """Rows that LanceDB found, as hits of each query, nearest first."""
    hits: list[list[Hit]] = [[] for _ in range(queries)]
    for row in rows:
        d = row.pop("_distance")
        d = d if info.distance == "cosine" else d**0.5  # LanceDB's l2 is squared
        hits[row.pop("query_index", 0)].append(make_hit(row, d))
    for found in hits:
        found.sort(key=lambda hit: (hit.distance, hit.path))
    return hits


def make_hit(row: Mapping[str, Any], distance: float) -> Hit:
    """A row of the gallery, without vectors, as a hit."""
    metadata = {name: value for name, value in row.items() if name not in OWN}
    return Hit(row["path"], row["id"], row["label"], distance, metadata)


def vector_faults(vectors: np.ndarray, info: GalleryInfo) -> dict[str, np.ndarray]:
    """Rows of vectors that cannot be compared, by what is wrong with them."""
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    finite = np.isfinite(vectors).all(1)
    bad = {
        "NaN or infinite values in the latent": ~finite,
        f"the latent is too large for distances (norm above {NORMS[1]:.0e})": norms > NORMS[1],
    }
    if info.distance == "cosine":
        bad["a latent of zeros has no cosine distance"] = norms < NORMS[0]
    return {why: np.flatnonzero(rows) for why, rows in bad.items() if rows.any()}


def check_vectors(
    vectors: np.ndarray, info: GalleryInfo, latent: Latent, names: Sequence[str]
) -> None:
    """Raises GalleryError where vectors have the wrong size or no distance."""
    size = getattr(info, latent)
    if vectors.ndim != 2 or vectors.shape[1] != size:
        raise GalleryError(
            f"{latent} vectors have {size} values, those given have shape {vectors.shape}"
        )
    for why, rows in vector_faults(vectors, info).items():
        raise GalleryError(f"{first_five([names[int(i)] for i in rows])}: {why}")


def check_paths(paths: Iterable[str]) -> None:
    """Raises GalleryError where a path is not UTF-8, which a gallery cannot hold."""
    for path in paths:
        if not _is_text(path):
            raise GalleryError(f"{path!a}: its name is not UTF-8; rename it")


def check_columns(names: Iterable[str]) -> None:
    """Raises GalleryError where a name cannot be that of a metadata column."""
    for name in names:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", name) or name in RESERVED:
            raise GalleryError(
                f"{name!r} cannot name a metadata column: letters, digits and _, at most 64, "
                f"a letter first, and none of {', '.join(RESERVED)}"
            )
