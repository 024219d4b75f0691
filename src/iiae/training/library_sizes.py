"""Library sizes that predict the other domain, and so hand shared content to a decoder."""

from __future__ import annotations

import logging

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.data import PairSet
from iiae.model.iiae import IIAE
from iiae.model.units import CountUnits

PAIRS = 2000  # that are looked at
TOLD = 0.25  # share of the log size's variance from which on it is worth a warning
STRENGTH = 0.1  # of the ridge, times the mean square of a row

log = logging.getLogger("iiae")


@torch.no_grad()
def warn_of_sizes(model: IIAE, train: PairSet) -> None:
    """Warns where the other domain predicts a library size that a decoder is given.

    The size then is content that both share, as the sum over selected genes is of the type of a
    cell. The decoder reads it there, and z_s need not hold it.
    """
    sized = [
        isinstance(units, CountUnits) and units.size != "none"
        for units in (model.units_x, model.units_y)
    ]
    if not any(sized) or len(train) < 20:
        return
    pair = next(train.batches(PAIRS, train.sample(PAIRS, 0)))
    sides = model.units_x(pair.x), model.units_y(pair.y)
    for i, (name, other) in enumerate((("x", "y"), ("y", "x"))):
        size = model.known(pair)[i].size if sized[i] else None
        if size is None:
            continue
        share = held_out_r2(sides[1 - i].flatten(1), size.log())
        if share > TOLD:
            log.warning(
                "objective.%s.size: %s predicts %.0f%% of the variance of the log size, which "
                "hands shared content to the decoder past z_s; take sizes over all columns, before "
                "any are selected (size = 'given'), or 'none'",
                name,
                other,
                100 * share,
            )


def held_out_r2(values: Float[Tensor, "pairs size"], target: Float[Tensor, " pairs"]) -> float:
    """R2 of a ridge regression of the target, learned on half of the pairs, on the other half."""
    half = len(values) // 2
    centre = values[:half].double().mean(0)
    known, new = values[:half].double() - centre, values[half:].double() - centre
    mean = target[:half].double().mean()
    gram = known @ known.T
    ridge = STRENGTH * gram.diagonal().mean() * torch.eye(half, dtype=gram.dtype)
    weights = torch.linalg.solve(gram + ridge, target[:half].double() - mean)
    off = target[half:].double() - mean - new @ (known.T @ weights)
    spread = (target[half:].double() - target[half:].double().mean()).square().mean()
    return float(1 - off.square().mean() / spread.clamp_min(1e-12))
