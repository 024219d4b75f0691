import math

import pytest
import torch

from iiae.data.synthetic import LinearGaussianPairs
from iiae.metrics.information import gaussian_information
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
