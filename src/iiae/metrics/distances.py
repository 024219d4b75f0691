"""Distances by which a whole gallery is ranked, and the arrays that can be ranked by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from iiae.errors import DataError, first_five
from iiae.metrics.magnitude import ROOM, middle, power_of_two

Distance = Literal["cosine", "euclidean", "hamming"]


def ranking_distances(
    query: np.ndarray, gallery: np.ndarray, distance: Distance
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from some queries to values that rank all items as the distance does."""
    if distance == "hamming":
        right = _signs(gallery)
        return lambda rows: -(_signs(rows) @ right.T)
    factor = power_of_two(max(_largest(query), _largest(gallery)), ROOM)

    def placed(rows: np.ndarray) -> np.ndarray:
        """Rows whose squared distances rank as `distance` does, in float64: see `magnitude`."""
        return _unit(rows) if distance == "cosine" else np.asarray(rows, np.float64) * factor

    items = placed(gallery)
    centre = middle(items)
    items -= centre
    norms = (items * items).sum(1)
    return lambda rows: norms - 2 * (placed(rows) - centre) @ items.T


def _signs(rows: np.ndarray) -> Float[np.ndarray, "rows size"]:
    return np.where(rows > 0, 1, -1).astype(np.float32)


def _largest(rows: np.ndarray) -> float:
    """The largest magnitude, without a copy; infinite where float64 does not reach."""
    return max(abs(float(rows.max(initial=0))), abs(float(rows.min(initial=0))))


def _unit(rows: np.ndarray) -> Float[np.ndarray, "rows size"]:
    rows = np.asarray(rows, np.float64)
    rows = rows / np.abs(rows).max(1, keepdims=True, initial=0)  # no square overflows or vanishes
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def check_rankable(
    query: np.ndarray,
    gallery: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    distance: str,
) -> None:
    """Raises DataError if arrays do not fit each other or hold values that cannot be ranked."""
    if distance not in get_args(Distance):
        known = ", ".join(get_args(Distance))
        raise DataError(f"distance {distance!r} is none of {known}")
    sides = {"query": (query, query_labels), "gallery": (gallery, gallery_labels)}
    for name, (rows, labels) in sides.items():
        if rows.ndim != 2 or len(rows) == 0:
            raise DataError(f"{name}: shape {rows.shape}; expected (rows, size), not empty")
        if len(labels) != len(rows):
            raise DataError(f"{name}: {len(rows):,} rows and {len(labels):,} labels")
        if rows.dtype.kind not in "biuf":
            raise DataError(f"{name}: holds {rows.dtype}; expected numbers")
        _check_rows(rows, name, distance)
    if query.shape[1] != gallery.shape[1]:
        raise DataError(f"query rows have {query.shape[1]} values, gallery rows {gallery.shape[1]}")


def _check_rows(rows: np.ndarray, name: str, distance: str) -> None:
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        bad = np.flatnonzero(~np.isfinite(rows).all(1))
        raise DataError(f"{name}: NaN or infinite values in row {first_five(bad.tolist())}")
    if _largest(rows) > np.finfo(np.float64).max:
        raise DataError(f"{name}: has values beyond the range of float64")
    if distance == "cosine" and not rows.any(1).all():
        zero = np.flatnonzero(~rows.any(1))
        raise DataError(
            f"{name}: row {first_five(zero.tolist())} is all zeros, which has no direction for "
            "cosine"
        )
