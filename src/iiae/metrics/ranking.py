r"""Category retrieval: how early do items of the query's class come in the ranking?

Definitions differ between papers by up to twenty points, so each has a name of its own. For one
query, let the relevant items have ranks $r_1 < r_2 < ... < r_R$ (first is 1):

| name | value |
|---|---|
| `precision@K` | items with $r_i \le K$, divided by K |
| `recall@K` | items with $r_i \le K$, divided by R |
| `map@all` | $\frac{1}{R} \sum_i i / r_i$ |
| `map@K_by_k` | $\sum_{r_i \le K} i / r_i$, divided by K (the authors' program) |
| `map@K_by_hits` | the same sum, divided by the number of items with $r_i \le K$; 0 without any |
| `map@K_by_possible` | the same sum, divided by min(K, R) |
| `map@all_voc` | $\frac{1}{R} \sum_i \max_{j \ge i} j / r_j$: interpolated as in Pascal VOC 2010 |

Means are over queries that have a relevant item; the others are counted and left out. Equal
distances are ranked by index in the gallery.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from iiae.errors import DataError

Distance = Literal["cosine", "euclidean", "hamming"]
BLOCK = 256


class Ranks(NamedTuple):
    """Ranks (from 0) of every query's relevant items, one query after the other.

    Those of query i are `ranks[starts[i] : starts[i + 1]]`, ascending.
    """

    ranks: Int[np.ndarray, " relevant"]
    starts: Int[np.ndarray, " queries_and_one"]


class Scores(NamedTuple):
    """Means over queries with their 95% bootstrap intervals, and what they are means of.

    `per_query` has a value for every query, NaN where none is relevant; `per_class` the mean
    `map@all` of each class of queries.
    """

    mean: dict[str, float]
    interval: dict[str, tuple[float, float]]
    per_query: dict[str, Float[np.ndarray, " queries"]]
    per_class: dict[str, float]
    queries: int
    queries_without_relevant: int
    gallery: int
    distance: str


def score(
    query: Shaped[np.ndarray, "queries size"],
    gallery: Shaped[np.ndarray, "items size"],
    query_labels: Shaped[np.ndarray, " queries"],
    gallery_labels: Shaped[np.ndarray, " items"],
    ks: tuple[int, ...] = (100, 200),
    distance: Distance = "cosine",
    seed: int = 0,
) -> Scores:
    """Every measure of this module, of queries ranked over a whole gallery.

    Args:
        query: One row a query.
        gallery: One row an item; what is ranked.
        query_labels: Class of each query.
        gallery_labels: Class of each item; an item of the query's class is relevant.
        ks: Cut-offs of the measures at K.
        distance: Between rows; Hamming counts the signs that differ.
        seed: Of the bootstrap.

    Raises:
        DataError: Arrays do not fit each other, hold values that cannot be ranked, or no query
            has a relevant item.
    """
    per_query = ranking_values(query, gallery, query_labels, gallery_labels, ks, distance)
    judged = ~np.isnan(per_query["map@all"])
    if not judged.any():
        raise DataError("no query has a relevant item: no class of a query is in the gallery")
    draws = np.random.default_rng(seed).integers(judged.sum(), size=(1000, judged.sum()))
    mean, interval = {}, {}
    for name, values in per_query.items():
        mean[name] = float(values[judged].mean())
        low, high = np.percentile(values[judged][draws].mean(1), [2.5, 97.5])
        interval[name] = (float(low), float(high))
    labels = np.asarray(query_labels)
    per_class = {
        str(label): float(per_query["map@all"][judged & (labels == label)].mean())
        for label in np.unique(labels[judged])
    }
    return Scores(
        mean,
        interval,
        per_query,
        per_class,
        len(query),
        int((~judged).sum()),
        len(gallery),
        distance,
    )


def ranking_values(
    query: Shaped[np.ndarray, "queries size"],
    gallery: Shaped[np.ndarray, "items size"],
    query_labels: Shaped[np.ndarray, " queries"],
    gallery_labels: Shaped[np.ndarray, " items"],
    ks: tuple[int, ...] = (100, 200),
    distance: Distance = "cosine",
) -> dict[str, Float[np.ndarray, " queries"]]:
    """Every measure of every query; NaN where no item is relevant.

    Memory beyond the arrays is that of a few blocks of distances. Arguments as for `score`.

    Raises:
        DataError: As `score`.
    """
    _check(query, gallery, query_labels, gallery_labels)
    left, right, offset = _prepared(query, gallery, distance)
    classes, gallery_class = np.unique(gallery_labels, return_inverse=True)
    members = {
        label: np.flatnonzero(gallery_class == c) for c, label in enumerate(classes.tolist())
    }
    nothing = np.zeros(0, np.int64)
    relevant = [members.get(label, nothing) for label in np.asarray(query_labels).tolist()]

    def block(start: int) -> dict[str, np.ndarray]:
        rows = slice(start, start + BLOCK)
        distances = offset - left[rows] @ right.T
        pairs = zip(distances, relevant[rows], strict=True)
        return query_values(_joined([_ranks(row, items) for row, items in pairs]), ks)

    # numpy sorts without holding the interpreter's lock
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = list(pool.map(block, range(0, len(query), BLOCK)))
    return {name: np.concatenate([found[name] for found in blocks]) for name in blocks[0]}


def _joined(ranks: Sequence[np.ndarray]) -> Ranks:
    starts = np.concatenate([[0], np.cumsum([len(one) for one in ranks], dtype=np.int64)])
    return Ranks(np.concatenate(ranks), starts)


def query_values(found: Ranks, ks: tuple[int, ...]) -> dict[str, Float[np.ndarray, " queries"]]:
    """Every measure of every query; NaN where no item is relevant."""
    counts = np.diff(found.starts)
    order = np.arange(len(found.ranks)) - np.repeat(found.starts[:-1], counts) + 1
    precision = order / (found.ranks + 1)
    values = {"map@all": _per_query(precision, found.starts) / _or_nan(counts)}
    interpolated = _best_from_here(precision, found.starts)
    values["map@all_voc"] = _per_query(interpolated, found.starts) / _or_nan(counts)
    for k in ks:
        within = found.ranks < k
        hits = _per_query(within.astype(float), found.starts)
        total = _per_query(precision * within, found.starts)
        some = np.where(counts > 0, 1.0, np.nan)
        values[f"precision@{k}"] = some * hits / k
        values[f"recall@{k}"] = hits / _or_nan(counts)
        values[f"map@{k}_by_k"] = some * total / k
        values[f"map@{k}_by_hits"] = some * total / np.maximum(hits, 1)
        values[f"map@{k}_by_possible"] = total / _or_nan(np.minimum(counts, k))
    return values


def _ranks(
    distance: Float[np.ndarray, " items"], items: Int[np.ndarray, " relevant"]
) -> Int[np.ndarray, " relevant"]:
    """Ranks of `items` when all are sorted by distance, then by index; ascending."""
    own = np.sort(distance[items])
    ordered = np.sort(distance)
    before = np.searchsorted(ordered, own, "left")
    if (np.searchsorted(ordered, own, "right") - before == 1).all():
        return before
    # equal distances: sort indices too, which takes several times as long
    place = np.empty(len(distance), np.int64)
    place[np.argsort(distance, kind="stable")] = np.arange(len(distance))
    return np.sort(place[items])


def _prepared(
    query: np.ndarray, gallery: np.ndarray, distance: Distance
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left and right factors and an offset: offset - left @ right.T ranks as the distance does."""
    none = np.zeros(len(gallery), np.float32)
    if distance == "hamming":
        left, right = (np.where(part > 0, 1, -1).astype(np.float32) for part in (query, gallery))
        return left, right, none
    left, right = (np.asarray(part, np.float32) for part in (query, gallery))
    if distance == "cosine":
        return _unit(left, "query"), _unit(right, "gallery"), none
    if distance == "euclidean":
        centre = right.mean(0)
        left, right = left - centre, right - centre
        return 2 * left, right, (right * right).sum(1)
    raise DataError(f"distance {distance!r} is none of cosine, euclidean, hamming")


