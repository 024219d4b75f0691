"""The likelihoods that settings can name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor

from iiae.distributions.counts import DispersedHead, NegativeBinomial, PoissonHead, rarely_inflated
from iiae.distributions.heads import (
    BernoulliHead,
    CategoricalHead,
    Head,
    LaplaceHead,
    NormalHead,
)
from iiae.distributions.likelihoods import Likelihood, ScaledLaplace, ScaledNormal


class LikelihoodKind(NamedTuple):
    """A likelihood that settings can name.

    `head` takes `weight` and `tanh` if it is `weighted`, the number of columns if it is of counts,
    else nothing. `support` is what the data must be: any real number (of images: in [-1, 1]), in
    [0, 1], shares that sum to 1 on axis 1, or counts, whose likelihood is a `Counts`. `scaled` is
    the likelihood of locations and log-scales to use where the weight is learned.
    """

    head: Callable[..., Head]
    weighted: bool = False
    support: Literal["real", "unit", "simplex", "counts"] = "real"
    scaled: Callable[[Tensor, Tensor], Likelihood] | None = None


LAPLACE = LikelihoodKind(LaplaceHead, weighted=True, scaled=ScaledLaplace)
NORMAL = LikelihoodKind(NormalHead, weighted=True, scaled=ScaledNormal)
BERNOULLI = LikelihoodKind(BernoulliHead, support="unit")
CATEGORICAL = LikelihoodKind(CategoricalHead, support="simplex")
POISSON = LikelihoodKind(lambda columns: PoissonHead(), support="counts")
NEGATIVE_BINOMIAL = LikelihoodKind(
    lambda columns: DispersedHead(NegativeBinomial, columns), support="counts"
)
ZERO_INFLATED = LikelihoodKind(
    lambda columns: DispersedHead(rarely_inflated, columns, outputs=2), support="counts"
)
