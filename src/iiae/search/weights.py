"""Search by both latents at once: their weights, and exact search by the weighted sum."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import numpy as np
from jaxtyping import Float

from iiae.errors import GalleryError
from iiae.search.gallery import Gallery
from iiae.search.items import VECTORS, Found, Hit, Latent, check_vectors, make_hit

By = str | Mapping[str, float]


class Weights(NamedTuple):
    """The weight of each latent in a search; at least 0, and not both 0."""

    shared: float = 1.0
    exclusive: float = 0.0

    @property
    def alone(self) -> Latent | None:
        """The one latent that counts; None if both do."""
        if self.shared and self.exclusive:
            return None
        return "shared" if self.shared else "exclusive"


def read_weights(by: By) -> Weights:
    """Weights of a search, as a user gives them.

    >>> read_weights("shared=1,exclusive=0.5")
    Weights(shared=1.0, exclusive=0.5)
    >>> read_weights("exclusive")
    Weights(shared=0.0, exclusive=1.0)

    Args:
        by: "shared", "exclusive", both with weights as text, or a mapping of them.

    Raises:
        GalleryError: It names another latent, or weights that are negative or all zero.
    """
    wrong = GalleryError(
        f"{by!r} is not one of shared, exclusive, or both with weights: shared=1,exclusive=0.5"
    )
    try:
        given = _pairs(by) if isinstance(by, str) else {k: float(v) for k, v in by.items()}
    except (TypeError, ValueError):
        raise wrong from None
    good = all(0 <= value < math.inf for value in given.values()) and sum(given.values()) > 0
    if not good or not given.keys() <= set(get_args(Latent)):
        raise wrong
    return Weights(given.get("shared", 0.0), given.get("exclusive", 0.0))


def _pairs(text: str) -> dict[str, float]:
    parts = [part.partition("=") for part in text.split(",")]
    return {name.strip(): float(value) if equals else 1.0 for name, equals, value in parts}


def search_weighted(
    gallery: Gallery,
    shared: Float[np.ndarray, "queries shared"],
    exclusive: Float[np.ndarray, "queries exclusive"],
    weights: Weights,
    top: int = 10,
    where: str | None = None,
) -> Found:
    r"""The nearest items of each query by both latents: exact, over all items.

    The distance is $\sqrt{\sum_b w_b d_b^2 / t_b^2 / \sum_b w_b}$, with $d_b$ the gallery's
    distance by latent b and $t_b^2$ the mean $d_b^2$ of two of its items, so that 1 is as far as
    two items taken at random.

    Args:
        gallery: To search.
        shared: Vectors of z_s, one per query.
        exclusive: Exclusive latents of the domain that the gallery holds, one per query.
        weights: Of both latents.
        top: Number of hits per query.
        where: SQL condition on path, label and metadata.

    Raises:
        GalleryError: Vectors of the wrong size, or a filter that cannot be understood.
    """
    queries: dict[Latent, np.ndarray] = {"shared": shared, "exclusive": exclusive}
    names = [f"query {i}" for i in range(len(shared))]
    every = gallery.scan(None, VECTORS)
    table = gallery.scan(where, VECTORS) if where else every
    total = np.zeros((len(shared), len(table)))
    for latent, weight in zip(VECTORS, weights, strict=True):
        check_vectors(queries[latent], gallery.info, latent, names)
        items, asked = (
            _points(some, gallery) for some in (gallery.latents(table, latent), queries[latent])
        )
        typical = 2 * _points(gallery.latents(every, latent), gallery).var(0).sum() or 1.0
        total += weight * _squared(asked, items) / typical
    distance = np.sqrt(total / sum(weights))
    return Found([_hits(row, table, gallery, top) for row in distance], "exact")


def _points(vectors: np.ndarray, gallery: Gallery) -> np.ndarray:
    """Vectors whose squared Euclidean distances are those of the gallery, but for a factor."""
    vectors = vectors.astype(np.float64)
    if gallery.info.distance != "cosine":
        return vectors
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.maximum(squares, 0)


def _hits(distance: np.ndarray, table: Any, gallery: Gallery, top: int) -> list[Hit]:
    some = np.argpartition(distance, top)[:top] if top < len(distance) else np.arange(len(distance))
    rows = gallery.located(table.drop_columns(VECTORS).take(some).to_pylist())
    hits = [make_hit(row, float(d)) for row, d in zip(rows, distance[some], strict=True)]
    return sorted(hits, key=lambda hit: (hit.distance, hit.path))
