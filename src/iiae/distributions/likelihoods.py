"""Likelihoods of data that is real, binary or categorical."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


class Likelihood(ABC):
    """p(x | z) of a batch."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """Expected sample, in the shape of the data."""

    @abstractmethod
    def log_prob(self, value: Tensor) -> Tensor:
        """Log density (or mass) of each sample in nats, `(batch,)`."""

    @abstractmethod
    def sample(self, generator: Generator) -> Tensor:
        """Data drawn with a generator of the same device, in the shape of the mean."""


class Located(Likelihood):
    """Elements about `loc`, which is their mean too."""

    loc: Tensor

    @property
    def mean(self) -> Tensor:
        return self.loc


class Scaled(Located):
    """Elements with a log-scale each, or one for all."""

    def __init__(self, loc: Tensor, log_scale: Tensor):
        self.loc, self.log_scale = loc, log_scale


class Laplace(Located):
    """Independent Laplace elements with one scale: an L1 reconstruction term."""

    def __init__(self, loc: Tensor, scale: float):
        self.loc, self.scale = loc, scale

    def log_prob(self, value: Tensor) -> Tensor:
        distance = (value - self.loc).abs().flatten(1).sum(1)
        return -distance / self.scale - self.loc[0].numel() * math.log(2 * self.scale)

    def sample(self, generator: Generator) -> Tensor:
        return self.loc + self.scale * _noise(_laplace, self.loc, generator)


class ScaledLaplace(Scaled):
    """Independent Laplace elements, each with a scale of its own (or one for all)."""

    def log_prob(self, value: Tensor) -> Tensor:
        distance = (value - self.loc).abs() * (-self.log_scale).exp()
        return -(distance + self.log_scale + math.log(2)).flatten(1).sum(1)

    def sample(self, generator: Generator) -> Tensor:
        return self.loc + self.log_scale.exp() * _noise(_laplace, self.loc, generator)


class Normal(Located):
    """Independent normal elements with one variance: a squared-error reconstruction term."""

    def __init__(self, loc: Tensor, variance: float):
        self.loc, self.variance = loc, variance

    def log_prob(self, value: Tensor) -> Tensor:
        distance = (value - self.loc).square().flatten(1).sum(1)
        constant = 0.5 * self.loc[0].numel() * math.log(2 * math.pi * self.variance)
        return -distance / (2 * self.variance) - constant

    def sample(self, generator: Generator) -> Tensor:
        return self.loc + math.sqrt(self.variance) * _noise(torch.randn, self.loc, generator)


class ScaledNormal(Scaled):
    """Independent normal elements, each with a standard deviation of its own (or one for all)."""

    def log_prob(self, value: Tensor) -> Tensor:
        squared = (value - self.loc).square() * (-2 * self.log_scale).exp()
        terms = 0.5 * squared + self.log_scale + 0.5 * math.log(2 * math.pi)
        return -terms.flatten(1).sum(1)

    def sample(self, generator: Generator) -> Tensor:
        return self.loc + self.log_scale.exp() * _noise(torch.randn, self.loc, generator)


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

    def sample(self, generator: Generator) -> Tensor:
        return torch.bernoulli(self.mean, generator=generator)


class Categorical(Likelihood):
    """Independent categories; logits and one-hot (or soft) data have classes on axis 1."""

    def __init__(self, logits: Tensor):
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        return self.logits.softmax(1)

    def log_prob(self, value: Tensor) -> Tensor:
        return (value * self.logits.log_softmax(1)).flatten(1).sum(1)

    def sample(self, generator: Generator) -> Tensor:
        last = self.mean.movedim(1, -1)
        drawn = torch.multinomial(last.flatten(0, -2), 1, generator=generator)
        classes = drawn.view(last.shape[:-1])
        return F.one_hot(classes, last.shape[-1]).movedim(-1, 1).to(last)


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

    def sample(self, generator: Generator) -> Tensor:
        return self.inner.sample(generator) * self.deviation + self.middle


class Likelihoods(NamedTuple):
    """p(x given z_s, z_x) and p(y given z_s, z_y)."""

    x: Likelihood
    y: Likelihood


def _noise(draw: Callable[..., Tensor], like: Tensor, generator: Generator) -> Tensor:
    return draw(like.shape, generator=generator, device=like.device, dtype=like.dtype)


def _laplace(shape: torch.Size, **options: Any) -> Tensor:
    """Of scale 1: a sign, and an exponential."""
    uniform = 1 - 2 * torch.rand(shape, **options)  # in (-1, 1]
    return -uniform.sign() * torch.log1p(-uniform.abs().clamp_max(1 - 1e-7))
