"""Diagonal-normal posteriors of latents."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

LOG_VARIANCE_MAX = 9.21035
# Paper: no bound below. Here: exp(-15), because an unbounded one can overflow the inter-KLs to NaN.
LOG_VARIANCE_MIN = -15.0


class DiagonalNormal(NamedTuple):
    """Normal distribution with diagonal covariance over latents `(batch, size)`."""

    loc: Float[Tensor, "batch size"]
    log_variance: Float[Tensor, "batch size"]

    @property
    def mean(self) -> Float[Tensor, "batch size"]:
        return self.loc

    @property
    def variance(self) -> Float[Tensor, "batch size"]:
        return self.log_variance.exp()

    def rows(self, which: slice) -> DiagonalNormal:
        """The distributions of some samples."""
        return DiagonalNormal(self.loc[which], self.log_variance[which])

    def damped(self, first: int, share: float) -> DiagonalNormal:
        """The same distributions; gradients through rows from `first` on are this share."""
        factor = torch.ones(len(self.loc), 1).to(self.loc)
        factor[first:] = share
        loc, spread = (
            value.detach() + factor * (value - value.detach())
            for value in (self.loc, self.log_variance)
        )
        return DiagonalNormal(loc, spread)

    def sample(self, generator: torch.Generator) -> Float[Tensor, "batch size"]:
        """One sample drawn with a generator, on the CPU; torch's own is left alone."""
        noise = torch.randn(self.loc.shape, generator=generator)
        return self.loc + noise * self.variance.sqrt()

    def rsample(self) -> Float[Tensor, "batch size"]:
        """Draws with torch's own generator; gradients reach both parameters."""
        return self.loc + torch.randn_like(self.loc) * (0.5 * self.log_variance).exp()

    def kl(self, other: DiagonalNormal) -> Float[Tensor, " batch"]:
        """KL[self || other] in nats per sample."""
        difference = self.log_variance - other.log_variance
        squared = (self.loc - other.loc).square() * (-other.log_variance).exp()
        return 0.5 * (squared + difference.exp() - difference - 1).sum(-1)

    def kl_standard(self) -> Float[Tensor, " batch"]:
        """KL[self || N(0, I)] in nats per sample."""
        terms = self.loc.square() + self.log_variance.exp() - self.log_variance - 1
        return 0.5 * terms.sum(-1)


def diagonal_normal(parameters: Float[Tensor, "batch two *shape"]) -> DiagonalNormal:
    """Splits axis 1 of a network's output into loc and bounded log-variance, flattened.

    Computed in float32 at least, whatever the network's precision.

    Paper: clipped, so that beyond the bounds no gradient flows and a dimension that once left them
    stays outside. Here: the gradient flows as if there were no bounds, which leads back.
    """
    loc, raw = full(parameters).chunk(2, dim=1)
    log_variance = bounded(raw, LOG_VARIANCE_MIN, LOG_VARIANCE_MAX)
    return DiagonalNormal(loc.flatten(1), log_variance.flatten(1))


def bounded(raw: Tensor, low: float, high: float) -> Tensor:
    """Clipped, but the gradient flows as if there were no bounds, which leads back."""
    return raw.detach().clamp(low, high) + (raw - raw.detach())


def full(tensor: Tensor) -> Tensor:
    """float32 for half precisions; float32 and float64 stay."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


class Latents(NamedTuple):
    """One value of each latent, `(batch, size)` each."""

    shared: Float[Tensor, "batch shared"]
    exclusive_x: Float[Tensor, "batch exclusive_x"]
    exclusive_y: Float[Tensor, "batch exclusive_y"]


class Posteriors(NamedTuple):
    """Posteriors of a batch of pairs.

    | field | maths |
    |---|---|
    | `shared` | q(z_s given x, y) |
    | `shared_given_x`, `shared_given_y` | r_x(z_s given x), r_y(z_s given y) |
    | `exclusive_x`, `exclusive_y` | q(z_x given x), q(z_y given y) |
    """

    shared: DiagonalNormal
    shared_given_x: DiagonalNormal
    shared_given_y: DiagonalNormal
    exclusive_x: DiagonalNormal
    exclusive_y: DiagonalNormal

    def rsample(self) -> Latents:
        return Latents(
            self.shared.rsample(), self.exclusive_x.rsample(), self.exclusive_y.rsample()
        )

    @property
    def mean(self) -> Latents:
        return Latents(self.shared.mean, self.exclusive_x.mean, self.exclusive_y.mean)
