import math

import pytest
import torch
from torch import nn

from iiae.distributions import DiagonalNormal
from iiae.rivals.caae import CVAESettings, Networks, deceiving, rebuilding, telling


def test_rebuilding_equals_a_slow_loop(float64):
    n = Networks(4, 5, CVAESettings(width=8, latent=3), heads=2).eval()
    x, y, z = torch.randn(6, 4), torch.randn(6, 5), torch.randn(6, 3)
    total = 0.0
    for i in range(6):
        rebuilt = n.decode(x[i : i + 1], z[i : i + 1])
        again = n.resketch(rebuilt)
        total += sum((rebuilt[0, j] - y[i, j]).item() ** 2 for j in range(5)) / 30
        total += 10 * sum((again[0, j] - x[i, j]).item() ** 2 for j in range(4)) / 24
    assert rebuilding(n, x, y, z, 10.0).item() == pytest.approx(total)


def test_the_kl_of_a_posterior_equals_a_slow_loop(float64):
    q = DiagonalNormal(torch.randn(4, 3), torch.randn(4, 3))
    total = 0.0
    for mean, log_variance in zip(
        q.loc.ravel().tolist(), q.log_variance.ravel().tolist(), strict=True
    ):
        total += 0.5 * (mean**2 + math.exp(log_variance) - log_variance - 1) / 4
    assert q.kl_standard().mean().item() == pytest.approx(total)


def test_the_adversary_s_losses_equal_slow_loops(float64):
    adversary, z, prior = nn.Linear(3, 1), torch.randn(5, 3), torch.randn(5, 3)
    chance = lambda row: adversary(row).sigmoid().item()  # noqa: E731
    expected = -sum(math.log(chance(row)) for row in z) / 5
    assert deceiving(adversary, z).item() == pytest.approx(expected)
    expected = -sum(math.log(chance(row)) for row in prior) / 5
    expected -= sum(math.log(1 - chance(row)) for row in z) / 5
    assert telling(adversary, prior, z).item() == pytest.approx(expected)


def test_every_parameter_gets_a_gradient():
    n = Networks(4, 5, CVAESettings(width=8, latent=3), heads=2)
    x, y = torch.randn(16, 4), torch.randn(16, 5)
    q = DiagonalNormal(*(part.tanh() for part in n.encode(x, y)))
    (rebuilding(n, x, y, q.rsample(), 10.0) + q.kl_standard().mean()).backward()
    for name, parameter in n.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
