"""Heads: from the outputs of a decoder's last layer to the likelihood of the data."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from iiae.distributions.likelihoods import (
    Bernoulli,
    Categorical,
    Laplace,
    Likelihood,
    Normal,
)
from iiae.distributions.normal import bounded, full

# a learned log-scale moves this many times as far as a weight in one step of Adam
SCALE_STEPS = 10.0
LOG_SCALE_MIN = -3.0  # of a learned scale: the smallest is 5% of a unit


class Head(ABC):
    """Turns the outputs of a decoder's last layer into the likelihood of the data.

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
        loc = location(raw, self.tanh)
        return Laplace(loc, loc[0].numel() / self.weight)


class NormalHead(Head):
    r"""Normal with $\sigma^2 = D / (2w)$, so that $-\log p = w \cdot mean(x - x')^2$ + constant."""

    def __init__(self, weight: float, tanh: bool):
        self.weight, self.tanh = weight, tanh

    def __call__(self, raw: Tensor) -> Normal:
        loc = location(raw, self.tanh)
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
        return bounded(self.steps * SCALE_STEPS, LOG_SCALE_MIN, math.inf)

    def forward(self, raw: Tensor) -> Likelihood:
        return self.likelihood(location(raw, self.tanh), self.log_scale)

    __call__ = nn.Module.__call__


class BernoulliHead(Head):
    """Logits as they are."""

    def __call__(self, raw: Tensor) -> Bernoulli:
        return Bernoulli(full(raw))


class CategoricalHead(Head):
    """Logits as they are, classes on axis 1."""

    def __call__(self, raw: Tensor) -> Categorical:
        return Categorical(full(raw))


def location(raw: Tensor, tanh: bool) -> Tensor:
    return full(raw).tanh() if tanh else full(raw)
