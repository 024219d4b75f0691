"""Intervals of what one domain predicts of the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iiae.distributions import DiagonalNormal, Likelihood
from iiae.errors import SettingsError
from iiae.model.iiae import IIAE
from iiae.model.translation import draw_exclusive
from iiae.types import Context, Domain, mapped, other

ROWS = 16  # that are predicted at once


class Prediction(NamedTuple):
    """Predicted samples, and the interval of each value, `(rows, *shape)` each."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


@torch.inference_mode()
def predict(
    model: IIAE,
    source: Float[Tensor, "batch *source"],
    to: Domain,
    level: float = 0.9,
    samples: int = 200,
    seed: int = 0,
    context: Context = Context(),
    target: Context | None = None,
) -> Prediction:
    """The posterior predictive distribution of domain `to` given samples of the other.

    z_s is drawn from r given the source, the exclusive latent from the aggregate posterior (see
    `draw_exclusive`), and a value from the likelihood of both: an interval says where a
    measurement is expected, not only its mean.

    Args:
        model: On the CPU; left in evaluation mode.
        source: Samples of the domain that `to` is not.
        to: "x" or "y".
        level: Share of measurements that ought to lie in the interval, in (0, 1).
        samples: Number of draws for each row.
        seed: Random seed of the draws.
        context: Covariates of the source, where the model takes any.
        target: Covariates and library sizes of the prediction; by default those of the source, and
            the median size of training samples.

    Raises:
        SettingsError: `level` or `samples` is out of range.
        DataError: Covariates are missing.
    """
    if not 0 < level < 1 or samples < 2:
        raise SettingsError(
            f"level = {level}, samples = {samples}: a level is between 0 and 1, and samples are "
            "2 or more"
        )
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    target = context._replace(size=None) if target is None else target
    parts: list[Prediction] = []
    for first in range(0, len(source), ROWS):
        some = slice(first, first + ROWS)
        own, wanted = (mapped(c, lambda v, some=some: v[some]) for c in (context, target))
        shared = model.encoder(other(to))(source[some], own).shared
        likelihood = _drawn(model, shared, to, samples, generator, wanted)
        means, values = likelihood.mean, likelihood.sample(generator)
        parts.append(_summary(means, values, samples, level))
    return Prediction(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _drawn(
    model: IIAE,
    shared: DiagonalNormal,
    to: Domain,
    samples: int,
    generator: torch.Generator,
    target: Context,
) -> Likelihood:
    """Likelihoods given draws of both latents: all rows, `samples` times over."""
    many = DiagonalNormal(*(part.repeat(samples, 1) for part in shared)).sample(generator)
    exclusive = draw_exclusive(model, to, len(many), generator)
    repeated = mapped(target, lambda v: v.repeat(samples, *[1] * (v.ndim - 1)))
    return model.decoder(to)(many, exclusive, repeated)


def _summary(means: Tensor, values: Tensor, samples: int, level: float) -> Prediction:
    outside = (1 - level) / 2
    drawn = values.unflatten(0, (samples, -1)).numpy()
    low, high = np.quantile(drawn, [outside, 1 - outside], axis=0).astype(np.float32)
    return Prediction(means.unflatten(0, (samples, -1)).mean(0).numpy(), low, high)
