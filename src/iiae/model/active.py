"""Which dimensions of a latent carry signal above their noise."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.distributions import DiagonalNormal
from iiae.model.iiae import Active
from iiae.model.latents import Embeddings


def signal_share(
    posterior: DiagonalNormal,
) -> Float[Tensor, " size"]:
    """Var[mean] / (Var[mean] + E[variance]) of each dimension over a set, in [0, 1].

    Near 0 the posterior says the same of every sample (its mean may still order them, by
    differences far below its own noise); near 1 it tells samples apart. In float64, where squares
    of large means do not overflow; one sample has no signal.
    """
    mean, log_variance = (part.double() for part in posterior)
    signal = mean.var(0, correction=min(1, len(mean) - 1))
    return signal / (signal + log_variance.exp().mean(0))


def signal_shares(
    found: Embeddings,
) -> tuple[Float[Tensor, " shared"], Float[Tensor, " own_x"], Float[Tensor, " own_y"]]:
    """Signal share of each dimension of z_s (the smaller of r_x and r_y), z_x and z_y."""
    of_x, of_y = signal_share(found.shared_given_x), signal_share(found.shared_given_y)
    return (
        torch.minimum(of_x, of_y),
        signal_share(found.exclusive_x),
        signal_share(found.exclusive_y),
    )


def select_active(found: Embeddings, threshold: float) -> Active:
    """Dimensions whose signal share exceeds `threshold`; of z_s in r_x and in r_y alike.

    Of a latent in which none does, all: there is then nothing to tell idle dimensions from.
    """
    passing = (share > threshold for share in signal_shares(found))
    return Active(*(one if one.any() else torch.ones_like(one) for one in passing))
