"""Distance between two sets of feature vectors, as sets."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from iiae.errors import DataError


def kernel_distance(
    made: Float[Tensor, "made features"], real: Float[Tensor, "real features"]
) -> float:
    r"""Kernel distance (KID) of two sets, unbiased: about 0, or below, if they are of one kind.

    The squared maximum mean discrepancy $E[k(a, a')] + E[k(b, b')] - 2 E[k(a, b)]$ over pairs of
    different members, with $k(a, b) = (a \cdot b / d + 1)^3$ of vectors of $d$ values
    (Bińkowski et al. 2018, where they are Inception's).

    Raises:
        DataError: A set has fewer than two vectors.
    """
    if min(len(made), len(real)) < 2:
        raise DataError(f"{len(made)} and {len(real)} vectors; the kernel distance needs two each")
    a, b = made.double(), real.double()
    within = [(_kernel(one, one).sum() - _kernel_of_self(one).sum()) / (len(one) * (len(one) - 1))
              for one in (a, b)]  # fmt: skip
    return (within[0] + within[1] - 2 * _kernel(a, b).mean()).item()


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _kernel_of_self(a: Tensor) -> Tensor:
    return (a.square().sum(1) / a.shape[1] + 1) ** 3
