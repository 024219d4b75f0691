r"""What the latents hold, in nats: bounds that need only the densities a model has.

All are of the joint distribution of the data and the encoders, so each holds for any weights,
trained or not. $q_s$ is the exact conditional of z_s; $r_x$, $r_y$ are not those of z_s given one
domain, $p(z_s|x) = E_{y|x}\, q_s$, and stand in for them. With N pairs and one sample z of each:

- I(X;Z_x) $\le E\,KL[q(z_x \mid x) \| m]$: equal less $KL[q(z_x) \| m] \ge 0$, for any m that
  does not depend on the pair: the smaller of the prior and the normal with the mean and covariance
  of the aggregate posterior of other pairs (`aggregate_kl`). The same for y.
- I(X;Z_x) $\ge E \log q(z_i \mid x_i) / \frac1N \sum_j q(z_i \mid x_j)$: InfoNCE; the same for y.
- I(X;Z_s given Y) $\le E\,KL[q_s \| r_y]$: equal less $E\,KL[p(z_s \mid y) \| r_y] \ge 0$; the same
  for I(Y;Z_s given X) with $r_x$.
- I(X,Y;Z_s) $\le E\,KL[q_s \| m]$, as the first; m also a mixture of normals fitted to training
  pairs (`iiae.metrics.mixture`).
- I(X,Y;Z_s) $\le E \log q_s(z_i \mid i) / \frac{1}{N-1} \sum_{j \ne i} q_s(z_i \mid j)$, leave one
  out (Poole et al. 2019), by Jensen's inequality; needs the exact conditional, which $q_s$ is.
- I(X,Y;Z_s) $\ge E \log q_s(z_i \mid i) / \frac1N \sum_j q_s(z_i \mid j)$: InfoNCE, at most log N.
- I(X;Z_s) $\ge E \log r_x(z_i \mid x_i) / \frac1N \sum_j r_x(z_i \mid x_j)$: InfoNCE with $r_x$ as
  critic, which holds for any critic; the same for y.
- I(X;Z_s) $\lesssim E \log r_x(z_i \mid x_i) / \frac{1}{N-1} \sum_{j \ne i} r_x(z_i \mid x_j)$: a
  bound only if $r_x$ is $p(z_s \mid x)$, otherwise on either side; the same for y.

The interaction information $I(X;Y;Z_s) = I(X;Z_s) - I(X;Z_s|Y) = I(X;Y) - I(X;Y|Z_s)$ is

- at least InfoNCE(X;Z_s) - KL[q_s ‖ r_y], InfoNCE(Y;Z_s) - KL[q_s ‖ r_x], and InfoNCE(X,Y;Z_s) -
  KL[q_s ‖ r_x] - KL[q_s ‖ r_y], from $I(X,Y;Z_s) = I(X;Y;Z_s) + I(Y;Z_s|X) + I(X;Z_s|Y)$. It never
  exceeds I(X;Y), so these are lower bounds of I(X;Y) as well, without any assumption;
- at least $E\,KL[q_s \| m] - KL[q_s \| r_x] - KL[q_s \| r_y]$ if the aggregate posterior is m,
  and equal if r_x and r_y are right too. An estimate, no bound: it is too large by
  $KL[q(z_s) \| m]$ and too small by what r_x and r_y miss. It has no limit of log N;
- at most I(X;Z_s), I(Y;Z_s) and so I(X,Y;Z_s). A bound of I(X;Y) from above follows only if z_s
  says all that x and y share, I(X;Y|Z_s) = 0. The gap cannot close: such a z_s has
  $I(X,Y;Z_s) \ge$ Wyner's common information $\ge I(X;Y)$.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from iiae.data.base import PairSet
from iiae.distributions import DiagonalNormal, Posteriors
from iiae.errors import DataError
from iiae.metrics.mixture import choose_mixture, fit_mixture, of_pairs
from iiae.model.iiae import IIAE
from iiae.results import Bound, InformationTerms
from iiae.types import mapped

PAIRS = 10_000  # beyond it, so many drawn at random: the work grows with the square
RESAMPLES = 1000
TRAINED = 4000  # pairs that a mixture is fitted to, at most
FOLDS = 5  # of the normal that stands for the aggregate posterior


class Contrast(NamedTuple):
    """Log density of each z under its own pair against a mixture over pairs, `(pairs,)`."""

    lower: Float64[Tensor, " pairs"]
    upper: Float64[Tensor, " pairs"]


def information_terms(
    model: IIAE, pairs: PairSet, batch: int = 500, seed: int = 0, train: PairSet | None = None
) -> InformationTerms:
    """Bounds on the information in each latent, over pairs that were not trained on.

    Args:
        model: A trained model; it is left in evaluation mode.
        pairs: In their fixed appearance; of more than 10,000 a random 10,000.
        batch: Pairs a step.
        seed: Random seed of the pairs, of the samples of z_s and of the bootstrap.
        train: Other pairs, that a mixture is fitted to as the density of z_s as a whole; without
            them it is one normal, of the other pairs of `pairs`.

    Raises:
        DataError: There are fewer than three pairs.
    """
    q = _posteriors(model, pairs, pairs.sample(PAIRS, seed), batch)
    n = len(q.shared.loc)
    if n < 3:
        raise DataError(f"information bounds contrast each pair with others: {n} are too few")
    generator = torch.Generator().manual_seed(seed)
    z = _drawn(q.shared, generator)
    own = (q.exclusive_x, q.exclusive_y)
    own_x, own_y = (_smallest(r.kl_standard(), aggregate_kl(r, generator)) for r in own)
    least_x, least_y = (contrast(_drawn(r, generator), r).lower for r in own)
    kl = {
        "exclusive_x": own_x,
        "exclusive_y": own_y,
        "exclusive_x_lower": least_x,
        "exclusive_y_lower": least_y,
        "only_x": q.shared.kl(q.shared_given_y),
        "only_y": q.shared.kl(q.shared_given_x),
        "joint_prior": q.shared.kl_standard(),
        "joint_mixture": aggregate_kl(q.shared, generator),
    }
    if train is not None:
        others = _posteriors(model, train, train.sample(TRAINED, seed), batch).shared
        fitted = choose_mixture(others, generator).kl(q.shared)
        kl["joint_mixture"] = _smallest(kl["joint_mixture"], fitted)
    contrasts = [contrast(z, r) for r in (q.shared, q.shared_given_x, q.shared_given_y)]
    return InformationTerms(n, **_bounds({**kl, **_of_shared(kl, *contrasts)}, generator))


def _of_shared(
    kl: dict[str, Tensor], joint: Contrast, x: Contrast, y: Contrast
) -> dict[str, Tensor]:
    """Terms of z_s that contrast pairs, and those of the interaction information, by pair."""
    return {
        "joint_upper": joint.upper,
        "joint_lower": joint.lower,
        "shared_x_lower": x.lower,
        "shared_y_lower": y.lower,
        "shared_x_fitted": x.upper,
        "shared_y_fitted": y.upper,
        "interaction_lower": _largest(
            x.lower - kl["only_x"],
            y.lower - kl["only_y"],
            joint.lower - kl["only_x"] - kl["only_y"],
        ),
        "interaction_upper": _smallest(joint.upper, kl["joint_prior"], kl["joint_mixture"]),
        "interaction_fitted": _smallest(x.upper, y.upper),
        "interaction_estimate": kl["joint_mixture"] - kl["only_x"] - kl["only_y"],
    }


def contrast(z: Float64[Tensor, "pairs size"], q: DiagonalNormal, block: int = 1000) -> Contrast:
    r"""$\log q(z_i|i)$ less the log of its mean over pairs: over all (InfoNCE), over the others.

    Args:
        z: One sample a pair.
        q: Posterior of each pair, in float64.
        block: Samples compared at once; memory is that of `block` x pairs numbers.
    """
    n = len(z)
    precision = (-q.log_variance).exp()
    of_pair = (q.loc.square() * precision + q.log_variance).sum(1)
    lower, upper = [], []
    for index in torch.arange(n).split(block):
        some = z[index]
        square = some.square() @ precision.T - 2 * some @ (q.loc * precision).T
        scores = -0.5 * (square + of_pair)  # up to a constant, which cancels
        own = scores.gather(1, index[:, None])[:, 0]
        lower.append(own - scores.logsumexp(1) + math.log(n))
        scores.scatter_(1, index[:, None], -math.inf)
        upper.append(own - scores.logsumexp(1) + math.log(n - 1))
    return Contrast(torch.cat(lower), torch.cat(upper))


def aggregate_kl(q: DiagonalNormal, generator: torch.Generator) -> Float64[Tensor, " pairs"]:
    """KL of each posterior from a normal with the mean and covariance of other pairs, in nats.

    Args:
        q: Posterior of each pair, in float64.
        generator: Draws the five folds.
    """
    divergence = torch.empty(len(q.loc), dtype=torch.float64)
    order = torch.randperm(len(q.loc), generator=generator)
    for part in order.tensor_split(min(FOLDS, len(order))):
        rest = torch.ones(len(order), dtype=torch.bool).index_fill_(0, part, False)
        divergence[part] = fit_mixture(of_pairs(q, rest), 1, generator).kl(of_pairs(q, part))
    return divergence


def _drawn(q: DiagonalNormal, generator: torch.Generator) -> Float64[Tensor, "pairs size"]:
    noise = torch.randn(q.loc.shape, generator=generator, dtype=torch.float64)
    return q.loc + noise * q.variance.sqrt()


@torch.inference_mode()
def _posteriors(model: IIAE, pairs: PairSet, index: Tensor, batch: int) -> Posteriors:
    """Every posterior of the pairs at these indices, on the CPU in float64."""
    model.eval()
    device = model.active.device
    rows = [
        model.encode(mapped(pair, lambda v: v.to(device))) for pair in pairs.batches(batch, index)
    ]
    return Posteriors(
        *(
            DiagonalNormal(*(torch.cat(part).double().cpu() for part in zip(*column)))  # noqa: B905
            for column in zip(*rows, strict=True)
        )
    )


def _largest(*each: Float[Tensor, " pairs"]) -> Float[Tensor, " pairs"]:
    """Of several bounds from below, the one with the largest mean that is finite."""

    def mean(values: Tensor) -> float:
        value = float(values.mean())
        return value if math.isfinite(value) else -math.inf

    return max(each, key=mean)


def _smallest(*each: Float[Tensor, " pairs"]) -> Float[Tensor, " pairs"]:
    """Of several bounds from above, the one with the smallest mean that is finite."""
    return -_largest(*(-values for values in each))


def _bounds(each: dict[str, Tensor], generator: torch.Generator) -> dict[str, Bound]:
    """Mean and percentile interval of every bound, over the same resampled pairs."""
    values = torch.stack(list(each.values()), 1)
    n = len(values)
    means = torch.stack(
        [values[torch.randint(n, (n,), generator=generator)].mean(0) for _ in range(RESAMPLES)]
    )
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    low, high = means.quantile(ends, 0)
    rows = torch.stack([values.mean(0), low, high], 1).tolist()
    return {name: Bound(*row) for name, row in zip(each, rows, strict=True)}
