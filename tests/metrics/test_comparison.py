"""Scores of two posteriors of z_s."""

import math

import pytest
import torch
from torch.distributions import Normal

from iiae.distributions import DiagonalNormal
from iiae.metrics.comparison import (
    Aggregate,
    cosine,
    euclidean,
    local_scaling,
    mutual_information,
)


def normals(rows, size, spread=0.5):
    return DiagonalNormal(
        torch.randn(rows, size, dtype=torch.float64),
        torch.randn(rows, size, dtype=torch.float64) * 0.3 + math.log(spread),
    )


def test_mutual_information_is_the_integral():
    query, items = normals(3, 2), normals(4, 2)
    variance = torch.tensor([1.5, 3.0], dtype=torch.float64)
    z = torch.linspace(-30, 30, 200_001, dtype=torch.float64)
    expected = torch.zeros(3, 4, dtype=torch.float64)
    for i in range(3):
        for j in range(4):
            for d in range(2):
                logs = [
                    Normal(one.mean[k, d], one.variance[k, d].sqrt()).log_prob(z)
                    for one, k in ((query, i), (items, j))
                ]
                prior = Normal(0.0, variance[d].sqrt()).log_prob(z)
                step = (z[1] - z[0]).log()
                expected[i, j] += torch.logsumexp(logs[0] + logs[1] - prior, 0) + step
    torch.testing.assert_close(mutual_information(query, items, variance), expected)


def test_a_posterior_as_wide_as_the_aggregate_says_nothing():
    variance = torch.tensor([0.7, 2.0])
    one = DiagonalNormal(torch.zeros(1, 2), variance.log()[None] + 1)  # wider, even
    other = normals(5, 2)
    other = DiagonalNormal(other.mean.float(), other.log_variance.float())
    torch.testing.assert_close(mutual_information(one, other, variance), torch.zeros(1, 5))


def test_blocks_change_nothing(monkeypatch):
    query, items, variance = normals(7, 3), normals(5, 3), torch.full((3,), 4.0)
    whole = mutual_information(query, items, variance)
    monkeypatch.setattr("iiae.metrics.comparison.ELEMENTS", 30)
    torch.testing.assert_close(mutual_information(query, items, variance), whole)


def test_noise_of_uncertain_dimensions_is_discounted():
    torch.manual_seed(0)
    signal, noise = torch.randn(200, 4), torch.randn(2, 200, 60)
    r = [
        DiagonalNormal(
            torch.cat([signal + 0.1 * torch.randn(200, 4), 0.5 * own], 1),
            torch.cat([torch.full((200, 4), math.log(0.01)), torch.zeros(200, 60)], 1),
        )
        for own in noise
    ]
    found = Aggregate.of(*r)
    informed = mutual_information(*r, found.variance).argmax(1)
    plain = euclidean(r[0].mean, r[1].mean).argmax(1)
    each = torch.arange(200)
    assert (informed == each).float().mean() > 0.9 > 0.5 > (plain == each).float().mean()


def test_the_aggregate_has_the_variance_of_samples():
    torch.manual_seed(0)
    x, y = normals(2000, 3), normals(2000, 3)
    samples = torch.cat([x.rsample() - x.mean.mean(0), y.rsample() - y.mean.mean(0)])
    found = Aggregate.of(x, y).variance
    torch.testing.assert_close(found, samples.square().mean(0), rtol=0.1, atol=0)


def test_cosine_and_distance():
    query, items = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0], [0.0, 2.0]])
    torch.testing.assert_close(cosine(query, items), torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(euclidean(query, items), torch.tensor([[-2.0, -math.sqrt(5)]]))


def test_local_scaling_lets_hubs_count_for_less():
    score = torch.tensor([[0.9, 0.8, 0.0], [0.9, 0.1, 0.8], [0.9, 0.0, 0.1]])
    assert score.argmax(1).tolist() == [0, 0, 0]
    assert local_scaling(score, 2).argmax(1).tolist() == [1, 2, 0]


@pytest.mark.parametrize("neighbours", [1, 10])
def test_more_neighbours_than_items_are_all(neighbours):
    assert local_scaling(torch.rand(4, 2), neighbours).shape == (4, 2)
