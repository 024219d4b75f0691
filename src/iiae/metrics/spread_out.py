"""Few points that stand for many: far apart from each other, or typical of their kind."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def spread_out(points: Float[Tensor, "points size"], count: int) -> Int64[Tensor, " chosen"]:
    """Indices of at most `count` points: the most central first, each next the farthest from all.

    Farthest-point selection (Gonzalez, "Clustering to minimize the maximum intercluster
    distance", 1985), which is at most twice as wide as the best cover.
    """
    if not len(points):
        return torch.empty(0, dtype=torch.int64)
    first = (points - points.mean(0)).norm(dim=1).argmin()
    chosen, nearest = [int(first)], (points - points[first]).norm(dim=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (points - points[chosen[-1]]).norm(dim=1))
    return torch.tensor(chosen)


def typical(
    points: Float[Tensor, "points size"], count: int, rounds: int = 10
) -> Int64[Tensor, " chosen"]:
    """Indices of at most `count` points, each the nearest to the mean of a cluster.

    Clusters are those of k-means, begun at `spread_out` points; the largest comes first.
    """
    means = points[spread_out(points, count)]
    for _ in range(rounds):
        cluster = torch.cdist(points, means).argmin(1)
        kept = cluster.unique()
        means = torch.stack([points[cluster == one].mean(0) for one in kept])
    distance = torch.cdist(points, means)
    sizes = distance.argmin(1).bincount(minlength=len(means))
    order = sizes.argsort(descending=True, stable=True)
    return distance.argmin(0)[order].unique_consecutive()
