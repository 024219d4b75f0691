import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from iiae.metrics.contrast import choose_temperature, contrast_nats, permutation_test


def gaussian_scores(rho, pairs):
    """Pointwise mutual information of normal x and y of this correlation, of every x and y."""
    x, noise = torch.randn(2, pairs, dtype=torch.float64)
    y = rho * x + math.sqrt(1 - rho**2) * noise
    a, b, left = x[:, None], y[None], 1 - rho**2
    return -0.5 * math.log(left) - (rho**2 * (a**2 + b**2) - 2 * rho * a * b) / (2 * left)


def test_nats_are_their_definition():
    scores = torch.randn(5, 5, dtype=torch.float64)
    nats = contrast_nats(scores, 0.7)
    for i in range(5):
        own = math.exp(0.7 * scores[i, i])
        row = sum(math.exp(0.7 * scores[i, j]) for j in range(5)) / 5
        column = sum(math.exp(0.7 * scores[j, i]) for j in range(5)) / 5
        assert nats[i] == pytest.approx((math.log(own / row) + math.log(own / column)) / 2)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_nats_of_normal_pairs_are_their_mutual_information(rho):
    temperature = choose_temperature(gaussian_scores(rho, 1000))
    truth = -0.5 * math.log(1 - rho**2)
    values = [contrast_nats(gaussian_scores(rho, 1000), temperature).mean() for _ in range(5)]
    assert np.mean(values) == pytest.approx(truth, abs=0.04)
    assert rho == 0.0 or temperature == pytest.approx(1, rel=0.5)


def test_nats_never_exceed_the_log_of_the_number_of_pairs():
    perfect = 1000 * torch.eye(20, dtype=torch.float64)
    assert contrast_nats(perfect, 1.0).mean() == pytest.approx(math.log(20))


def test_a_table_without_partners_has_the_temperature_zero():
    assert choose_temperature(-1000 * torch.eye(20, dtype=torch.float64)) == 0.0


def test_the_p_value_is_uniform_where_pairs_are_shuffled():
    rng = np.random.default_rng(0)
    p_values = []
    for i in range(200):
        x, y = (torch.from_numpy(rng.normal(size=(40, 3))) for _ in range(2))
        p_values.append(permutation_test(-torch.cdist(x, y), 99, seed=i).p_value)
    assert kstest(p_values, "uniform").pvalue > 0.05
    assert min(p_values) >= 0.01


def test_partners_are_told_from_shuffled_ones():
    permuted = permutation_test(gaussian_scores(0.6, 200), 199)
    assert permuted.p_value == 1 / 200
    assert permuted.nats.mean() < 0.02 < contrast_nats(gaussian_scores(0.6, 200), 1.0).mean()
    assert permuted.recall.mean() == pytest.approx(1 / 200, abs=0.002)


def test_equal_scores_have_the_largest_p_value():
    assert permutation_test(torch.full((30, 30), 0.1), 50).p_value == 1.0
