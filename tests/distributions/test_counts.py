"""Likelihoods of counts against slow loops, SciPy and what the gradient must lead to."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from iiae.distributions import (
    NEGATIVE_BINOMIAL,
    POISSON,
    ZERO_INFLATED,
    NegativeBinomial,
    Poisson,
    ZeroInflated,
)

COUNTS = [0.0, 1.0, 2.0, 7.0, 8.0, 9.0, 300.0, 1e5]
LOG_MEANS = [-20.0, -3.0, 0.0, 2.0, math.log(1e5)]
LOG_DISPERSIONS = [-7.0, -1.0, 0.0, 1.9, 5.0, 9.0]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("log_mean", LOG_MEANS)
def test_poisson_equals_scipy_in_float32(count, log_mean):
    log_prob = Poisson(torch.tensor([[log_mean]])).log_prob(torch.tensor([[count]]))
    expected = scipy.stats.poisson.logpmf(count, math.exp(log_mean))
    assert log_prob.item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("log_mean", LOG_MEANS)
@pytest.mark.parametrize("log_dispersion", LOG_DISPERSIONS)
def test_negative_binomial_equals_scipy_in_float32(count, log_mean, log_dispersion):
    r, m = math.exp(log_dispersion), math.exp(log_mean)
    likelihood = NegativeBinomial(torch.tensor([log_dispersion]), torch.tensor([[log_mean]]))
    log_prob = likelihood.log_prob(torch.tensor([[count]]))
    expected = scipy.stats.nbinom.logpmf(count, r, r / (r + m))
    assert log_prob.item() == pytest.approx(expected, rel=3e-4, abs=1e-5)


def test_zero_inflation_is_a_slow_loop_over_elements():
    k = torch.tensor([[0.0, 3.0], [5.0, 0.0], [0.0, 0.0]])
    log_r, log_m, odds = torch.randn(2), torch.randn(3, 2), torch.randn(3, 2)
    log_prob = ZeroInflated(log_r, log_m, odds).log_prob(k)
    for i in range(3):
        total = 0.0
        for j in range(2):
            r, m = log_r[j].exp().item(), log_m[i, j].exp().item()
            extra = 1 / (1 + math.exp(-odds[i, j].item()))
            mass = math.exp(scipy.stats.nbinom.logpmf(k[i, j].item(), r, r / (r + m)))
            total += math.log((k[i, j].item() == 0) * extra + (1 - extra) * mass)
        assert log_prob[i].item() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(
    "likelihood",
    [
        Poisson(torch.tensor([[1.5]])),
        NegativeBinomial(torch.tensor([0.3]), torch.tensor([[1.5]])),
        ZeroInflated(torch.tensor([0.3]), torch.tensor([[1.5]]), torch.tensor([[-0.4]])),
    ],
)
def test_masses_sum_to_one_and_give_the_mean(likelihood):
    k = torch.arange(0.0, 400)[:, None]
    mass = torch.stack([likelihood.log_prob(row[None]) for row in k]).exp().double()[:, 0]
    assert mass.sum().item() == pytest.approx(1, abs=1e-5)
    assert (mass * k[:, 0]).sum().item() == pytest.approx(likelihood.mean.item(), rel=1e-4)
    twice = likelihood.times(torch.tensor(math.log(2.0)))
    assert twice.mean.item() == pytest.approx(2 * likelihood.mean.item(), rel=1e-5)


@pytest.mark.parametrize("kind", [POISSON, NEGATIVE_BINOMIAL, ZERO_INFLATED])
def test_gradients_reach_every_parameter_and_are_finite_at_extremes(kind):
    head = kind.head(4)
    raw = torch.full((3, 4 * head.outputs), 0.1).requires_grad_()
    value = torch.tensor([[0.0, 1e5, 3.0, 9.0], [1e5, 0.0, 0.0, 0.0], [2.0, 1.0, 8.0, 1e5]])
    head(raw).log_prob(value).sum().backward()
    learned = list(head.parameters()) if isinstance(head, torch.nn.Module) else []
    for parameter in (raw, *learned):
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert (parameter.grad != 0).all()


def test_the_gradient_leads_the_dispersion_to_that_of_the_data():
    r, m = np.array([0.5, 5.0]), 4.0
    drawn = np.random.default_rng(0).negative_binomial(r, r / (r + m), (20_000, 2))
    value = torch.from_numpy(drawn.astype(np.float32))
    head = NEGATIVE_BINOMIAL.head(2)
    optimiser = torch.optim.Adam(head.parameters(), 1e-2)
    raw = torch.full((20_000, 2), math.log(m))
    for _ in range(120):
        optimiser.zero_grad()
        (-head(raw).log_prob(value).mean()).backward()
        optimiser.step()
    assert head.log_dispersion.exp().detach().numpy() == pytest.approx(r, rel=0.1)
