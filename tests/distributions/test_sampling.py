"""Samples of likelihoods have the likelihood's mean and spread, and repeat for a seed."""

import math

import pytest
import torch

from iiae.distributions import (
    Bernoulli,
    Categorical,
    Laplace,
    NegativeBinomial,
    Normal,
    Poisson,
    Rescaled,
    ScaledLaplace,
    ScaledNormal,
    ZeroInflated,
)

LOC = torch.tensor([[0.5, -2.0]])
MANY = LOC.expand(20_000, 2)
LOG = torch.tensor([0.2, -0.5])
NORMAL = Rescaled(
    ScaledNormal(MANY, LOG), lambda v: v, torch.tensor([1.0, 5]), torch.tensor([2.0, 3])
)


@pytest.mark.parametrize(
    ("likelihood", "variance"),
    [
        (Normal(MANY, 0.3), torch.full((2,), 0.3)),
        (ScaledNormal(MANY, LOG), (2 * LOG).exp()),
        (NORMAL, (2 * LOG).exp() * torch.tensor([4.0, 9])),
        (Laplace(MANY, 0.7), torch.full((2,), 2 * 0.7**2)),
        (ScaledLaplace(MANY, LOG), 2 * (2 * LOG).exp()),
        (Bernoulli(MANY), LOC[0].sigmoid() * (-LOC[0]).sigmoid()),
        (Categorical(MANY), LOC[0].softmax(0) * (1 - LOC[0].softmax(0))),
        (Poisson(MANY), LOC[0].exp()),
        (NegativeBinomial(LOG, MANY), LOC[0].exp() + (2 * LOC[0] - LOG).exp()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_samples_have_the_mean_and_the_variance_of_the_likelihood(likelihood, variance):
    drawn = likelihood.sample(torch.Generator().manual_seed(0))
    assert drawn.shape == likelihood.mean.shape
    error = 4 * (variance / len(drawn)).sqrt()
    assert ((drawn.mean(0) - likelihood.mean[0]).abs() < error).all()
    torch.testing.assert_close(drawn.var(0), variance, rtol=0.1, atol=0)
    again = likelihood.sample(torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)


def test_extra_zeros_are_as_many_as_their_odds_say():
    odds = torch.full((20_000, 2), math.log(3.0))
    large = torch.full((20_000, 2), 6.0)  # so that no other zero is likely
    drawn = ZeroInflated(torch.zeros(2) + 5, large, odds).sample(torch.Generator().manual_seed(0))
    assert (drawn == 0).float().mean().item() == pytest.approx(0.75, abs=0.01)


def test_a_categorical_draws_one_class():
    drawn = Categorical(torch.randn(5, 3, 4)).sample(torch.Generator().manual_seed(0))
    assert drawn.shape == (5, 3, 4)
    assert torch.equal(drawn.sum(1), torch.ones(5, 4))
