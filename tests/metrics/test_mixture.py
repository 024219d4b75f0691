import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, kl_divergence

from iiae.distributions import DiagonalNormal
from iiae.metrics.mixture import Mixture, choose_mixture, fit_mixture, of_pairs

N = 600


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def posteriors(loc, variance=0.1):
    return DiagonalNormal(loc, torch.full_like(loc, math.log(variance)))


def clusters(centres, spread=0.3):
    """Posteriors in clusters of the plane, far apart."""
    centre = 10 * torch.eye(centres, 4).double()
    at = torch.arange(N) % centres
    return posteriors(centre[at] + spread * torch.randn(N, 4).double())


def test_one_component_is_the_normal_with_mean_and_covariance_of_the_aggregate():
    q = posteriors(torch.randn(50, 3).double() @ torch.randn(3, 3).double())
    found = fit_mixture(q, 1, seeded())
    whole = torch.cov(q.loc.T, correction=0) + 0.1 * torch.eye(3)
    normal = MultivariateNormal(q.loc.mean(0), whole)
    for i, value in enumerate(found.kl(q)):
        own = MultivariateNormal(q.loc[i], q.variance[i].diag())
        assert value == pytest.approx(float(kl_divergence(own, normal)))


def test_the_divergence_is_its_definition_in_loops():
    q = posteriors(torch.randn(5, 2).double())
    factor = torch.stack([torch.eye(2).double(), torch.tensor([[2.0, 0], [1, 0.5]]).double()])
    mixture = Mixture(torch.tensor([0.3, 0.7]).double().log(), torch.randn(2, 2).double(), factor)
    for i, value in enumerate(mixture.kl(q)):
        own = MultivariateNormal(q.loc[i], q.variance[i].diag())
        each = [
            math.exp(w - float(kl_divergence(own, MultivariateNormal(m, scale_tril=f))))
            for w, m, f in zip(*mixture, strict=True)
        ]
        assert value == pytest.approx(-math.log(sum(each)))


def test_the_divergence_is_no_less_than_that_of_samples_and_near_it():
    q = clusters(3)
    mixture = fit_mixture(q, 3, seeded())
    covariances = mixture.factor @ mixture.factor.mT
    m = MixtureSameFamily(
        Categorical(logits=mixture.log_weight), MultivariateNormal(mixture.mean, covariances)
    )
    own = torch.distributions.Normal(q.loc, q.variance.sqrt())
    z = own.sample((400,))
    drawn = (own.log_prob(z).sum(-1) - m.log_prob(z)).mean()
    assert drawn - 0.02 <= mixture.kl(q).mean() <= drawn + 0.1


def test_posteriors_in_clusters_are_nearer_to_a_mixture_than_to_a_normal_and_it_is_chosen():
    q, other = clusters(4), clusters(4)
    normal, mixture = fit_mixture(q, 1, seeded()), choose_mixture(q, seeded())
    assert len(mixture.mean) > 1
    within = 0.5 * 4 * math.log((0.3**2 + 0.1) / 0.1)  # nats that a cluster tells
    truth = math.log(4) + within
    assert mixture.kl(other).mean() == pytest.approx(truth, abs=0.15)
    assert normal.kl(other).mean() > truth + 1


def test_of_normal_posteriors_one_component_is_chosen():
    q = posteriors(torch.randn(N, 4).double())
    assert len(choose_mixture(q, seeded()).mean) == 1


def test_a_mixture_of_few_posteriors_is_finite_and_repeats_for_a_seed():
    q = of_pairs(clusters(4), torch.arange(12))
    first, second = (choose_mixture(q, seeded(3)) for _ in range(2))
    assert torch.equal(first.kl(q), second.kl(q))
    assert torch.isfinite(first.kl(q)).all()
    assert torch.isfinite(fit_mixture(q, 10, seeded()).kl(q)).all()
