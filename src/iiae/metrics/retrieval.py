"""Instance retrieval: does a query find its own partner among all items of the other domain?"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from iiae.metrics.chance import any_relevant
from iiae.metrics.magnitude import ROOM, power_of_two

PART = 2**24  # values of the gallery that are centred at once


class Interval(NamedTuple):
    """A rate in [0, 1] with its 95% confidence interval."""

    rate: float
    low: float
    high: float


class InstanceRetrieval(NamedTuple):
    """Recall@K of one direction, by K, and what guessing would reach: K / items.

    Equal items of the gallery are one answer; `answers` is their number.
    """

    recall: dict[int, Interval]
    chance: dict[int, float]
    queries: int
    answers: int


class Answers(NamedTuple):
    """What is right for each query where some items are equal to others.

    `first` is a row of the gallery for each answer; `right` has the answers of each group of equal
    queries, `group` the group of each query. `turn` numbers the queries of one right answer: the
    order of answers at equal distances starts that much further on, so that it favours none.
    """

    first: Int64[Tensor, " answers"]
    right: list[Int64[Tensor, " some"]]
    group: Int64[Tensor, " items"]
    turn: Int64[Tensor, " items"]


def instance_retrieval(
    query: Float[Tensor, "items size"],
    gallery: Float[Tensor, "items size"],
    ks: tuple[int, ...] = (1, 5, 10),
    query_ids: Int64[Tensor, " items"] | None = None,
    gallery_ids: Int64[Tensor, " items"] | None = None,
) -> InstanceRetrieval:
    """Recall@K where item i of the gallery is the right answer to query i.

    Squared Euclidean distance over all items (the paper's protocol). Ties go to the lower
    index, so equal latents score as chance does, not as hits. Latents that are not finite
    are never retrieved.

    Args:
        query: One row per item.
        gallery: One row per item.
        ks: Cut-offs.
        query_ids: Numbers that are equal for queries which are the same; the partner of each of
            those is right for all of them.
        gallery_ids: The same for items of the gallery, which then are one answer.
    """
    answers = right_answers(len(query), query_ids, gallery_ids)
    ranks = partner_ranks(query, gallery, answers=answers)
    n, total = len(ranks), len(answers.first)
    each = torch.tensor([len(right) for right in answers.right])[answers.group]
    numbers, counts = each.unique(return_counts=True)
    relevant = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    return InstanceRetrieval(
        recall={k: wilson(int((ranks < min(k, total)).sum()), n) for k in ks},
        chance={
            k: sum(c * any_relevant(total, r, min(k, total)) for r, c in relevant.items()) / n
            for k in ks
        },
        queries=n,
        answers=total,
    )


def right_answers(
    items: int,
    query_ids: Int64[Tensor, " items"] | None = None,
    gallery_ids: Int64[Tensor, " items"] | None = None,
) -> Answers:
    """Which answers are right for which query; arguments as for `instance_retrieval`."""
    each = torch.arange(items)
    answer, total = _numbered(each if gallery_ids is None else gallery_ids.cpu())
    group, groups = _numbered(each if query_ids is None else query_ids.cpu())
    first = torch.full((total,), items).scatter_reduce(0, answer, each, "amin")
    order = torch.argsort(group, stable=True)
    right = [part.unique() for part in answer[order].split(torch.bincount(group).tolist())]
    smallest = torch.stack([part[0] for part in right]) if right else each
    turn, seen = torch.zeros(items, dtype=torch.int64), [0] * total
    for i, one in enumerate(smallest[group].tolist()):
        turn[i] = seen[one]
        seen[one] += 1
    assert groups == len(right)
    return Answers(first, right, group, turn)


def _numbered(ids: Int64[Tensor, " items"]) -> tuple[Int64[Tensor, " items"], int]:
    """Ids as numbers from 0 in the order in which they come first, and how many there are."""
    numbers: dict[int, int] = {}
    positions = [numbers.setdefault(one, len(numbers)) for one in ids.tolist()]
    return torch.tensor(positions, dtype=torch.int64), len(numbers)


def partner_ranks(
    query: Float[Tensor, "items size"],
    gallery: Float[Tensor, "items size"],
    chunk: int = 512,
    answers: Answers | None = None,
) -> Int64[Tensor, " items"]:
    """How many gallery items come before item i in the ranking of query i; 0 is a hit at one.

    A distance that is not a number comes last: a query or partner that is not finite has the rank
    `len(gallery)`, beyond every item. Memory beyond the arrays is that of `chunk` x items
    distances and of a part of the gallery.

    Args:
        query: One row per item.
        gallery: One row per item.
        chunk: Queries at once.
        answers: Where some items are equal: the rank is that of the nearest right answer.
    """
    answers = answers or right_answers(len(query))
    device, total = gallery.device, len(answers.first)
    if total < len(gallery):
        gallery = gallery[answers.first.to(device)]
    order = torch.arange(total, device=device)
    measure = _Distances(query, gallery)
    ranks = [order[:0]]
    for index in torch.arange(len(query)).split(chunk):
        distance = measure(query[index.to(query.device)])
        right = _padded([answers.right[group] for group in answers.group[index].tolist()])
        right, turn = right.to(device), answers.turn[index].to(device)[:, None]
        place = (order + turn) % total if turn.any() else order
        at = distance.gather(1, right)
        nearest = at.amin(1, keepdim=True)
        first = ((right + turn) % total).masked_fill(at > nearest, total).amin(1, keepdim=True)
        # what comes before the nearest right answer is wrong, so it need not be checked
        before = (distance < nearest) | ((distance == nearest) & (place < first))
        ranks.append(before.sum(1).masked_fill(nearest[:, 0] == math.inf, total))
    return torch.cat(ranks)


def _padded(rows: list[Tensor]) -> Int64[Tensor, "queries most"]:
    """Rows of different length as one table; the first of each fills it up."""
    most = max(len(row) for row in rows)
    return torch.stack([torch.cat([row, row[:1].expand(most - len(row))]) for row in rows])


class _Distances:
    """Squared distances of some queries to every item; infinite if they cannot be compared.

    Scaled by a power of two, so that no square overflows or vanishes, and computed around the
    gallery's middle, so that little cancels. In float64, unless all values are float32 and of
    about one size: products of large latents take half the time then.
    """

    def __init__(self, query: Tensor, gallery: Tensor):
        sound = gallery.isfinite().all(1)
        self.far = ~sound
        some = gallery[sound]
        some = some[:: max(1, len(some) // 1000)].double()
        centre = some.median(0).values if len(some) else some.sum(0)
        largest, typical = max(_largest(query), _largest(gallery)), _typical(some - centre)
        narrow = query.dtype == gallery.dtype == torch.float32 and largest <= 1000 * typical
        self.kind = torch.float32 if narrow else torch.float64
        self.factor = power_of_two(largest, 0 if narrow else ROOM)
        self.centre = (centre * self.factor).to(self.kind)
        rows = max(1, PART // max(1, gallery.shape[1]))
        self.parts = list(zip(gallery.split(rows), sound.split(rows), strict=True))
        self.norms = [self._centred(*part).square().sum(1) for part in self.parts]

    def __call__(self, query: Tensor) -> Float[Tensor, "queries items"]:
        sound = query.isfinite().all(1)
        rows = self._centred(query, sound)
        # without |q|^2, which changes no ranking
        parts = [
            torch.addmm(norms, rows, self._centred(*part).T, alpha=-2)
            for norms, part in zip(self.norms, self.parts, strict=True)
        ]
        distance = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        if self.far.any():
            distance[:, self.far] = math.inf
        distance[~sound] = math.inf
        return distance

    def _centred(
        self, rows: Float[Tensor, "rows size"], sound: Bool[Tensor, " rows"]
    ) -> Float[Tensor, "rows size"]:
        """A row that is not finite is at the middle; its distances are not used."""
        centred = rows.to(self.kind, copy=True).mul_(self.factor).sub_(self.centre)
        return centred if sound.all() else centred.masked_fill_(~sound[:, None], 0)


def _typical(rows: Tensor) -> float:
    """Median over rows of their largest magnitude; 0 of none."""
    return float(rows.abs().amax(1).median()) if rows.numel() else 0.0


def _largest(rows: Tensor) -> float:
    """The largest finite magnitude."""
    parts = (part.abs().nan_to_num(0, 0, 0) for part in rows.split(4096) if part.numel())
    return max((float(part.max()) for part in parts), default=0.0)


def guessed(hits: int, trials: int, chance: float) -> float:
    """How likely guessing hits so often or more: the exact tail of the binomial.

    >>> round(guessed(3, 40, 1 / 40), 3), guessed(0, 40, 1 / 40)
    (0.078, 1.0)
    """
    if hits <= trials * chance:
        return 1.0
    counts = torch.arange(hits, trials + 1, dtype=torch.float64)
    probability = torch.tensor(chance, dtype=torch.float64)
    tail = torch.distributions.Binomial(trials, probability).log_prob(counts)
    return float(tail.exp().sum())


def wilson(hits: int, trials: int, z: float = 1.959964) -> Interval:
    """Wilson's score interval of a rate (95% by default).

    >>> wilson(0, 10_000).high < 0.0004
    True
    """
    rate = hits / trials
    scale = 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials**2)) / scale
    low = 0.0 if hits == 0 else centre - half
    high = 1.0 if hits == trials else centre + half
    return Interval(rate, low, high)
