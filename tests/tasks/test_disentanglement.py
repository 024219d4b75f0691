import numpy as np
import pytest
import torch

from iiae.data.base import Factor
from iiae.distributions import DiagonalNormal
from iiae.model import Embeddings
from iiae.tasks.disentanglement import Readability, leakage, probe_factors


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
    active = torch.tensor([True, True, False])
    rows = {row.factor: row for row in probe_factors(found, factors, active, seed=0)}
    colour_scores = rows["colour"].scores
    assert colour_scores["z_x mean"] > 0.99
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
    active = torch.ones(3, dtype=torch.bool)
    one, other = (probe_factors(found, factors, active, seed=4) for _ in range(2))
    assert one == other


def test_leakage_is_the_largest_foreign_reading_above_chance():
    rows = [
        Readability(
            "colour", "R2", "z_x", 0.0,
            {"z_x mean": 0.9, "z_y mean": 0.1, "z_s given x, mean": 0.8,
             "z_s given x, active mean": 0.3, "z_s given x, sample": -0.2},
        ),
        Readability(
            "digit", "accuracy", "z_s", 0.1,
            {"z_x mean": 0.28, "z_y mean": 0.1, "z_s given x, mean": 1.0},
        ),
    ]  # fmt: skip
    found = leakage(rows)
    assert found.mean == (0.8, "colour", "z_s given x, mean")
    assert found.active == (0.3, "colour", "z_s given x, active mean")
    assert found.sample == (pytest.approx(0.2), "digit", "z_x mean")
    assert leakage([]) is None
