"""Points far apart from each other."""

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
