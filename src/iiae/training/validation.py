"""What training learns from validation pairs: their mean loss, the best epoch, a collapse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from iiae.data import PairSet
from iiae.errors import RunError
from iiae.metrics.retrieval import partner_ranks
from iiae.model.iiae import IIAE
from iiae.model.latents import embed
from iiae.objectives import (
    Terms,
    iiae_terms,
)
from iiae.settings import TrainingSettings
from iiae.training.processes import Group, all_sum, any_process
from iiae.types import mapped

RANKED_PAIRS = 2000  # validation pairs among which partners are looked for
LEARNING_STEPS = 500  # by then z_s should hold something
COLLAPSED = 1e-2  # nats of KL[q(z_s given x, y) || p] under which z_s holds nothing


@torch.no_grad()
def mean_terms(model: IIAE, pairs: PairSet, batch: int, seed: int, group: Group) -> Terms:
    """Mean terms over all pairs, `(1,)` each: one fixed sample of z per pair.

    Raises:
        RunError: The loss of a pair is not finite.
    """
    rank, world, device = group
    sums, count = torch.zeros(len(Terms._fields), device=device), 0
    broken: list[int] = []
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for i, pair in enumerate(pairs.batches(batch)):
            if world > 1:  # each batch in one process, with noise of its own
                if i % world != rank:
                    continue
                torch.manual_seed(seed + i)
            pair = mapped(pair, lambda v: v.to(device))
            q, p = model(pair)
            terms = iiae_terms(pair, q, p)
            broken += [count + place for place in _not_finite(terms)]
            sums += torch.stack([term.sum() for term in terms])
            count += len(pair.x)
    if any_process([bool(broken)], device)[0]:
        raise validation_error(broken)
    *sums, total = all_sum(torch.cat([sums, sums.new_tensor([count])])).cpu().split(1)
    return Terms(*(part / total for part in sums))


def partner_recall(model: IIAE, pairs: PairSet, batch: int, seed: int) -> float:
    """Recall@1 of at most 2,000 pairs by the mean of z_s, the mean of both directions."""
    latents = embed(model, pairs.batches(batch, pairs.sample(RANKED_PAIRS, seed)))
    x, y = latents.shared_given_x.mean, latents.shared_given_y.mean
    ranks = torch.cat([partner_ranks(x, y), partner_ranks(y, x)])
    return (ranks == 0).double().mean().item()


def check_collapse(held: Sequence[float], steps: int) -> None:
    """Raises RunError if z_s holds nothing any more, or never learned to hold anything.

    Args:
        held: KL[q(z_s given x, y) || p] on validation pairs after each epoch, in nats.
        steps: Number of optimiser steps so far.
    """
    fell = max(held) >= COLLAPSED or steps >= LEARNING_STEPS  # not: has yet to learn
    if len(held) > 1 and fell and max(held[-2:]) < COLLAPSED:
        raise RunError(
            f"the shared latent collapsed: KL[q(z_s given x, y) || p] is {held[-1]:.1e} "
            "nats per pair, so z_s holds nothing. It usually helps to raise the likelihoods' "
            "weights (objective.x.weight, objective.y.weight), to lower objective.beta, or to "
            "lengthen the warm-up objective.tau"
        )


def best_epoch(history: Sequence[Mapping[str, float]], keep: str) -> int:
    """Place of the epoch with the lowest validation loss, or with most partners ranked first.

    Of epochs that rank as many first, the one of the lowest loss; of equal ones the first.
    """
    rows = [(-row["validation_recall"] if keep == "retrieval" else 0.0, row["validation_loss"])
            for row in history]  # fmt: skip
    return rows.index(min(rows))


def out_of_patience(history: Sequence[Mapping[str, float]], training: TrainingSettings) -> bool:
    """Whether the last `patience` epochs all failed to be better, in what `keep` chooses by.

    Of runs that keep the last weights, the validation loss decides.
    """
    if training.patience is None or not history:
        return False
    return len(history) - 1 - best_epoch(history, training.keep) >= training.patience


def _not_finite(terms: Terms) -> list[int]:
    """Places of the pairs whose loss is NaN or infinite."""
    each = torch.stack(list(terms)).sum(0)
    return (~each.isfinite()).nonzero().flatten().tolist()


def validation_error(pairs: Sequence[int]) -> RunError:
    """The error of a validation loss that is not finite; `pairs` are the pairs to blame."""
    where = f"pair {pairs[0]} of the validation set" if pairs else "the validation set"
    return RunError(
        f"the loss of {where} is NaN or infinite: its values are far from those of the training "
        "pairs. Look for an outlier there, or lower training.learning_rate"
    )