def _unit(rows: np.ndarray, name: str) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    if not length.all():
        zero = np.flatnonzero(length[:, 0] == 0)
        shown = ", ".join(map(str, zero[:5])) + (f" and {len(zero) - 5} more" * (len(zero) > 5))
        raise DataError(f"{name}: row {shown} is all zeros, which has no direction for cosine")
    return rows / length


def _check(
    query: np.ndarray, gallery: np.ndarray, query_labels: np.ndarray, gallery_labels: np.ndarray
) -> None:
    for name, rows, labels in (
        ("query", query, query_labels),
        ("gallery", gallery, gallery_labels),
    ):
        if rows.ndim != 2 or len(rows) == 0:
            raise DataError(f"{name}: shape {rows.shape}; expected (rows, size), not empty")
        if len(labels) != len(rows):
            raise DataError(f"{name}: {len(rows):,} rows and {len(labels):,} labels")
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            bad = np.flatnonzero(~np.isfinite(rows).all(1))
            raise DataError(f"{name}: NaN or infinite values in row {', '.join(map(str, bad[:5]))}")
    if query.shape[1] != gallery.shape[1]:
        raise DataError(f"query rows have {query.shape[1]} values, gallery rows {gallery.shape[1]}")


def _per_query(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums over the relevant items of each query; 0 where there are none."""
    return np.diff(np.concatenate([[0.0], np.cumsum(values)])[starts])


def _best_from_here(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Largest value at or after each position, within its query."""
    best = values.copy()
    for start, end in pairwise(starts.tolist()):
        best[start:end] = np.maximum.accumulate(values[start:end][::-1])[::-1]
    return best


def _or_nan(counts: np.ndarray) -> np.ndarray:
    return np.where(counts > 0, counts, np.nan)
