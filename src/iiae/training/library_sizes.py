"""Library sizes that the other domain predicts, and which so give a decoder shared content."""

from __future__ import annotations

import logging

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iiae.data import PairSet
from iiae.metrics.probes import held_out_ridge
from iiae.model.iiae import IIAE
from iiae.model.units import CountUnits

PAIRS = 1000  # at most
LARGE = 0.25  # share of the log size's variance from which on it is worth a warning

log = logging.getLogger("iiae")


@torch.no_grad()
def warn_of_sizes(model: IIAE, train: PairSet) -> None:
    """Warns if the other domain predicts a library size that a decoder is given.

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
        share = predicted_share(sides[1 - i].flatten(1), size.log())
        if share > LARGE:
            log.warning(
                "objective.%s.size: %s predicts %.0f%% of the variance of the log size, which "
                "hands shared content to the decoder past z_s; take sizes over all columns, before "
                "any are selected (size = 'given'), or 'none'",
                name,
                other,
                100 * share,
            )


def predicted_share(values: Float[Tensor, "pairs size"], target: Float[Tensor, " pairs"]) -> float:
    """R2 of a ridge regression of the target, each half predicted from the other."""
    truth = target.double().cpu().numpy()[:, None]
    fold = np.arange(len(truth)) % 2
    predicted = held_out_ridge(values.double().cpu().numpy(), truth, fold)
    return float(1 - np.square(truth - predicted).mean() / max(truth.var(), 1e-12))
