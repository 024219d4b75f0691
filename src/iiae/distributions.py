r"""Distributions that networks return: diagonal-normal posteriors and likelihoods.

Every `log_prob` and `kl` is in nats, one value per pair: summed over all elements of a
sample, never averaged over the batch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

LOG_VARIANCE_MAX = 9.21035
# Paper: no bound below. Here: exp(-15), because an unbounded one can overflow the inter-KLs to NaN.
LOG_VARIANCE_MIN = -15.0
# a learned log-scale moves this many times as far as a weight in one step of Adam
SCALE_STEPS = 10.0
LOG_SCALE_MIN = -3.0  # of a learned scale: the smallest is 5% of a unit


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
    loc, raw = _full(parameters).chunk(2, dim=1)
    bounded = raw.detach().clamp(LOG_VARIANCE_MIN, LOG_VARIANCE_MAX)
    log_variance = bounded + (raw - raw.detach())
    return DiagonalNormal(loc.flatten(1), log_variance.flatten(1))


class Likelihood(ABC):
    """p(x | z) of a batch."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """Expected sample, in the shape of the data."""

    @abstractmethod
    def log_prob(self, value: Tensor) -> Tensor:
        """Log density (or mass) of each sample in nats, `(batch,)`."""


class Laplace(Likelihood):
    """Independent Laplace elements with one scale: an L1 reconstruction term."""

    def __init__(self, loc: Tensor, scale: float):
        self.loc, self.scale = loc, scale

    @property
    def mean(self) -> Tensor:
        return self.loc

    def log_prob(self, value: Tensor) -> Tensor:
        distance = (value - self.loc).abs().flatten(1).sum(1)
        return -distance / self.scale - self.loc[0].numel() * math.log(2 * self.scale)


class ScaledLaplace(Likelihood):
    """Independent Laplace elements, each with a scale of its own (or one for all)."""

    def __init__(self, loc: Tensor, log_scale: Tensor):
        self.loc, self.log_scale = loc, log_scale

    @property
    def mean(self) -> Tensor:
        return self.loc

    def log_prob(self, value: Tensor) -> Tensor:
        distance = (value - self.loc).abs() * (-self.log_scale).exp()
        return -(distance + self.log_scale + math.log(2)).flatten(1).sum(1)


class Normal(Likelihood):
    """Independent normal elements with one variance: a squared-error reconstruction term."""

    def __init__(self, loc: Tensor, variance: float):
        self.loc, self.variance = loc, variance

    @property
    def mean(self) -> Tensor:
        return self.loc

    def log_prob(self, value: Tensor) -> Tensor:
        distance = (value - self.loc).square().flatten(1).sum(1)
        constant = 0.5 * self.loc[0].numel() * math.log(2 * math.pi * self.variance)
        return -distance / (2 * self.variance) - constant


class ScaledNormal(Likelihood):
    """Independent normal elements, each with a standard deviation of its own (or one for all)."""

    def __init__(self, loc: Tensor, log_scale: Tensor):
        self.loc, self.log_scale = loc, log_scale

    @property
    def mean(self) -> Tensor:
        return self.loc

    def log_prob(self, value: Tensor) -> Tensor:
        squared = (value - self.loc).square() * (-2 * self.log_scale).exp()
        terms = 0.5 * squared + self.log_scale + 0.5 * math.log(2 * math.pi)
        return -terms.flatten(1).sum(1)


class Bernoulli(Likelihood):
    """Independent binary elements; data in [0, 1]."""

    def __init__(self, logits: Tensor):
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        return self.logits.sigmoid()

    def log_prob(self, value: Tensor) -> Tensor:
        terms = F.binary_cross_entropy_with_logits(self.logits, value, reduction="none")
        return -terms.flatten(1).sum(1)


class Categorical(Likelihood):
    """Independent categories; logits and one-hot (or soft) data have classes on axis 1."""

    def __init__(self, logits: Tensor):
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        return self.logits.softmax(1)

    def log_prob(self, value: Tensor) -> Tensor:
        return (value * self.logits.log_softmax(1)).flatten(1).sum(1)


class Rescaled(Likelihood):
    """A likelihood of data, given by one of its columns in other units.

    Args:
        inner: In those units.
        units: The data in those units.
        mean: Of each column, where the units have their zero.
        deviation: Of each column, the size of a unit.
    """

    def __init__(
        self, inner: Likelihood, units: Callable[[Tensor], Tensor], mean: Tensor, deviation: Tensor
    ):
        self.inner, self.units = inner, units
        self.middle, self.deviation = mean, deviation

    @property
    def mean(self) -> Tensor:
        return self.inner.mean * self.deviation + self.middle

    def log_prob(self, value: Tensor) -> Tensor:
        known = self.deviation.where(self.deviation > 0, self.deviation.new_ones(()))
        return self.inner.log_prob(self.units(value)) - known.log().sum()


class Head(ABC):
    """Turns what a decoder's last layer gives into the likelihood of the data.

    `tanh` bounds the location to [-1, 1], the range of images. `outputs` is how many values of
    the decoder an element of the data needs: on axis 1, all first ones, then all second ones. A
    head that learns something of its own is an `nn.Module` too; its parameters are trained and
    stored with the decoder's.
    """

    outputs: int = 1

    @abstractmethod
    def __call__(self, raw: Tensor) -> Likelihood: ...


class LaplaceHead(Head):
    r"""Laplace with scale $b = D / w$, so that $-\log p = w \cdot mean|x - x'|$ + constant.

    Args:
        weight: $w$, the published reconstruction weight.
        tanh: Bound the location to [-1, 1].
    """

    def __init__(self, weight: float, tanh: bool):
        self.weight, self.tanh = weight, tanh

    def __call__(self, raw: Tensor) -> Laplace:
        loc = _location(raw, self.tanh)
        return Laplace(loc, loc[0].numel() / self.weight)


class NormalHead(Head):
    r"""Normal with $\sigma^2 = D / (2w)$, so that $-\log p = w \cdot mean(x - x')^2$ + constant."""

    def __init__(self, weight: float, tanh: bool):
        self.weight, self.tanh = weight, tanh

    def __call__(self, raw: Tensor) -> Normal:
        loc = _location(raw, self.tanh)
        return Normal(loc, loc[0].numel() / (2 * self.weight))


class LearnedScale(nn.Module, Head):
    r"""A likelihood whose scale is learned with the weights, so that no weight is chosen.

    The gradient of $-\log p$ leads the scale to what the decoder's error is: for a normal
    $\sigma^2 = E(x - x')^2$, for a Laplace $b = E|x - x'|$ (docs/objective.md). The log-scale is
    kept above `LOG_SCALE_MIN`, since the density of an element that is predicted without error
    has no bound.

    Args:
        likelihood: Of locations and log-scales.
        shape: Of the log-scales: of one sample, or `(1,)` for one scale of all elements.
        tanh: Bound the location to [-1, 1].
    """

    def __init__(
        self, likelihood: Callable[[Tensor, Tensor], Likelihood], shape: tuple[int, ...], tanh: bool
    ):
        super().__init__()
        self.likelihood, self.tanh = likelihood, tanh
        self.steps = nn.Parameter(torch.zeros(shape))

    @property
    def log_scale(self) -> Tensor:
        """Bounded below; the gradient flows as if it were not, which leads back."""
        raw = self.steps * SCALE_STEPS
        return raw.detach().clamp_min(LOG_SCALE_MIN) + (raw - raw.detach())

    def forward(self, raw: Tensor) -> Likelihood:
        return self.likelihood(_location(raw, self.tanh), self.log_scale)

    __call__ = nn.Module.__call__


class BernoulliHead(Head):
    """Logits as they are."""

    def __call__(self, raw: Tensor) -> Bernoulli:
        return Bernoulli(_full(raw))


class CategoricalHead(Head):
    """Logits as they are, classes on axis 1."""

    def __call__(self, raw: Tensor) -> Categorical:
        return Categorical(_full(raw))


class LikelihoodKind(NamedTuple):
    """A likelihood that settings can name.

    `head` takes `weight` and `tanh` if it is `weighted`, else nothing. `support` is what the data
    must be: any real number (of images: in [-1, 1]), in [0, 1], or shares that sum to 1 on axis 1.
    `scaled` is the likelihood of locations and log-scales to use where the weight is learned.
    """

    head: Callable[..., Head]
    weighted: bool = False
    support: Literal["real", "unit", "simplex"] = "real"
    scaled: Callable[[Tensor, Tensor], Likelihood] | None = None


LAPLACE = LikelihoodKind(LaplaceHead, weighted=True, scaled=ScaledLaplace)
NORMAL = LikelihoodKind(NormalHead, weighted=True, scaled=ScaledNormal)
BERNOULLI = LikelihoodKind(BernoulliHead, support="unit")
CATEGORICAL = LikelihoodKind(CategoricalHead, support="simplex")


def _location(raw: Tensor, tanh: bool) -> Tensor:
    return _full(raw).tanh() if tanh else _full(raw)


def _full(tensor: Tensor) -> Tensor:
    """float32 for half precisions; float32 and float64 stay."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


class Latents(NamedTuple):
    """One value of each latent, `(batch, size)` each."""

    shared: Float[Tensor, "batch shared"]
    exclusive_x: Float[Tensor, "batch exclusive_x"]
    exclusive_y: Float[Tensor, "batch exclusive_y"]


class Posteriors(NamedTuple):
    """What the encoders say of a batch of pairs.

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

    def mean(self) -> Latents:
        return Latents(self.shared.mean, self.exclusive_x.mean, self.exclusive_y.mean)


class Likelihoods(NamedTuple):
    """p(x given z_s, z_x) and p(y given z_s, z_y)."""

    x: Likelihood
    y: Likelihood
