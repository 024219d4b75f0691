"""Which dimensions of a latent carry information, in nats."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.distributions import DiagonalNormal
from iiae.metrics.comparison import Aggregate, pointwise
from iiae.model.iiae import Active
from iiae.model.latents import Embeddings

ERRORS = 2  # standard errors by which the nats of a dimension of z_s must exceed 0


def signal_share(
    posterior: DiagonalNormal,
) -> Float[Tensor, " size"]:
    """Var[mean] / (Var[mean] + E[variance]) of each dimension over a set, in [0, 1].

    Near 0 the posterior is the same for every sample (its mean may still order them, by
    differences far below its own noise); near 1 it separates samples. In float64, where squares
    of large means do not overflow; one sample has no signal.
    """
    mean, log_variance = (part.double() for part in posterior)
    signal = mean.var(0, correction=min(1, len(mean) - 1))
    return signal / (signal + log_variance.exp().mean(0))


def signal_nats(posterior: DiagonalNormal) -> Float[Tensor, " size"]:
    r"""$-\tfrac{1}{2} \log(1 - share)$ of each dimension: the information, in nats, of its latent
    samples about which sample of the set they belong to, if means are normal."""
    return -0.5 * torch.log1p(-signal_share(posterior).clamp_max(1 - 1e-15))


def latent_nats(
    embeddings: Embeddings,
) -> tuple[Float[Tensor, " shared"], Float[Tensor, " exclusive_x"], Float[Tensor, " exclusive_y"]]:
    """Nats of each dimension of z_s (the fewer of r_x and r_y), z_x and z_y."""
    of_x, of_y = signal_nats(embeddings.shared_given_x), signal_nats(embeddings.shared_given_y)
    return (
        torch.minimum(of_x, of_y),
        signal_nats(embeddings.exclusive_x),
        signal_nats(embeddings.exclusive_y),
    )


def common_nats(
    train: Embeddings, held: Embeddings
) -> tuple[Float[Tensor, " shared"], Float[Tensor, " shared"]]:
    """Pointwise mutual information of held-out partners through each dimension of z_s.

    Returns:
        Its mean over pairs, in nats, and the standard error. A dimension that holds what only one
        domain knows, or whose signal lies below its noise, has none.
    """
    aggregate = Aggregate.of(train.shared_given_x, train.shared_given_y)
    x = aggregate.centred(held.shared_given_x, "x")
    y = aggregate.centred(held.shared_given_y, "y")
    nats = pointwise(x.mean, x.variance, y.mean, y.variance, aggregate.variance).double()
    return nats.mean(0), nats.std(0, correction=0) / len(nats) ** 0.5


def select_active(train: Embeddings, held: Embeddings, least: float) -> Active:
    """The dimensions that hold at least `least` nats.

    A dimension of z_s is active if held-out partners share these nats through it, by more than
    twice the standard error: each active dimension makes the true partner more likely. A dimension
    of z_x or z_y is active if it separates the samples of the training set by as much. If no
    dimension of a latent passes, all are active, since none stands out from the idle ones.

    Args:
        train: Posteriors of training pairs.
        held: Posteriors of validation pairs.
        least: In nats.
    """
    mean, error = common_nats(train, held)
    _, of_x, of_y = latent_nats(train)
    passing = ((mean >= least) & (mean > ERRORS * error), of_x >= least, of_y >= least)
    return Active(*(one if one.any() else torch.ones_like(one) for one in passing))
