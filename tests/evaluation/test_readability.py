import numpy as np
import pytest
import torch

from iiae.data.base import Factor
from iiae.distributions import DiagonalNormal
from iiae.evaluation.readability import Readability, largest_leaks, probe_factors
from iiae.model.active import select_active
from iiae.model.iiae import Active
from iiae.model.latents import Embeddings


def normal(mean, noise=1e-3):
    return DiagonalNormal(mean, torch.full_like(mean, noise).log())


def test_a_factor_below_the_noise_shows_in_means_and_not_in_samples():
    content, colour = torch.randn(600, 2), torch.rand(600, 1)
    faint = torch.cat([content, 0.01 * colour], 1)
    variance = torch.tensor([1e-3, 1e-3, 1.0]).log().expand(600, 3)
    given_x = DiagonalNormal(faint, variance)
    found = Embeddings(given_x, normal(content), normal(colour), normal(torch.randn(600, 1)))
    found = found._replace(shared_given_y=given_x)
    factors = {
        "colour": Factor(colour.numpy(), "continuous", "x"),
        "half": Factor((content[:, 0] > 0).numpy().astype(int), "categorical", "shared"),
    }
    one = torch.ones(1, dtype=torch.bool)
    active = Active(torch.tensor([True, True, False]), one, one)
    rows = {row.factor: row for row in probe_factors(found, factors, active, seed=0)}
    colour_scores = rows["colour"].scores
    assert colour_scores["z_x, mean"] > 0.99
    assert colour_scores["z_s given x, mean"] > 0.99
    assert colour_scores["z_s given x, sample"] < 0.05
    assert colour_scores["z_s given x, active mean"] < 0.05
    assert rows["half"].scores["z_s given x, active mean"] > 0.9
    assert rows["half"].measure == "accuracy"
    assert 0.5 <= rows["half"].chance < 0.6
    assert rows["colour"].belongs_to == "z_x"


def test_probes_repeat_exactly_for_a_seed():
    latent = normal(torch.randn(100, 3))
    found = Embeddings(latent, latent, latent, latent)
    factors = {"a": Factor(np.arange(100.0), "continuous", "x")}
    every = torch.ones(3, dtype=torch.bool)
    active = Active(every, every, every)
    one, other = (probe_factors(found, factors, active, seed=4) for _ in range(2))
    assert one == other


def test_idle_exclusive_dimensions_show_in_means_alone():
    colour, content = torch.randn(600, 2), torch.randn(600, 1)
    own = DiagonalNormal(
        torch.cat([colour, 0.01 * content], 1),
        torch.tensor([1e-3, 1e-3, 1.0]).log().expand(600, 3),
    )
    shared = normal(content)
    found = Embeddings(shared, shared, own, normal(torch.randn(600, 2)))
    factors = {"half": Factor((content[:, 0] > 0).numpy().astype(int), "categorical", "shared")}
    (row,) = probe_factors(found, factors, select_active(found, 0.8), seed=0)
    assert row.scores["z_x, mean"] > 0.9
    assert row.scores["z_x, active mean"] < row.chance + 0.05
    assert row.scores["z_x, sample"] < row.chance + 0.05


@pytest.mark.parametrize("pairs", [1, 4, 60])
def test_what_cannot_be_probed_has_no_scores_and_leaks_nothing(pairs):
    latent = normal(torch.randn(pairs, 3))
    found = Embeddings(latent, latent, latent, latent)
    every = torch.ones(3, dtype=torch.bool)
    factors = {
        "all cats": Factor(np.array(["cat"] * pairs), "categorical", "x"),
        "no ink": Factor(np.full((pairs, 2), 0.1), "continuous", "y"),
    }
    rows = probe_factors(found, factors, Active(every, every, every), seed=0)
    assert [row.chance for row in rows] == [1, 0]
    assert {score for row in rows for score in row.scores.values()} == {None}
    assert largest_leaks(rows) is None


def test_an_axis_that_does_not_vary_is_no_reading():
    found = Embeddings(*(normal(torch.randn(80, 2)) for _ in range(4)))
    values = np.stack([np.random.default_rng(0).normal(size=80), np.full(80, 3.0)], 1)
    every = torch.ones(2, dtype=torch.bool)
    factors = {"size": Factor(values, "continuous", "x")}
    (row,) = probe_factors(found, factors, Active(every, every, every), seed=0)
    assert max(row.scores.values()) < 0.2


def test_the_largest_leak_is_the_worst_foreign_reading_above_chance():
    rows = [
        Readability(
            "colour", "R2", "z_x", 0.0,
            {"z_x, mean": 0.9, "z_y, mean": 0.1, "z_s given x, mean": 0.8,
             "z_s given x, active mean": 0.3, "z_s given x, sample": -0.2},
        ),
        Readability(
            "digit", "accuracy", "z_s", 0.1,
            {"z_x, mean": 0.28, "z_y, mean": 0.1, "z_s given x, mean": 1.0, "z_x, sample": 0.19},
        ),
    ]  # fmt: skip
    found = largest_leaks(rows)
    assert found is not None
    assert found.mean == (0.8, "colour", "z_s given x, mean")
    assert found.active == (0.3, "colour", "z_s given x, active mean")
    assert found.sample == (pytest.approx(0.1), "digit", "z_x, sample")
    assert largest_leaks([]) is None


def test_records_of_earlier_versions_count_exclusive_means_in_every_view():
    scores = {"z_y mean": 0.4, "z_s given x, mean": 0.1, "z_s given x, sample": 0.0}
    found = largest_leaks([Readability("colour", "R2", "z_x", 0.0, scores)])
    assert found is not None
    assert {leak.value for leak in found} == {0.4}
