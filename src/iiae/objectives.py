r"""The objective: interaction-information maximisation, as pure functions.

Hwang et al., "Variational Interaction Information Maximization for Cross-domain
Disentanglement", NeurIPS 2020. Maximises

$$L_{ELBO} + \lambda L_{dis}, \quad L_{dis} = 2 I(X;Y;Z_s) - I(Z_x;Z_s) - I(Z_y;Z_s).$$
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.distributions import Likelihoods, Posteriors
from iiae.types import Pair, PartialBatch


class Terms(NamedTuple):
    """Terms of the objective: nats per pair, unweighted, `(batch,)` each.

    | field | maths |
    |---|---|
    | `nll_x`, `nll_y` | -log p(x given z_s, z_x), -log p(y given z_s, z_y) |
    | `kl_x`, `kl_y` | KL[q(z_x given x) ‖ p(z_x)], KL[q(z_y given y) ‖ p(z_y)] |
    | `kl_s` | KL[q(z_s given x, y) ‖ p(z_s)] |
    | `kl_s_x`, `kl_s_y` | KL[q(z_s given x, y) ‖ r_x(z_s given x)], the same with r_y |
    """

    nll_x: Float[Tensor, " batch"]
    nll_y: Float[Tensor, " batch"]
    kl_x: Float[Tensor, " batch"]
    kl_y: Float[Tensor, " batch"]
    kl_s: Float[Tensor, " batch"]
    kl_s_x: Float[Tensor, " batch"]
    kl_s_y: Float[Tensor, " batch"]


def iiae_terms(pair: Pair, q: Posteriors, p: Likelihoods) -> Terms:
    """Every term of the objective, for posteriors `q` and likelihoods `p` of one sample of z."""
    return Terms(
        nll_x=-p.x.log_prob(pair.x),
        nll_y=-p.y.log_prob(pair.y),
        kl_x=q.exclusive_x.kl_standard(),
        kl_y=q.exclusive_y.kl_standard(),
        kl_s=q.shared.kl_standard(),
        kl_s_x=q.shared.kl(q.shared_given_x),
        kl_s_y=q.shared.kl(q.shared_given_y),
    )


def partial_terms(batch: PartialBatch, q: Posteriors, p: Likelihoods) -> Terms:
    r"""Terms of pairs, then of each x alone, then of each y alone; what is absent counts 0.

    For x alone r_x stands in for q(z_s given x, y): `nll_x`, `kl_x` and `kl_s` =
    KL[r_x ‖ p(z_s)], so that `elbo` is a lower bound on log p(x). No inter-KL.

    Paper: pairs only. Here: samples without a partner too (docs/objective.md).

    Args:
        batch: Pairs and samples alone.
        q: `shared` of the pairs; the others of all x and all y.
        p: Likelihoods of all x and all y.
    """
    n = batch.pairs
    r_x, r_y = q.shared_given_x, q.shared_given_y
    nll_x, nll_y = -p.x.log_prob(batch.x), -p.y.log_prob(batch.y)
    none_x, none_y = torch.zeros_like(nll_x[n:]), torch.zeros_like(nll_y[n:])

    def joined(pairs: Tensor, lone_x: Tensor = none_x, lone_y: Tensor = none_y) -> Tensor:
        return torch.cat([pairs[:n], lone_x, lone_y])

    kl_x, kl_y = q.exclusive_x.kl_standard(), q.exclusive_y.kl_standard()
    return Terms(
        nll_x=joined(nll_x, lone_x=nll_x[n:]),
        nll_y=joined(nll_y, lone_y=nll_y[n:]),
        kl_x=joined(kl_x, lone_x=kl_x[n:]),
        kl_y=joined(kl_y, lone_y=kl_y[n:]),
        kl_s=joined(q.shared.kl_standard(), r_x.kl_standard()[n:], r_y.kl_standard()[n:]),
        kl_s_x=joined(q.shared.kl(r_x.rows(slice(n)))),
        kl_s_y=joined(q.shared.kl(r_y.rows(slice(n)))),
    )


def elbo(t: Terms, anneal: float | Tensor = 1.0) -> Float[Tensor, " batch"]:
    r"""Evidence lower bound of each pair, in nats.

    $E_q[\log p(x, y | z)] - anneal \cdot (KL_x + KL_y + KL_s)$

    Paper: L_ELBO, without `anneal`. Here: `anneal`, to warm up the KL terms, as the
    authors' program does.

    Args:
        t: Terms of the objective.
        anneal: In [0, 1]; below 1 the value is no longer a bound.
    """
    return -(t.nll_x + t.nll_y) - anneal * (t.kl_x + t.kl_y + t.kl_s)


def information_bound(
    t: Terms,
    anneal: float | Tensor = 1.0,
    inter: float = 1.0,
    exclusive: float | Tensor = 1.0,
) -> Float[Tensor, " batch"]:
    r"""Lower bound on $L_{dis}$ of each pair, in nats, up to the entropies of the data.

    $E_q[\log p(x, y | z)] - anneal \cdot exclusive \cdot (KL_x + KL_y)
    - inter \cdot (KL[q_s \| r_x] + KL[q_s \| r_y])$

    The last two bound I(Y;Z_s given X) and I(X;Z_s given Y) from above; `anneal` does not
    touch them (authors' program).

    Paper: inter = exclusive = 1. Here: above 1 it is a looser bound. inter then prefers exclusive
    content to be in z_x and z_y; at 1 a nat of it costs the same there as in z_s. exclusive keeps
    what is shared, and costs little in z_s, out of z_x and z_y (docs/objective.md).
    """
    bound = -(t.nll_x + t.nll_y) - anneal * exclusive * (t.kl_x + t.kl_y)
    return bound - inter * (t.kl_s_x + t.kl_s_y)


def iiae_loss(
    t: Terms,
    beta: float,
    lam: float,
    anneal: float | Tensor = 1.0,
    inter: float = 1.0,
    exclusive: float | Tensor = 1.0,
) -> Float[Tensor, ""]:
    r"""$-mean(\beta \cdot elbo + \lambda \cdot information\_bound)$, to be minimised."""
    bound = information_bound(t, anneal, inter, exclusive)
    return -(beta * elbo(t, anneal) + lam * bound).mean()


def kl_warmup(step: int, tau: float) -> float:
    r"""$1 - \exp(-step / \tau)$: the weight of the KL terms at a training step.

    Args:
        step: Optimiser steps taken so far.
        tau: Steps to 63% of full weight; 0 means full weight from the start.
    """
    return 1.0 if tau == 0 else -math.expm1(-step / tau)


def exclusive_weight(done: float, exclusive: float) -> float:
    r"""$1 + (exclusive - 1) \cdot done^3$: the weight of KL_x and KL_y in the bound.

    It rises late: exclusive latents that are charged for before the decoder reads them empty out,
    and stay empty.

    Args:
        done: Part of all training steps taken so far, in [0, 1].
        exclusive: The weight at the end.
    """
    return 1 + (exclusive - 1) * done**3
