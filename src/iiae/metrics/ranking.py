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
distances are ranked by index in the gallery, which `score` shuffles first: in a gallery sorted by
class, latents that are all equal would otherwise score above chance (`iiae.metrics.chance`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from iiae.errors import DataError
from iiae.metrics.chance import chance_values
from iiae.metrics.distances import Distance, check_rankable, ranking_distances

BLOCK = 128
RESAMPLES, DRAWN = 1000, 1_000_000  # bootstrap samples; queries drawn at once


class Ranks(NamedTuple):
    """Ranks (from 0) of every query's relevant items, one query after the other.

    Those of query i are `ranks[starts[i] : starts[i + 1]]`, ascending.
    """

    ranks: Int[np.ndarray, " relevant"]
    starts: Int[np.ndarray, " queries_and_one"]


class Scores(NamedTuple):
    """Means over queries with their 95% bootstrap intervals, and what they are means of.

    `chance` is what random rankings reach in each measure, over the same queries. `per_class` has
    the mean `map@all` of each class of queries, `per_class_chance` what random rankings reach
    there; `per_query` arrays `(queries,)` of every measure, NaN where none is relevant, empty
    where they were not kept.
    """

    mean: dict[str, float]
    interval: dict[str, tuple[float, float]]
    chance: dict[str, float]
    per_class: dict[str, float]
    per_class_chance: dict[str, float]
    queries: int
    queries_without_relevant: int
    gallery: int
    distance: str
    per_query: dict[str, Any] = {}


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
        query: One row per query.
        gallery: One row per item; what is ranked.
        query_labels: Class of each query.
        gallery_labels: Class of each item; an item of the query's class is relevant.
        ks: Cut-offs of the measures at K.
        distance: Between rows; Hamming counts the signs that differ.
        seed: Random seed of the bootstrap, and of the order of items at equal distances.

    Raises:
        DataError: Arrays do not fit each other, hold values that cannot be ranked, or no query
            has a relevant item.
    """
    check_rankable(query, gallery, query_labels, gallery_labels, distance)
    order = np.random.default_rng([seed, 1]).permutation(len(gallery))
    labels, shuffled = np.asarray(query_labels), np.asarray(gallery_labels)[order]
    per_query = _values(query, gallery[order], labels, shuffled, ks, distance)
    judged = ~np.isnan(per_query["map@all"])
    if not judged.any():
        raise DataError("no query has a relevant item: no class of a query is in the gallery")
    values = np.stack([each[judged] for each in per_query.values()], 1)
    ends = _bootstrap(values, seed)
    classes, of = np.unique(labels[judged], return_inverse=True)
    guesses = _chance(classes, of, shuffled, ks)
    precision = per_query["map@all"][judged]
    return Scores(
        mean=dict(zip(per_query, values.mean(0).tolist(), strict=True)),
        interval=dict(zip(per_query, ends, strict=True)),
        chance={name: float(guesses[name][of].mean()) for name in per_query},
        per_query=per_query,
        per_class={str(name): float(precision[of == c].mean()) for c, name in enumerate(classes)},
        per_class_chance=dict(zip(map(str, classes), guesses["map@all"].tolist(), strict=True)),
        queries=len(query),
        queries_without_relevant=int((~judged).sum()),
        gallery=len(gallery),
        distance=distance,
    )


def _chance(
    classes: np.ndarray, of: np.ndarray, gallery_labels: np.ndarray, ks: tuple[int, ...]
) -> dict[str, Float[np.ndarray, " classes"]]:
    """What random rankings reach for a query of each class, by measure."""
    known, counts = np.unique(gallery_labels, return_counts=True)
    relevant = counts[np.searchsorted(known, classes)]
    by_count = {n: chance_values(len(gallery_labels), n, ks) for n in np.unique(relevant).tolist()}
    each = [by_count[n] for n in relevant.tolist()]
    return {name: np.array([one[name] for one in each]) for name in each[0]}


def _bootstrap(
    values: Float[np.ndarray, "judged measures"], seed: int
) -> list[tuple[float, float]]:
    """95% interval of every mean over queries; the same resampled queries serve all measures."""
    rng, n = np.random.default_rng(seed), len(values)
    means: list[np.ndarray] = []
    while len(means) < RESAMPLES:
        rows = min(RESAMPLES - len(means), max(1, DRAWN // n))
        draws = rng.integers(n, size=(rows, n))
        means += [np.bincount(drawn, minlength=n) @ values / n for drawn in draws]
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


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
    check_rankable(query, gallery, query_labels, gallery_labels, distance)
    return _values(query, gallery, query_labels, gallery_labels, ks, distance)


def _values(
    query: np.ndarray,
    gallery: np.ndarray,
    query_labels: np.ndarray,
    gallery_labels: np.ndarray,
    ks: tuple[int, ...],
    distance: Distance,
) -> dict[str, np.ndarray]:
    distances = ranking_distances(query, gallery, distance)
    classes, gallery_class = np.unique(gallery_labels, return_inverse=True)
    members = {
        label: np.flatnonzero(gallery_class == c) for c, label in enumerate(classes.tolist())
    }
    nothing = np.zeros(0, np.int64)
    relevant = [members.get(label, nothing) for label in np.asarray(query_labels).tolist()]

    def block(start: int) -> dict[str, np.ndarray]:
        rows = slice(start, start + BLOCK)
        pairs = zip(distances(query[rows]), relevant[rows], strict=True)
        return query_values(_joined([_ranks(row, items) for row, items in pairs]), ks)

    # numpy sorts without holding the interpreter's lock
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        blocks = list(pool.map(block, range(0, len(query), BLOCK)))
    return {name: np.concatenate([one[name] for one in blocks]) for name in blocks[0]}


def _joined(ranks: Sequence[np.ndarray]) -> Ranks:
    starts = np.concatenate([[0], np.cumsum([len(one) for one in ranks], dtype=np.int64)])
    return Ranks(np.concatenate(ranks), starts)


def query_values(given: Ranks, ks: tuple[int, ...]) -> dict[str, Float[np.ndarray, " queries"]]:
    """Every measure of every query; NaN where no item is relevant."""
    counts = np.diff(given.starts)
    order = np.arange(len(given.ranks)) - np.repeat(given.starts[:-1], counts) + 1
    precision = order / (given.ranks + 1)
    values = {"map@all": _per_query(precision, given.starts) / _or_nan(counts)}
    interpolated = _best_from_here(precision, given.starts)
    values["map@all_voc"] = _per_query(interpolated, given.starts) / _or_nan(counts)
    for k in ks:
        within = given.ranks < k
        hits = _per_query(within.astype(float), given.starts)
        total = _per_query(precision * within, given.starts)
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
