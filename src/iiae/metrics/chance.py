r"""Chance levels: expected values of retrieval measures of a ranking drawn at random.

Of N items R are relevant, and every order is equally likely. The item at place k is relevant with
probability $R/N$; precision there, if it is, has the mean
$p_k = \frac1k (1 + (k-1) \frac{R-1}{N-1})$. With $K' = \min(K, N)$:

| measure | expected value |
|---|---|
| `precision@K` | $K' R / (K N)$ |
| `recall@K` | $K' / N$ |
| `map@all` | $\frac1N \sum_{k \le N} p_k$ |
| `map@K_by_k` | $\frac{R}{N} \sum_{k \le K'} p_k$, divided by K |
| `map@K_by_possible` | the same sum, divided by min(K, R) |
| `map@K_by_hits` | `map@all` of K' items, averaged over the (hypergeometric) number of hits |
| `map@all_voc` | `map@all` and what interpolation adds, by drawing: it has no closed form |
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

PLACES, FEWEST_DRAWS, MOST_DRAWS = 50_000, 100, 1000  # relevant places and rankings drawn


def any_relevant(items: int, relevant: int, k: int) -> float:
    """Probability that at least one of the first `k` items is relevant.

    >>> any_relevant(10, 1, 3)
    0.3
    """
    k = min(k, items)
    if relevant > items - k:
        return 1.0
    if relevant == 1:
        return k / items
    missed = sum(math.log1p(-k / (items - i)) for i in range(relevant))
    return -math.expm1(missed)


def chance_values(items: int, relevant: int, ks: tuple[int, ...]) -> dict[str, float]:
    """Expected value of every measure of `iiae.metrics.ranking` for one query.

    Args:
        items: In the gallery.
        relevant: Of them, at least 1.
        ks: Cut-offs.
    """
    summed = np.cumsum(_expected_precision(items, relevant))
    every = float(summed[-1]) / items
    values = {"map@all": every, "map@all_voc": every + _interpolated(items, relevant)}
    for k in ks:
        seen = min(k, items)
        total = relevant / items * float(summed[seen - 1])
        values[f"precision@{k}"] = seen * relevant / (k * items)
        values[f"recall@{k}"] = seen / items
        values[f"map@{k}_by_k"] = total / k
        values[f"map@{k}_by_hits"] = _by_hits(items, relevant, seen)
        values[f"map@{k}_by_possible"] = total / min(k, relevant)
    return values


def _expected_precision(items: int, relevant: int) -> np.ndarray:
    """Of each place, given that its item is relevant."""
    places = np.arange(1, items + 1)
    others = (relevant - 1) / max(1, items - 1)
    return (1 + (places - 1) * others) / places


def _by_hits(items: int, relevant: int, k: int) -> float:
    """The expected mean of h precisions within k places is linear in h, so two moments suffice."""
    some, hits = any_relevant(items, relevant, k), k * relevant / items
    one, all_of_them = (float(_expected_precision(k, h).mean()) for h in (1, k))
    slope = (all_of_them - one) / max(1, k - 1)
    return some * one + (hits - some) * slope


@cache
def _interpolated(items: int, relevant: int) -> float:
    """What interpolation adds to `map@all`, by rankings drawn at random: it varies little."""
    rng = np.random.default_rng(0)
    order = np.arange(1, relevant + 1)
    draws = min(MOST_DRAWS, max(FEWEST_DRAWS, PLACES // relevant))
    added = 0.0
    for _ in range(draws if relevant > 1 else 0):
        places = np.sort(rng.choice(items, relevant, replace=False, shuffle=False)) + 1
        precision = order / places
        added += np.maximum.accumulate(precision[::-1]).mean() - precision.mean()
    return float(added / draws)
