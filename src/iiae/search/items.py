"""What a gallery holds and what a search returns: items, their vectors and hits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from iiae.errors import GalleryError, first_five
from iiae.search.lance import Value, equals
from iiae.types import Domain

Latent = Literal["shared", "exclusive"]
Distance = Literal["chosen", "euclidean", "cosine"]
OWN = ("path", "id", "digest", "label", "thumbnail", "shared", "exclusive")
VECTORS: tuple[Latent, Latent] = ("shared", "exclusive")
NORMS = (1e-18, 9e18)  # of vectors whose squares and distances float32 can hold


class GalleryInfo(NamedTuple):
    """What every item of a gallery has in common.

    `model` is the digest of the weights that made the vectors; `shared` and `exclusive` are
    their sizes; `active_only` is whether `shared` holds the active dimensions of z_s alone.
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
    """Rows to put into a gallery; `digests` are of their content, `metadata` is a mapping per row.

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
    """One item near a query. `id` is that of its path: see `row_id`.

    `distance`: Euclidean, or 1 - cosine in [0, 2]; less is nearer.
    """

    path: str
    id: str
    label: str | None
    distance: float
    metadata: dict[str, Value]


class SearchResult(NamedTuple):
    """Hits of each query, nearest first; `method` is "exact" or names the index."""

    hits: list[list[Hit]]
    method: str


def row_id(path: str) -> str:
    """The id of the item of a path, which copies of its content do not share."""
    return hashlib.sha256(path.encode()).hexdigest()


def by_id_or_path(item: str) -> str:
    """The filter that keeps the item of an id, or of a path."""
    return f"{equals('id', item)} OR {equals('path', item)}"


def make_hits(rows: Sequence[dict[str, Any]], queries: int, info: GalleryInfo) -> list[list[Hit]]:
    """Rows that LanceDB found, as hits of each query, nearest first."""
    hits: list[list[Hit]] = [[] for _ in range(queries)]
    for row in rows:
        d = row.pop("_distance")
        d = d if info.distance == "cosine" else d**0.5  # LanceDB's l2 is squared
        hits[row.pop("query_index", 0)].append(make_hit(row, d))
    for one in hits:
        one.sort(key=lambda hit: (hit.distance, hit.path))
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
        if not is_text(path):
            raise GalleryError(f"{path!a}: its name is not UTF-8; rename it")


def is_text(value: str) -> bool:
    """Whether text is UTF-8, without halves of surrogate pairs."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
