"""Instance retrieval: does a query find its own partner among all items of the other domain?"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor


class Interval(NamedTuple):
    """A rate in [0, 1] with its 95% confidence interval."""

    rate: float
    low: float
    high: float


class InstanceRetrieval(NamedTuple):
    """Recall@K of one direction, by K, and what guessing would reach: K / items."""

    recall: dict[int, Interval]
    chance: dict[int, float]
    queries: int


def instance_retrieval(
    query: Float[Tensor, "items size"],
    gallery: Float[Tensor, "items size"],
    ks: tuple[int, ...] = (1, 5, 10),
) -> InstanceRetrieval:
    """Recall@K where item i of the gallery is the only right answer to query i.

    Squared Euclidean distance over all items (the paper's protocol). Ties go to the lower
    index, so equal latents score as chance does, not as hits.
    """
    ranks = partner_ranks(query, gallery)
    n = len(ranks)
    return InstanceRetrieval(
        recall={k: wilson(int((ranks < k).sum()), n) for k in ks},
        chance={k: min(1.0, k / n) for k in ks},
        queries=n,
    )


def partner_ranks(
    query: Float[Tensor, "items size"], gallery: Float[Tensor, "items size"], block: int = 512
) -> Int64[Tensor, " items"]:
    """How many gallery items come before item i in the ranking of query i; 0 is a hit at one.

    Memory beyond the arrays is that of `block` x items distances.
    """
    centre = gallery.mean(0)
    norms = torch.cat([(part - centre).square().sum(1) for part in gallery.split(block)])
    order = torch.arange(len(gallery), device=gallery.device)
    ranks: list[Tensor] = []
    for index in order.split(block):
        # |q - g|^2 less |q|^2, which ranks alike; centred, so that little cancels
        distance = norms - 2 * ((query[index] - centre) @ gallery.T)
        distance += 2 * ((query[index] - centre) @ centre)[:, None]
        own = distance.gather(1, index[:, None])
        tied = (distance == own) & (order < index[:, None])
        ranks.append(((distance < own) | tied).sum(1))
    return torch.cat(ranks)


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
