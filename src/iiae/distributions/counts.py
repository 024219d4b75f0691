r"""Likelihoods of counts: Poisson, negative binomial, zero-inflated negative binomial.

Of whole numbers k >= 0, `(batch, columns)`, with mean m = exp(log_mean). Every term of the log mass
is kept, so values are nats. In float32 the last bit of log k! is 0.1 nats at k = 100,000, so what
nearly cancels is computed in float64, or in terms that are small (Loader 2000, "Fast and Accurate
Computation of Binomial Probabilities").
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from iiae.distributions.heads import SCALE_STEPS, Head
from iiae.distributions.likelihoods import Likelihood
from iiae.distributions.normal import bounded, full

LARGE = 8.0  # from here on Stirling's series to 1 / z^3 is exact in float32
LOG_MEAN_MAX = 30.0
LOG_DISPERSION_MIN, LOG_DISPERSION_MAX = -7.0, 9.0  # beyond e^9 a Poisson in all but name
RARE = -3.0  # log-odds of an extra zero where training begins: 5%


class Counts(Likelihood):
    """Independent counts with mean exp(log_mean), which can be multiplied."""

    log_mean: Float[Tensor, "batch columns"]

    @abstractmethod
    def times(self, log_factor: Tensor) -> Counts:
        """The same with all means multiplied by exp(log_factor)."""


class Poisson(Counts):
    r"""$\log p(k) = k \log m - m - \log k!$."""

    def __init__(self, log_mean: Tensor):
        self.log_mean = bounded(log_mean, -math.inf, LOG_MEAN_MAX)

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()

    def times(self, log_factor: Tensor) -> Poisson:
        return Poisson(self.log_mean + log_factor)

    def log_prob(self, value: Tensor) -> Tensor:
        small = value.clamp_max(LARGE)
        few = small * self.log_mean - self.mean - torch.lgamma(small + 1)
        large = value.clamp_min(LARGE)
        off = self.log_mean - large.log()
        many = large * (off - off.expm1()) - _stirling(large)
        return torch.where(value < LARGE, few, many).sum(1)


class NegativeBinomial(Counts):
    r"""Variance $m + m^2 / r$ with the dispersion r = exp(log_dispersion) of each column.

    $\log p(k) = \log \frac{\Gamma(k + r)}{\Gamma(r)\, k!}
    + r \log \frac{r}{r + m} + k \log \frac{m}{r + m}$
    """

    def __init__(self, log_dispersion: Tensor, log_mean: Tensor):
        self.log_dispersion = log_dispersion
        self.log_mean = bounded(log_mean, -math.inf, LOG_MEAN_MAX)

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()

    def times(self, log_factor: Tensor) -> NegativeBinomial:
        return NegativeBinomial(self.log_dispersion, self.log_mean + log_factor)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.elements(value).sum(1)

    def elements(self, value: Tensor) -> Tensor:
        """Log mass of each count."""
        r, odds = self.log_dispersion.exp(), self.log_mean - self.log_dispersion
        weighed = r * F.logsigmoid(-odds) + value * F.logsigmoid(odds)
        return _log_coefficient(value, r) + weighed


class ZeroInflated(Counts):
    r"""Zero with probability $\pi$, given by its log-odds, else a negative binomial of mean m.

    $p(0) = \pi + (1 - \pi) NB(0)$, $p(k) = (1 - \pi) NB(k)$
    """

    def __init__(self, log_dispersion: Tensor, log_mean: Tensor, log_odds: Tensor):
        self.counts, self.log_odds = NegativeBinomial(log_dispersion, log_mean), log_odds
        self.log_mean = self.counts.log_mean

    @property
    def mean(self) -> Tensor:
        return self.counts.mean * (-self.log_odds).sigmoid()

    def times(self, log_factor: Tensor) -> ZeroInflated:
        more = self.counts.times(log_factor)
        return ZeroInflated(more.log_dispersion, more.log_mean, self.log_odds)

    def log_prob(self, value: Tensor) -> Tensor:
        counted = F.logsigmoid(-self.log_odds) + self.counts.elements(value)
        zero = torch.logaddexp(F.logsigmoid(self.log_odds), counted)
        return torch.where(value == 0, zero, counted).sum(1)


def _stirling(z: Tensor) -> Tensor:
    """log Gamma(z + 1) less its leading terms z log z - z, for large z."""
    return 0.5 * (2 * math.pi * z).log() + (1 - 1 / (30 * z.square())) / (12 * z)


def _log_coefficient(k: Tensor, r: Tensor) -> Tensor:
    """log Gamma(k + r) / (Gamma(r) k!), which is 0 where k is."""
    if k.is_cuda:  # a step that is recorded cannot depend on how many counts are above 0
        return _log_ratio(k, r)
    some = k > 0
    return torch.zeros_like(k).masked_scatter(some, _log_ratio(k[some], r.expand_as(k)[some]))


def _log_ratio(k: Tensor, r: Tensor) -> Tensor:
    wide, more = k.double(), r.double()
    ratio = torch.lgamma(wide + more) - torch.lgamma(more) - torch.lgamma(wide + 1)
    return ratio.to(r.dtype)


class PoissonHead(Head):
    """Log-means as they are."""

    def __call__(self, raw: Tensor) -> Poisson:
        return Poisson(full(raw))


class DispersedHead(nn.Module, Head):
    """Log-means (and other parameters) as they are, and a learned dispersion.

    Args:
        likelihood: Of log-dispersions, log-means and, with 2 outputs, log-odds.
        columns: Number of them; each has a dispersion of its own.
        outputs: Number of values of the decoder for each column.
    """

    def __init__(self, likelihood: Callable[..., Counts], columns: int, outputs: int = 1):
        super().__init__()
        self.likelihood, self.outputs = likelihood, outputs
        self.steps = nn.Parameter(torch.zeros(columns))

    @property
    def log_dispersion(self) -> Float[Tensor, " columns"]:
        """Bounded on both sides; the gradient flows as if it were not, which leads back."""
        return bounded(self.steps * SCALE_STEPS, LOG_DISPERSION_MIN, LOG_DISPERSION_MAX)

    def forward(self, raw: Tensor) -> Counts:
        return self.likelihood(self.log_dispersion, *full(raw).chunk(self.outputs, 1))

    __call__ = nn.Module.__call__


def rarely_inflated(log_dispersion: Tensor, log_mean: Tensor, raw: Tensor) -> ZeroInflated:
    """Few extra zeros where `raw` is 0, as it is when training begins."""
    return ZeroInflated(log_dispersion, log_mean, raw + RARE)
