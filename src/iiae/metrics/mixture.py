r"""A density of z_s as a whole, learned from the posteriors of pairs: a mixture of normals.

The aggregate posterior $q(z) = E\, q(z \mid pair)$ is not known from a few pairs. Any density m
that was fitted to other pairs gives an upper bound of the information,
$E\,KL[q_i \| m] = I + KL[q \| m]$, the closer the better it fits: of several the least counts.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from iiae.distributions import DiagonalNormal

COMPONENTS = (1, 5, 10, 20, 40)  # numbers of normals to choose among
FEWEST = 20  # posteriors a component
PRIOR = 30.0  # posteriors that the covariance of all components counts as, in that of each
ROUNDS = 25
HELD = 5  # one in so many chooses the number of components


class Mixture(NamedTuple):
    """Normals with weights: $m(z) = \\sum_k w_k N(z; \\mu_k, \\Sigma_k)$."""

    log_weight: Float64[Tensor, " components"]
    mean: Float64[Tensor, "components size"]
    factor: Float64[Tensor, "components size size"]  # lower Cholesky factor of the covariance

    def kl(self, q: DiagonalNormal) -> Float64[Tensor, " pairs"]:
        r"""KL of each posterior from the mixture in nats, from above; exact for one component.

        $-H[q_i] - \log \sum_k w_k \exp E_{q_i} \log N(z; \mu_k, \Sigma_k)$, by Jensen's inequality.

        Args:
            q: Posterior of each pair, in float64.
        """
        size = q.loc.shape[1]
        entropy = (q.log_variance.sum(1) + size * (1 + math.log(2 * math.pi))) / 2
        return -entropy - self.expected(q).logsumexp(1)

    def expected(self, q: DiagonalNormal) -> Float64[Tensor, "pairs components"]:
        r"""$\log w_k + E_{q_i} \log N(z; \mu_k, \Sigma_k)$."""
        terms: list[Tensor] = []
        for log_weight, mean, factor in zip(*self, strict=True):
            inverse = torch.cholesky_inverse(factor)
            far = q.loc - mean
            square = (far @ inverse * far).sum(1) + q.variance @ inverse.diagonal()
            size = 2 * factor.diagonal().log().sum() + len(mean) * math.log(2 * math.pi)
            terms.append(log_weight - (square + size) / 2)
        return torch.stack(terms, 1)


def fit_mixture(q: DiagonalNormal, components: int, generator: torch.Generator) -> Mixture:
    """The mixture of the posteriors, by expectation maximisation from random pairs.

    With one component it has the mean and covariance of the aggregate posterior. Of several, each
    covariance is drawn towards their mean, as if that were known from 30 more posteriors.

    Args:
        q: Posteriors, in float64.
        components: Number of normals.
        generator: Draws the pairs that components start from.
    """
    start = torch.randperm(len(q.loc), generator=generator)[:components]
    share = torch.cdist(q.loc, q.loc[start]).argmin(1)[:, None] == torch.arange(components)
    mixture = _maximised(q, share.double())
    for _ in range(ROUNDS if components > 1 else 0):
        mixture = _maximised(q, mixture.expected(q).softmax(1))
    return mixture


def choose_mixture(q: DiagonalNormal, generator: torch.Generator) -> Mixture:
    """`fit_mixture` with the number of components that suits a held-out fifth best."""
    order = torch.randperm(len(q.loc), generator=generator)
    held, rest = (of_pairs(q, part) for part in order.tensor_split([len(order) // HELD]))
    some = [k for k in COMPONENTS if k == 1 or k * FEWEST <= len(rest.loc)]
    far = {k: float(fit_mixture(rest, k, generator).kl(held).mean()) for k in some}
    return fit_mixture(q, min(far, key=lambda k: far[k]), generator)


def _maximised(q: DiagonalNormal, share: Float64[Tensor, "pairs components"]) -> Mixture:
    """The mixture that suits the posteriors best if each belongs to components by `share`."""
    count = share.sum(0).clamp(min=1e-9)
    mean = share.T @ q.loc / count[:, None]
    own = [
        (q.loc - m).T @ ((q.loc - m) * part[:, None]) + (part @ q.variance).diag()
        for m, part in zip(mean, share.T, strict=True)
    ]
    scatter = torch.stack(own)
    pooled = scatter.sum(0) / len(q.loc)
    covariance = (scatter + PRIOR * pooled) / (count + PRIOR)[:, None, None]
    return Mixture((count / len(q.loc)).log(), mean, torch.linalg.cholesky(covariance))


def of_pairs(q: DiagonalNormal, index: Tensor) -> DiagonalNormal:
    """Posteriors of the pairs at these indices, or where a mask holds."""
    return DiagonalNormal(q.loc[index], q.log_variance[index])
