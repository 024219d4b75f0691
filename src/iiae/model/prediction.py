"""Intervals of what one domain predicts of the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iiae.distributions import DiagonalNormal, Likelihood
from iiae.errors import SettingsError
from iiae.model.iiae import IIAE
from iiae.model.translation import draw_exclusive
from iiae.types import DOMAINS, Context, Domain, Pair, mapped, other

VALUES = 2**21  # that are drawn at once, about
SAMPLES = 200  # draws by row
FEW_VALUES = 200  # below, levels are not learned


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
    samples: int = SAMPLES,
    seed: int = 0,
    context: Context = Context(),
    target: Context | None = None,
) -> Prediction:
    """The posterior predictive distribution of domain `to` given samples of the other.

    z_s is drawn from r given the source, the exclusive latent from the aggregate posterior (see
    `draw_exclusive`), and a value from the likelihood of both: an interval says where a
    measurement is expected, not only its mean. Its ends are quantiles of draws at the levels that
    held the wanted share of validation pairs' values (`calibrated_levels`).

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
    outside, learned = (1 - level) / 2, model.levels["xy".index(to)].cpu()
    shares = np.linspace(0, 1, len(learned))
    ends = np.interp([outside, 1 - outside], shares, learned.numpy())
    parts: list[Prediction] = []
    for _, means, values in _draws(model, source, to, samples, seed, context, target):
        low, high = np.quantile(values.numpy(), ends, axis=0).astype(np.float32)
        parts.append(Prediction(means.mean(0).numpy(), low, high))
    return Prediction(*(np.concatenate(each) for each in zip(*parts, strict=True)))


@torch.inference_mode()
def calibrated_levels(model: IIAE, pair: Pair, seed: int = 0) -> Float[Tensor, "2 levels"]:
    """Of x and of y: the level of predictions that shares 0 to 1 of true values stay below.

    If predictions were right, these levels would be the shares themselves. A model that fits its
    training pairs more closely than others predicts too narrow intervals: then true values gather
    at the ends, and wider levels hold the wanted share (Kuleshov, Fenner and Ermon 2018). With
    fewer than 200 values of a domain its levels stay as they are.

    Args:
        model: On the CPU; left in evaluation mode.
        pair: A batch of validation pairs.
        seed: Random seed of the draws.
    """
    levels = model.levels.clone()
    given = {"x": (pair.x, pair.context_x), "y": (pair.y, pair.context_y)}
    generator = torch.Generator().manual_seed(seed)
    for to, learned in zip(DOMAINS, levels, strict=True):
        source, context = given[other(to)]
        truth, places = given[to][0], []
        if truth.numel() < FEW_VALUES:
            continue
        for some, _, values in _draws(model, source, to, SAMPLES, seed, context):
            below, tied = values < truth[some], values == truth[some]
            lucky = torch.rand(truth[some].shape, generator=generator)  # spreads what is discrete
            places.append(below.float().mean(0) + lucky * tied.float().mean(0))
        shares = np.linspace(0, 1, len(learned))
        learned.copy_(torch.from_numpy(np.quantile(torch.cat(places).numpy(), shares)))
    return levels


def _draws(
    model: IIAE,
    source: Tensor,
    to: Domain,
    samples: int,
    seed: int,
    context: Context,
    target: Context | None = None,
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Some rows at a time: which, and means and values of the draws, `(samples, rows, *shape)`."""
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    target = context._replace(size=None) if target is None else target
    first, rows = 0, 1
    while first < len(source):
        some = slice(first, first + rows)
        own, wanted = (mapped(c, lambda v, some=some: v[some]) for c in (context, target))
        shared = model.encoder(other(to))(source[some], own).shared
        likelihood = _drawn(model, shared, to, samples, generator, wanted)
        means, values = likelihood.mean, likelihood.sample(generator)
        means, values = (one.unflatten(0, (samples, -1)) for one in (means, values))
        yield some, means, values
        first += rows
        rows = max(1, VALUES // means[:, 0].numel())


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
