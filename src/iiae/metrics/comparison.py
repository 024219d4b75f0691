"""How z_s of queries and items are compared in a search: a score that maps both to vectors.

The nearer the vectors, the more alike, so that any gallery of vectors can hold the items.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.distributions import DiagonalNormal
from iiae.metrics.retrieval import partner_ranks
from iiae.metrics.similarity import Aggregate
from iiae.types import DOMAINS, Domain, other

Score = Literal["euclidean", "cosine", "mutual-information"]
NEIGHBOURS = 10  # of an item among queries of the training set, for local scaling
REFERENCES = 1000  # such queries that are kept
ONE_SIDED = 1.645  # standard errors: a twentieth of a normal distribution is beyond
PAPERS = "euclidean of means (paper)"


class Comparison(NamedTuple):
    r"""How z_s of queries of one domain and of items of the other are compared.

    Means are centred by their domain and multiplied by a factor per dimension; for "cosine" they
    are brought to unit length. The nearer the vectors by Euclidean distance, the more alike.
    With `neighbours`, an item that is near to all queries counts for less: its vector has one more
    coordinate, so that squared distances rank by $2 d^2 - m$, with m the mean $d^2$ to its nearest
    queries among samples of the training set (cross-domain similarity local scaling, with queries
    that no search depends on). The first axis of each tensor is the domain, x and y.
    """

    score: Score
    neighbours: int
    centre: Float[Tensor, "2 size"]
    query: Float[Tensor, "2 size"]
    item: Float[Tensor, "2 size"]
    reference: Float[Tensor, "2 rows size"]
    ceiling: Float[Tensor, "2"]  # above m / 2 of any training item; 0 without local scaling

    @property
    def is_another(self) -> bool:
        """Whether it is another than the paper's: then means are centred."""
        return bool(self.centre.any()) or self.neighbours > 0 or self.score != "euclidean"

    @property
    def name(self) -> str:
        """In words."""
        return self.score.replace("-", " ") + (", local scaling" if self.neighbours else "")

    def of_dimensions(self, kept: Tensor) -> Comparison:
        """The same comparison of some dimensions alone; `kept` is a mask `(size,)`."""
        names = ("centre", "query", "item", "reference")
        return self._replace(**{n: getattr(self, n)[..., kept] for n in names})._with_ceiling()

    def queries(
        self, mean: Float[Tensor, "rows size"], domain: Domain
    ) -> Float[Tensor, "rows columns"]:
        """Vectors of queries, from the means of r given samples of a domain."""
        vectors = self._scaled(mean, domain, self.query)
        return torch.nn.functional.pad(vectors, (0, 1)) if self.neighbours else vectors

    def items(
        self, mean: Float[Tensor, "rows size"], domain: Domain
    ) -> Float[Tensor, "rows columns"]:
        """Vectors of items, from the means of r given samples of a domain."""
        vectors = self._scaled(mean, domain, self.item)
        if not self.neighbours:
            return vectors
        height = self.ceiling["xy".index(domain)] - self._nearness(vectors, domain) / 2
        return torch.cat([vectors, height.clamp_min(0).sqrt()[:, None]], 1)

    def _with_ceiling(self) -> Comparison:
        """Far beyond any training item, so that the root in `items` is of a positive number."""
        if not self.neighbours:
            return self
        near = [self._nearness(self._scaled(self._samples(d), d, self.item), d) for d in DOMAINS]
        return self._replace(ceiling=torch.stack([4 * one.max() for one in near]))

    def _scaled(self, mean: Tensor, domain: Domain, factor: Tensor) -> Tensor:
        place = "xy".index(domain)
        vectors = (mean - self.centre[place]) * factor[place]
        return torch.nn.functional.normalize(vectors) if self.score == "cosine" else vectors

    def _samples(self, domain: Domain) -> Float[Tensor, "rows size"]:
        return self.reference["xy".index(domain)]

    def _nearness(self, items: Tensor, domain: Domain) -> Float[Tensor, " items"]:
        """Mean squared distance of each item to the nearest reference queries."""
        queries = self._scaled(self._samples(other(domain)), other(domain), self.query)
        count = min(self.neighbours, len(queries))
        parts = [
            torch.cdist(some, queries).square().topk(count, dim=1, largest=False).values.mean(1)
            for some in items.split(4096)
        ]
        return torch.cat(parts)


def plain_comparison(size: int) -> Comparison:
    """The paper's: Euclidean distance of means."""
    same = torch.ones(2, size)
    zeros = torch.zeros(2, size)
    return Comparison("euclidean", 0, zeros, same, same, torch.zeros(2, 0, size), torch.zeros(2))


