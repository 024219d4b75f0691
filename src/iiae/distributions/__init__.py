"""Distributions that networks return: diagonal-normal posteriors and likelihoods.

Every `log_prob` and `kl` is in nats, one value per pair: summed over all elements of a
sample, never averaged over the batch.
"""

from iiae.distributions.counts import (
    Counts,
    DispersedHead,
    NegativeBinomial,
    Poisson,
    PoissonHead,
    ZeroInflated,
)
from iiae.distributions.heads import (
    LOG_SCALE_MIN,
    BernoulliHead,
    CategoricalHead,
    Head,
    LaplaceHead,
    LearnedScale,
    NormalHead,
)
from iiae.distributions.kinds import (
    BERNOULLI,
    CATEGORICAL,
    LAPLACE,
    NEGATIVE_BINOMIAL,
    NORMAL,
    POISSON,
    ZERO_INFLATED,
    LikelihoodKind,
)
from iiae.distributions.likelihoods import (
    Bernoulli,
    Categorical,
    Laplace,
    Likelihood,
    Likelihoods,
    Normal,
    Rescaled,
    ScaledLaplace,
    ScaledNormal,
)
from iiae.distributions.normal import (
    LOG_VARIANCE_MAX,
    LOG_VARIANCE_MIN,
    DiagonalNormal,
    Latents,
    Posteriors,
    diagonal_normal,
)

__all__ = [
    "BERNOULLI",
    "CATEGORICAL",
    "LAPLACE",
    "LOG_SCALE_MIN",
    "LOG_VARIANCE_MAX",
    "LOG_VARIANCE_MIN",
    "NEGATIVE_BINOMIAL",
    "NORMAL",
    "POISSON",
    "ZERO_INFLATED",
    "Bernoulli",
    "BernoulliHead",
    "Categorical",
    "CategoricalHead",
    "Counts",
    "DiagonalNormal",
    "DispersedHead",
    "Head",
    "Laplace",
    "LaplaceHead",
    "Latents",
    "LearnedScale",
    "Likelihood",
    "LikelihoodKind",
    "Likelihoods",
    "NegativeBinomial",
    "Normal",
    "NormalHead",
    "Poisson",
    "PoissonHead",
    "Posteriors",
    "Rescaled",
    "ScaledLaplace",
    "ScaledNormal",
    "ZeroInflated",
    "diagonal_normal",
]
