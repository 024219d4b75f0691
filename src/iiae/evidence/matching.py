"""Whether held-out partners match better than shuffled ones, by what a run has learned."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iiae.data.base import Splits
from iiae.errors import DataError
from iiae.metrics.contrast import choose_temperature, contrast_nats, permutation_test
from iiae.metrics.similarity import Aggregate, pointwise
from iiae.model.iiae import IIAE
from iiae.model.latents import Embeddings, embed
from iiae.results import Bound, Matching
from iiae.settings import EvaluationSettings

PAIRS = 4000  # held-out pairs that are scored with each other, at most
TRAINED = 2000  # training pairs whose posteriors make the aggregate one
CHOSEN = 1000  # pairs that the temperature is chosen on
RESAMPLES = 1000


def match_held_out(model: IIAE, data: Splits, split: str, settings: EvaluationSettings) -> Matching:
    """`match_partners` of a model and its data.

    Args:
        model: A trained model; it is left in evaluation mode.
        data: Its data. The temperature is chosen on validation pairs, or on training pairs if the
            validation pairs are measured.
        split: "test" or "validation": which pairs are measured.
        settings: Batch and random seed.

    Raises:
        DataError: There are fewer than three pairs.
    """
    held, other = data.test, data.validation
    if split == "validation":
        held, other = data.validation, data.train
    parts = ((data.train, TRAINED), (other, CHOSEN), (held, PAIRS))
    encoded = [
        embed(model, some.batches(settings.batch, some.sample(count, settings.seed)))
        for some, count in parts
    ]
    return match_partners(*encoded, seed=settings.seed)


def partner_scores(
    train: Embeddings, held: Embeddings, most: int, seed: int = 0
) -> Float[Tensor, "pairs pairs"]:
    r"""Pointwise mutual information of every x with every y through z_s, in nats.

    `iiae.metrics.similarity.pointwise` with the aggregate posterior of training pairs and the mean
    variance of each domain, so that the table is a product of matrices.

    Args:
        train: Posteriors of training pairs.
        held: Of the pairs to score.
        most: Number of pairs; of more, so many drawn at random.
        seed: Random seed of the drawing.
    """
    aggregate = Aggregate.of(train.shared_given_x, train.shared_given_y)
    picked = torch.from_numpy(
        np.sort(np.random.default_rng(seed).permutation(len(held.shared_given_x.loc))[:most])
    )
    x, y = held.shared_given_x.mean[picked], held.shared_given_y.mean[picked]
    a, b = x - aggregate.centre_x, y - aggregate.centre_y
    s, t = train.shared_given_x.variance.mean(0), train.shared_given_y.variance.mean(0)
    zero, one = torch.zeros_like(s), torch.ones_like(s)

    def weights(of_a: Tensor, of_b: Tensor) -> Tensor:
        return pointwise(of_a, s, of_b, t, aggregate.variance)

    # pointwise is a quadratic form of a and b, of which these are the coefficients
    constant = weights(zero, zero)
    square_a, square_b = weights(one, zero) - constant, weights(zero, one) - constant
    cross = weights(one, one) - constant - square_a - square_b
    own = (a.square() @ square_a)[:, None] + b.square() @ square_b
    return (a * cross) @ b.T + own + constant.sum()


def match_partners(
    train: Embeddings, chosen: Embeddings, held: Embeddings, seed: int = 0, permutations: int = 999
) -> Matching:
    """Nats and recall of held-out partners beside those of shuffled ones; nothing is trained.

    Args:
        train: Posteriors of training pairs, which give the aggregate posterior.
        chosen: Of pairs that are neither measured nor, at best, trained on: they choose the
            temperature.
        held: Of held-out pairs.
        seed: Random seed of pairs, shufflings and bootstrap.
        permutations: Number of shufflings.

    Raises:
        DataError: There are fewer than three pairs.
    """
    scores = partner_scores(train, held, PAIRS, seed)
    n = len(scores)
    if n < 3:
        raise DataError(f"partners are compared with other items: {n} pairs are too few")
    temperature = choose_temperature(partner_scores(train, chosen, CHOSEN, seed))
    each = contrast_nats(scores, temperature).numpy()
    null = permutation_test(scores, permutations, seed)
    rng = np.random.default_rng(seed)
    means = [each[rng.integers(n, size=n)].mean() for _ in range(RESAMPLES)]
    order = torch.arange(n)
    first = [(scores.argmax(axis) == order).double().mean().item() for axis in (0, 1)]
    return Matching(
        pairs=n,
        nats=Bound(float(each.mean()), *np.quantile(means, [0.025, 0.975]).tolist()),
        null=float(null.nats.mean()),
        null_high=float(np.quantile(null.nats, 0.95)),
        most=math.log(n),
        recall=sum(first) / 2,
        null_recall=float(null.recall.mean()),
        p_value=null.p_value,
        permutations=permutations,
    )
