"""Effects of covariates: learned from training rows, and gone from what encoders see."""

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

import iiae
from iiae.distributions import Normal, Poisson
from iiae.model.effects import CovariateEffects
from iiae.model.units import CountUnits, StandardUnits


def test_effects_begin_as_ridge_regression():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(3, (60,), generator=generator)
    known = torch.cat([torch.eye(3)[drawn], torch.randn(60, 1, generator=generator)], 1)
    values = torch.randn(60, 5, generator=generator) + known @ torch.randn(4, 5)
    effects = CovariateEffects(4, (5,))
    effects.begin(zip(values.split(7), known.split(7), strict=True))
    expected = Ridge(1.0, fit_intercept=False).fit(known, values)
    left = values.numpy() - expected.predict(known)
    np.testing.assert_allclose(effects(values, known).detach().numpy(), left, atol=1e-5)


def test_effects_are_taken_off_and_put_back():
    units = StandardUnits(2)
    units.take(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0]))
    effects = CovariateEffects(3, (2,))
    with torch.no_grad():
        effects.effects.copy_(torch.tensor([[1.0, 0], [0, 2], [0.5, 0.5]]))
    known = torch.tensor([[1.0, 0, 2], [0, 1, 0]])
    values = torch.tensor([[3.0, 6.0], [1.0, 10.0]])
    assert effects(units(values), known).tolist() == [[-1, 0], [0, 0]]
    there = units.likelihood(Normal(torch.zeros(2, 2), 1.0), told=effects.told(known))
    assert there.mean.tolist() == [[5, 6], [1, 10]]
    expected = torch.distributions.Normal(there.mean, units.deviation).log_prob(values).sum(1)
    torch.testing.assert_close(there.log_prob(values), expected)


def test_effects_on_counts_are_of_their_logarithms():
    units = CountUnits(2)
    units.log_mean.copy_(torch.tensor([0.0, 1.0]))
    units.seen.take(torch.zeros(2), torch.tensor([0.5, 2.0]))
    inner = Poisson(torch.zeros(1, 2))
    told = torch.tensor([[2.0, -1.0]])
    expected = units.likelihood(inner).mean * torch.tensor([[np.e, np.exp(-2)]])
    torch.testing.assert_close(units.likelihood(inner, told=told).mean, expected.float())


def test_in_bfloat16_no_trace_of_a_level_is_left():
    effects = CovariateEffects(2, (2,))
    with torch.no_grad():
        effects.effects.copy_(torch.tensor([[np.pi, 0.1], [-np.e, 0.3]]))
    known = torch.eye(2).repeat(50, 1)
    values = known @ effects.effects.detach()
    with torch.autocast("cpu", torch.bfloat16):
        left = effects(values, known)
    assert torch.equal(left, torch.zeros(100, 2))


def sites(count):
    """Pairs measured at three sites, each of which adds its own vector to x and to y."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(count, 2))
    site = rng.integers(3, size=count)
    both = [
        shared @ rng.normal(size=(2, size))
        + rng.normal(size=(3, size))[site] * 3
        + 0.3 * rng.normal(size=(count, size))
        for size in (8, 6)
    ]
    return *both, np.array(["one", "two", "three"])[site]


def test_a_site_that_both_domains_were_measured_at_is_not_shared_content():
    x, y, site = sites(360)

    def told(values):
        return cross_val_score(SVC(), values, site).mean()

    given = {"covariates": {"site": site}}
    run = iiae.fit(x, y, **given, epochs=20, progress=False)
    assert told(x) > 0.95
    assert told(run.embed(x=x, **given).shared) < 0.48  # a third by chance
    # predictions are of the values as they were measured at that site
    made = run.translate(x, to="y", **given)
    assert np.corrcoef(made.ravel(), y.ravel())[0, 1] > 0.9
    moved = run.translate(x, to="y", **given, as_if={"site": "one"})
    shift = y[site == "one"].mean(0) - y[site == "two"].mean(0)
    np.testing.assert_allclose((moved - made)[site == "two"].mean(0), shift, atol=0.7)


def test_encoders_see_the_same_sample_wherever_it_was_measured():
    x, y, site = sites(120)
    run = iiae.fit(x, y, covariates={"site": site}, epochs=1, progress=False)
    effects, units = run.model.effects_x.effects, run.model.units_x
    levels = run.model.covariates.each[0].levels
    moved = x + ((effects[1] - effects[0]) * units.deviation).detach().numpy()
    here = run.embed(x=x, covariates={"site": levels[0]})
    there = run.embed(x=moved, covariates={"site": levels[1]})
    np.testing.assert_allclose(here.shared, there.shared, atol=1e-3)
    np.testing.assert_allclose(here.exclusive, there.exclusive, atol=1e-3)
