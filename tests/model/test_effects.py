"""Effects of covariates: learned from training rows, and gone from what encoders see."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_score

import iiae
from iiae.model.effects import CovariateEffects


def test_effects_are_those_of_ridge_regression():
    generator = torch.Generator().manual_seed(0)
    known = torch.cat(
        [
            torch.eye(3)[torch.randint(3, (60,), generator=generator)],
            torch.randn(60, 1, generator=generator),
        ],
        1,
    )
    values = torch.randn(60, 5, generator=generator) + known @ torch.randn(4, 5)
    effects = CovariateEffects(4, (5,))
    effects.learn(zip(values.split(7), known.split(7), strict=True))
    expected = Ridge(1.0, fit_intercept=False).fit(known, values)
    left = values.numpy() - expected.predict(known)
    np.testing.assert_allclose(effects(values, known).numpy(), left, atol=1e-5)


def test_the_mean_of_a_level_is_taken_off_and_of_few_rows_in_part():
    known = torch.eye(2)[[0] * 99 + [1]]
    effects = CovariateEffects(2, (1, 2))
    effects.learn([(torch.full((100, 1, 2), 4.0), known)])
    left = effects(torch.full((100, 1, 2), 4.0), known)
    assert left[:99].abs().max() == pytest.approx(4 / 100)
    assert left[99].tolist() == [[2.0, 2.0]]


def test_in_bfloat16_no_trace_of_a_level_is_left():
    known = torch.eye(2).repeat(50, 1)
    values = known @ torch.tensor([[np.pi, 0.1], [-np.e, 0.3]]).float()
    effects = CovariateEffects(2, (2,))
    effects.learn([(values, known)])
    with torch.autocast("cpu", torch.bfloat16):
        left = effects(values, known)
    assert torch.equal(left, effects(values, known))


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
        return cross_val_score(LogisticRegression(max_iter=500), values, site).mean()

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
    moved = x + ((effects[1] - effects[0]) * units.deviation).numpy()
    here = run.embed(x=x, covariates={"site": levels[0]})
    there = run.embed(x=moved, covariates={"site": levels[1]})
    np.testing.assert_allclose(here.shared, there.shared, atol=1e-3)
    np.testing.assert_allclose(here.exclusive, there.exclusive, atol=1e-3)
