r"""How like one sample's z_s is to another's: scores of r(z_s given query) and r(z_s given item).

Every score is a table `(queries, items)` in which more is more alike. `euclidean` is the paper's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.distributions import DiagonalNormal

ELEMENTS = 2**24  # values of one latent dimension by query and item that are held at once


class Aggregate(NamedTuple):
    """The aggregate posterior: what a set of samples says of z_s as a whole.

    One normal a dimension: `centre_x` and `centre_y` are the mean of r_x's and of r_y's means;
    `variance` is the total variance around them, that of the means and the mean of the variances,
    over both domains.
    """

    centre_x: Float[Tensor, " size"]
    centre_y: Float[Tensor, " size"]
    variance: Float[Tensor, " size"]

    @classmethod
    def of(cls, given_x: DiagonalNormal, given_y: DiagonalNormal) -> Aggregate:
        """Of r_x and r_y of a set of pairs (or of unpaired samples)."""
        totals = [
            (one.mean - one.mean.mean(0)).square().mean(0) + one.variance.mean(0)
            for one in (given_x, given_y)
        ]
        return cls(given_x.mean.mean(0), given_y.mean.mean(0), (totals[0] + totals[1]) / 2)


def euclidean(
    query: Float[Tensor, "queries size"], items: Float[Tensor, "items size"]
) -> Float[Tensor, "queries items"]:
    """Minus the Euclidean distance of means (the paper's protocol)."""
    return -torch.cdist(query, items)


def cosine(
    query: Float[Tensor, "queries size"],
    items: Float[Tensor, "items size"],
) -> Float[Tensor, "queries items"]:
    """Cosine of two means; centre those of each domain first, so that no offset counts."""
    normal = torch.nn.functional.normalize
    return normal(query, dim=1) @ normal(items, dim=1).T


def mutual_information(
    query: DiagonalNormal, items: DiagonalNormal, variance: Float[Tensor, " size"]
) -> Float[Tensor, "queries items"]:
    r"""Pointwise mutual information of query and item through z_s, in nats.

    $\log \int r(z | query)\, r(z | item) / p(z)\, dz$, with the aggregate posterior
    $p = N(0, v)$ of each dimension. For $r = N(a, s^2)$ and $N(b, t^2)$, with
    $D = s^2 + t^2 - s^2 t^2 / v$, a dimension gives

    $$\tfrac{1}{2} \log \frac{v}{D} +
      \frac{2ab - a^2 (1 - t^2 / v) - b^2 (1 - s^2 / v)}{2D}.$$

    A posterior wider than the aggregate is taken as no wider: it says nothing.

    Args:
        query: r of the queries, means centred by their domain.
        items: r of the items, means centred by theirs.
        variance: v of each dimension.
    """
    v = variance.clamp_min(torch.finfo(variance.dtype).tiny)
    a, b = query.mean, items.mean
    s, t = (torch.minimum(one.variance, v) for one in (query, items))
    left_s, left_t = 1 - s / v, 1 - t / v
    rows = max(1, ELEMENTS // max(1, b.numel()))
    parts = []
    for i in torch.arange(len(a), device=a.device).split(rows):
        a_i, s_i, left_i = a[i, None], s[i, None], left_s[i, None]
        spread = s_i + t * left_i
        fit = 2 * a_i * b - a_i.square() * left_t - b.square() * left_i
        parts.append((fit / spread - (spread / v).log()).sum(-1) / 2)
    return torch.cat(parts)


def local_scaling(
    score: Float[Tensor, "queries items"], neighbours: int = 10
) -> Float[Tensor, "queries items"]:
    """Cross-domain similarity local scaling: an item near to all queries counts for less.

    Twice the score less the mean score of the query's nearest items and that of the item's
    nearest queries (Conneau et al., "Word translation without parallel data", ICLR 2018).
    """
    k = min(neighbours, *score.shape)
    of_query = score.topk(k, dim=1).values.mean(1, keepdim=True)
    of_item = score.topk(k, dim=0).values.mean(0, keepdim=True)
    return 2 * score - of_query - of_item