def make_comparison(
    score: Score, neighbours: int, given_x: DiagonalNormal, given_y: DiagonalNormal
) -> Comparison:
    """A comparison with the centres, variances and reference queries of training samples.

    For "mutual-information" every posterior's variance is taken as its domain's mean one; the
    quadratic form of `pointwise` then is a distance between scaled means.

    Args:
        score: Which one.
        neighbours: Number of nearest queries for local scaling, 0 for none.
        given_x: r_x of training samples.
        given_y: r_y of them, or of other samples of y.
    """
    aggregate = Aggregate.of(given_x, given_y)
    rows = min(len(given_x.mean), len(given_y.mean), REFERENCES if neighbours else 0)
    reference = torch.stack([one.mean[_spread(len(one.mean), rows)] for one in (given_x, given_y)])
    centre = torch.stack([aggregate.centre_x, aggregate.centre_y])
    query = item = torch.ones_like(centre)
    if score == "mutual-information":
        x, y = (one.variance.mean(0) for one in (given_x, given_y))
        ways = _factors(x, y, aggregate.variance), _factors(y, x, aggregate.variance)
        query = torch.stack([ways[0][0], ways[1][0]])
        item = torch.stack([ways[1][1], ways[0][1]])
    comparison = Comparison(score, neighbours, centre, query, item, reference, torch.zeros(2))
    return comparison._with_ceiling()


def _spread(rows: int, count: int) -> Tensor:
    return torch.linspace(0, max(0, rows - 1), count).round().long()


def _factors(s: Tensor, t: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    r"""Factors f, g of query and item means with $-(f a - g b)^2$ = `pointwise` but for what
    depends on the query alone: $g^2 = (1 - s^2/v) / 2D$, $fg = 1 / 2D$."""
    most = variance * (1 - 1e-4)  # a posterior as wide as the aggregate carries no information
    s, t = torch.minimum(s, most), torch.minimum(t, most)
    left = 1 - s / variance
    spread = s + t * left
    item = (left / (2 * spread)).sqrt()
    return 1 / (2 * spread * item), item


class Choice(NamedTuple):
    """A comparison, and the mean reciprocal rank of partners on validation pairs by each tried."""

    comparison: Comparison
    tried: Mapping[str, float]


def choose_comparison(
    train: tuple[DiagonalNormal, DiagonalNormal], validation: tuple[DiagonalNormal, DiagonalNormal]
) -> Choice:
    """The comparison by which partners of validation pairs come first; cosine if in doubt.

    Any other than cosine of centred means, the paper's too, must exceed its mean reciprocal rank
    over both directions by more than 1.645 standard errors of the difference between pairs (one
    side, 5%), which a few validation pairs do not allow. If the paper's is as good as cosine, it
    is the one to exceed. Mutual information discounts items that are near to all by itself,
    through the aggregate posterior: local scaling beside it must exceed it in the same way.

    Args:
        train: r_x and r_y of training samples.
        validation: r_x and r_y of validation pairs, row by row.
    """
    candidates = {PAPERS: plain_comparison(train[0].mean.shape[1])}
    for score in get_args(Score):
        for neighbours in (0, NEIGHBOURS):
            one = make_comparison(score, neighbours, *train)
            candidates[one.name] = one
    x, y = (one.mean for one in validation)
    values = {name: _reciprocal_ranks(one, x, y) for name, one in candidates.items()}
    tried = {name: value.mean().item() for name, value in values.items()}
    return Choice(candidates[_best(values)], tried)


def _best(values: Mapping[str, Float[Tensor, " pairs"]]) -> str:
    """The name to choose, by reciprocal ranks of each pair: see `choose_comparison`."""
    tried = {name: value.mean().item() for name, value in values.items()}
    base = PAPERS if tried[PAPERS] == tried["cosine"] else "cosine"
    better = [name for name in values if _exceeds(values[name], values[base])]
    alone, scaled = "mutual information", "mutual information, local scaling"
    if {alone, scaled} <= set(better) and not _exceeds(values[scaled], values[alone]):
        better.remove(scaled)
    return max(better, key=tried.__getitem__, default=base)


def _exceeds(value: Float[Tensor, " pairs"], base: Float[Tensor, " pairs"]) -> bool:
    gain = value - base
    return bool(gain.mean() > ONE_SIDED * gain.std(correction=0) / math.sqrt(len(gain)))


def _reciprocal_ranks(how: Comparison, x: Tensor, y: Tensor) -> Float[Tensor, " pairs"]:
    """Of each pair's partners, the mean of both directions."""
    to_y = partner_ranks(how.queries(x, "x"), how.items(y, "y"))
    to_x = partner_ranks(how.queries(y, "y"), how.items(x, "x"))
    return (1 / (1 + to_y.double()) + 1 / (1 + to_x.double())) / 2
