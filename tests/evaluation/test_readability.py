import numpy as np
import pytest
import torch

from iiae.data.base import Factor
from iiae.distributions import DiagonalNormal
from iiae.evaluation.readability import probe_factors
from iiae.model.active import select_active
from iiae.model.iiae import Active
from iiae.model.latents import Embeddings


def normal(mean, noise=1e-3):
    return DiagonalNormal(mean, torch.full_like(mean, noise).log())


def scores(readability, factor, latent):
    """Linear score of a factor from a latent, by view."""
    return {view: m.cells[factor][latent].linear.score for view, m in readability.probes.items()}


def test_a_factor_below_the_noise_shows_in_means_and_not_in_samples():
    content, colour = torch.randn(600, 2), torch.rand(600, 1)
    faint = torch.cat([content, 0.01 * colour], 1)
    variance = torch.tensor([1e-3, 1e-3, 1.0]).log().expand(600, 3)
    given_x = DiagonalNormal(faint, variance)
    posteriors = Embeddings(given_x, given_x, normal(colour), normal(torch.randn(600, 1)))
    factors = {
        "colour": Factor(colour.numpy(), "continuous", "x"),
        "half": Factor((content[:, 0] > 0).numpy().astype(int), "categorical", "shared"),
    }
    one = torch.ones(1, dtype=torch.bool)
    active = Active(torch.tensor([True, True, False]), one, one)
    readability = probe_factors(posteriors, factors, active, seed=0)
    assert scores(readability, "colour", "z_x")["means"] > 0.99
    of_colour = scores(readability, "colour", "z_s given x")
    assert of_colour["means"] > 0.99
    assert of_colour["samples"] < 0.05
    assert of_colour["active means"] < 0.05
    assert scores(readability, "half", "z_s given x")["active means"] > 0.9
    matrix = readability.probes["means"]
    assert matrix.measure == {"colour": "R2", "half": "accuracy"}
    assert 0.5 <= matrix.cells["half"]["z_x"].linear.chance < 0.6
    assert matrix.home == {"colour": "z_x", "half": "z_s"}


def test_probes_repeat_exactly_for_a_seed():
    latent = normal(torch.randn(100, 3))
    embeddings = Embeddings(latent, latent, latent, latent)
    factors = {"a": Factor(np.arange(100.0), "continuous", "x")}
    every = torch.ones(3, dtype=torch.bool)
    active = Active(every, every, every)
    one, other = (probe_factors(embeddings, factors, active, seed=4) for _ in range(2))
    assert one == other


def test_idle_exclusive_dimensions_show_in_means_alone():
    colour, content = torch.randn(600, 2), torch.randn(600, 1)
    own = DiagonalNormal(
        torch.cat([colour, 0.01 * content], 1),
        torch.tensor([1e-3, 1e-3, 1.0]).log().expand(600, 3),
    )
    shared = normal(content)
    posteriors = Embeddings(shared, shared, own, normal(torch.randn(600, 2)))
    factors = {"half": Factor((content[:, 0] > 0).numpy().astype(int), "categorical", "shared")}
    readability = probe_factors(
        posteriors, factors, select_active(posteriors, posteriors, 0.1), seed=0
    )
    of_half = scores(readability, "half", "z_x")
    chance = readability.probes["means"].cells["half"]["z_x"].linear.chance
    assert of_half["means"] > 0.9
    assert of_half["active means"] < chance + 0.05
    assert of_half["samples"] < chance + 0.05


@pytest.mark.parametrize("pairs", [1, 4, 60])
def test_what_cannot_be_probed_is_named_with_its_reason(pairs):
    latent = normal(torch.randn(pairs, 3))
    embeddings = Embeddings(latent, latent, latent, latent)
    every = torch.ones(3, dtype=torch.bool)
    factors = {
        "all cats": Factor(np.array(["cat"] * pairs), "categorical", "x"),
        "no ink": Factor(np.full((pairs, 2), 0.1), "continuous", "y"),
    }
    read = probe_factors(embeddings, factors, Active(every, every, every), seed=0)
    assert read.probes == {} and read.refused.keys() == factors.keys()
    reason = f"{pairs} samples; probes on 5 folds" if pairs < 5 else "all cats is constant"
    assert reason in read.refused["all cats"]


def test_an_axis_that_does_not_vary_is_left_out():
    embeddings = Embeddings(*(normal(torch.randn(80, 2)) for _ in range(4)))
    values = np.stack([np.random.default_rng(0).normal(size=80), np.full(80, 3.0)], 1)
    every = torch.ones(2, dtype=torch.bool)
    active = Active(every, every, every)
    both, alone = (
        probe_factors(embeddings, {"size": Factor(axes, "continuous", "x")}, active, seed=0)
        for axes in (values, values[:, :1])
    )
    assert both == alone and both.refused == {}
    assert max(scores(both, "size", "z_x").values()) < 0.2
