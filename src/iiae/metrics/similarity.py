r"""How like one sample's z_s is to another's: scores of r(z_s given query) and r(z_s given item).

A score is a table `(queries, items)` in which more is more alike. `euclidean` is the paper's.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.distributions import DiagonalNormal
from iiae.types import Domain

ELEMENTS = 2**24  # values of one latent dimension by query and item that are held at once


class Aggregate(NamedTuple):
    """The aggregate posterior: how z_s is distributed over a set of samples.

    One normal per dimension: `centre_x` and `centre_y` are the mean of r_x's and of r_y's means;
    `variance` is the total variance around them, that of the means and the mean of the variances,
    over both domains.
    """

    centre_x: Float[Tensor, " size"]
    centre_y: Float[Tensor, " size"]
    variance: Float[Tensor, " size"]

    def centred(self, posterior: DiagonalNormal, domain: Domain) -> DiagonalNormal:
        """r of samples of a domain, around that domain's mean."""
        centre = self.centre_x if domain == "x" else self.centre_y
        return DiagonalNormal(posterior.mean - centre, posterior.log_variance)

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

    $\log \int r(z | query)\, r(z | item) / p(z)\, dz$, with the aggregate posterior p: the sum of
    `pointwise` over dimensions.

    Args:
        query: r of the queries, means centred by their domain.
        items: r of the items, means centred by theirs.
        variance: v of each dimension.
    """
    a, s, b, t = query.mean, query.variance, items.mean, items.variance
    rows = max(1, ELEMENTS // max(1, b.numel()))
    parts = torch.arange(len(a), device=a.device).split(rows)
    return torch.cat([pointwise(a[i, None], s[i, None], b, t, variance).sum(-1) for i in parts])


def pointwise(a: Tensor, s: Tensor, b: Tensor, t: Tensor, variance: Tensor) -> Tensor:
    r"""Pointwise mutual information through each dimension, in nats; arguments broadcast.

    With the aggregate posterior $p = N(0, v)$, $r = N(a, s^2)$ and $N(b, t^2)$, and
    $D = s^2 + t^2 - s^2 t^2 / v$, a dimension gives

    $$\tfrac{1}{2} \log \frac{v}{D} +
      \frac{2ab - a^2 (1 - t^2 / v) - b^2 (1 - s^2 / v)}{2D}.$$

    A posterior wider than the aggregate is taken as no wider: it carries no information.

    Args:
        a: Means of the queries, centred by their domain.
        s: Variances of the queries.
        b: Means of the items, centred by theirs.
        t: Variances of the items.
        variance: v of each dimension.
    """
    v = variance.clamp_min(torch.finfo(variance.dtype).tiny)
    s, t = torch.minimum(s, v), torch.minimum(t, v)
    left_s, left_t = 1 - s / v, 1 - t / v
    spread = s + t * left_s
    fit = 2 * a * b - a.square() * left_t - b.square() * left_s
    return (fit / spread - (spread / v).log()) / 2


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
