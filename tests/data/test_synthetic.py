import math

import numpy as np
import pytest
import torch

import iiae
from iiae.data.synthetic import LinearGaussianPairs, PlantedCounts
from iiae.metrics.information import gaussian_information
from iiae.settings import make_settings
from iiae.types import Draw


@pytest.mark.parametrize("information", [0.5, 1.0, 3.0])
def test_linear_gaussian_pairs_have_the_information_they_say(information):
    pairs = LinearGaussianPairs(6000, information, 1)
    # the mixing has orthonormal columns, so eight directions of the data hold everything
    x, y = (torch.pca_lowrank(side, 8, niter=4)[0].numpy() for side in (pairs.x, pairs.y))
    assert gaussian_information(x, y).value == pytest.approx(information, abs=0.06)


def test_no_information_is_independence_and_wyners_is_never_less():
    assert LinearGaussianPairs(2, 0.0, 0).common_information == 0
    for information in (0.1, 1.0, 4.0):
        pairs = LinearGaussianPairs(2, information, 0)
        rho = pairs.correlation
        gap = pairs.common_information - information
        assert gap == pytest.approx(4 * math.log(1 + rho))


def test_seeds_share_the_mixing_and_not_the_factors():
    one, two = (LinearGaussianPairs(500, 1.0, seed) for seed in (0, 1))
    assert not torch.equal(one.x, two.x)
    rank = torch.linalg.matrix_rank(torch.cat([one.x, two.x]).double(), atol=1e-3)
    assert rank == 8
    assert one.pairs(Draw(torch.tensor([3]))).y.shape == (1, 16)


@pytest.mark.slow
def test_planted_factors_of_counts_are_read_from_their_own_latent_alone():
    settings = make_settings(
        {
            "data": {"name": "planted-counts"},
            "model": {"family": "features", "exclusive": 2, "shared": 2, "width": 64},
            "objective": {
                "beta": 0.5,
                "tau": 100.0,
                "x": {"kind": "negative-binomial"},
                "y": {"kind": "negative-binomial"},
            },
            # at 1e-3 the second exclusive axis of y is not learned in 90 epochs
            "training": {"epochs": 45, "batch": 50, "adam_beta1": 0.5, "learning_rate": 3e-3},
        }
    )
    run = iiae.fit(settings, progress=False)
    matrix = run.evaluate().readability.probes["means"]
    for factor in matrix.cells:
        own, others = matrix.sides(factor)
        assert min(cell.linear.score for cell in own.values()) > 0.8
        assert max(cell.linear.score for cell in others.values()) <= 0.05


def test_planted_counts_are_overdispersed_whole_numbers_of_their_factors():
    pairs = PlantedCounts(4000, 0)
    rate = math.log(PlantedCounts.MEAN)
    for side, own in zip((pairs.x, pairs.y), pairs.exclusive, strict=True):
        assert torch.equal(side, side.round())
        assert (side >= 0).all()
        assert side.mean(0).log().mean().item() == pytest.approx(rate + 0.37 / 2, abs=0.05)
        column = side[:, 2].log1p().numpy()  # of the first exclusive axis
        assert abs(np.corrcoef(column, own[:, 0])[0, 1]) > 0.5
        assert abs(np.corrcoef(column, pairs.shared[:, 0])[0, 1]) < 0.05
    again = PlantedCounts(4000, 0)
    assert torch.equal(again.x, pairs.x)
    assert not torch.equal(PlantedCounts(4000, 1).x, pairs.x)
