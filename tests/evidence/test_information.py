import math

import pytest
import torch
from torch import nn

from helpers import small_model
from iiae.data import Splits
from iiae.data.arrays import ArrayPairs
from iiae.data.synthetic import LinearGaussianPairs
from iiae.distributions import DiagonalNormal
from iiae.errors import DataError
from iiae.evidence.information import aggregate_kl, contrast, information_terms
from iiae.model.iiae import IIAE
from iiae.networks.interface import Networks, SharedEncoding
from iiae.settings import make_settings
from iiae.training import fit

N = 4000


class Exact(nn.Module):
    """Posterior of s in x = sqrt(rho) s + noise, y likewise, all of variance 1."""

    def __init__(self, rho):
        super().__init__()
        self.rho = rho

    def forward(self, x, y=None):
        if y is None:
            loc, variance = math.sqrt(self.rho) * x, 1 - self.rho
            return SharedEncoding(normal(loc, variance), x)
        loc = math.sqrt(self.rho) / (1 + self.rho) * (x + y)
        return normal(loc, (1 - self.rho) / (1 + self.rho))


class Prior(nn.Module):
    def forward(self, x):
        return normal(torch.zeros_like(x), 1.0)


def normal(loc, variance):
    return DiagonalNormal(loc, torch.full_like(loc, math.log(variance)))


def exact_model(rho):
    """The model whose z_s is the true common factor, and pairs for it."""
    x, noise = torch.randn(2, N, 1)
    y = rho * x + math.sqrt(1 - rho**2) * noise
    networks = Networks(
        Prior(), Prior(), Exact(rho), Exact(rho), Exact(rho), nn.Identity(), nn.Identity()
    )
    return IIAE(networks, 1, (1, 1)), ArrayPairs(x.numpy(), y.numpy())


def trained(information, epochs=8, pairs=3000):
    likelihood = {"kind": "normal", "weight": 50.0}
    settings = make_settings(
        {
            "data": {"name": "synthetic"},
            "model": {"family": "features", "exclusive": 8, "shared": 4, "width": 16},
            "objective": {"tau": 50.0, "x": likelihood, "y": likelihood},
            "training": {"epochs": epochs, "batch": 100, "learning_rate": 3e-3},
        }
    )
    sizes = (pairs, pairs // 8, pairs // 2)
    data = Splits(*(LinearGaussianPairs(n, information, i) for i, n in enumerate(sizes)))
    return settings, data


def test_a_contrast_is_its_definition():
    q = DiagonalNormal(torch.randn(7, 3).double(), torch.randn(7, 3).double())
    z = torch.randn(7, 3).double()
    found = contrast(z, q, block=3)
    for i in range(7):
        density = [
            math.exp(
                sum(
                    -0.5 * (z[i, k] - q.loc[j, k]) ** 2 / q.variance[j, k]
                    - 0.5 * q.log_variance[j, k]
                    for k in range(3)
                )
            )
            for j in range(7)
        ]  # fmt: skip
        assert found.lower[i] == pytest.approx(math.log(density[i] / (sum(density) / 7)))
        others = (sum(density) - density[i]) / 6
        assert found.upper[i] == pytest.approx(math.log(density[i] / others))


@pytest.mark.parametrize("rho", [0.3, 0.8])
def test_the_bounds_meet_the_closed_form_at_the_exact_posterior(rho):
    model, pairs = exact_model(rho)
    found = information_terms(model, pairs)
    truth = -0.5 * math.log(1 - rho**2)
    wyner = math.atanh(rho)
    one = -0.5 * math.log(1 - rho)  # I(X;Z_s)
    assert found.exclusive_x.value == found.exclusive_y.value == 0
    for name, value in {
        "only_x": wyner - one,
        "only_y": wyner - one,
        "joint_prior": wyner,
        "joint_upper": wyner,
        "joint_lower": wyner,
        "shared_x_lower": one,
        "shared_y_fitted": one,
        "interaction_lower": truth,
        "interaction_upper": wyner,
        "interaction_fitted": one,
        "joint_mixture": wyner,
        "interaction_estimate": truth,
    }.items():
        assert getattr(found, name).value == pytest.approx(value, abs=0.05), name


def test_a_normal_aggregate_posterior_gives_the_least_divergence_and_is_exact_if_it_is_normal():
    mix = torch.randn(6, 6).double()
    loc = torch.randn(N, 6).double() @ mix
    q = DiagonalNormal(loc, torch.full_like(loc, math.log(0.3)))
    covariance = mix.T @ mix + 0.3 * torch.eye(6)
    truth = 0.5 * (torch.logdet(covariance) - 6 * math.log(0.3))  # I(X,Y;Z_s)
    found = aggregate_kl(q, torch.Generator().manual_seed(0)).mean()
    assert found == pytest.approx(float(truth), abs=0.05)
    assert found < q.kl_standard().mean()


def test_the_divergence_from_an_aggregate_is_its_definition(monkeypatch):
    from iiae.evidence import information

    monkeypatch.setattr(information, "FOLDS", 2)
    q = DiagonalNormal(torch.randn(8, 2).double(), torch.randn(8, 2).double())
    found = aggregate_kl(q, torch.Generator().manual_seed(0))
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    for mine, rest in ((order[:4], order[4:]), (order[4:], order[:4])):
        around = torch.cov(q.loc[rest].T, correction=0) + q.variance[rest].mean(0).diag()
        normal = torch.distributions.MultivariateNormal(q.loc[rest].mean(0), around)
        for i in mine:
            own = torch.distributions.MultivariateNormal(q.loc[i], q.variance[i].diag())
            wanted = torch.distributions.kl_divergence(own, normal)
            assert found[i] == pytest.approx(float(wanted))


def test_intervals_hold_their_means_and_repeat_for_a_seed():
    model, pairs = exact_model(0.5)
    found = information_terms(model, pairs, seed=3)
    assert found == information_terms(model, pairs, batch=77, seed=3)
    assert all(bound.low <= bound.value <= bound.high for bound in found[1:])
    width = found.joint_upper.high - found.joint_upper.low
    assert 0 < width < 0.1


def test_bounds_are_ordered_whatever_the_weights():
    model, pairs = small_model()
    found = information_terms(model, pairs)
    assert found.pairs == len(pairs)
    assert found.interaction_lower.value <= found.interaction_upper.value
    assert found.joint_lower.value <= min(found.joint_upper.value, math.log(len(pairs)))


def test_training_pairs_lower_the_upper_end_where_z_s_is_in_clusters():
    """x is near one of two values, so that no normal is the density of z_s."""
    model, pairs = exact_model(0.99)
    moved = ArrayPairs(*((v.sign() * 8 + 0.3 * v).numpy() for v in (pairs.x, pairs.x)))
    half = torch.arange(N // 2)
    train, held = (
        ArrayPairs(moved.x[i].numpy(), moved.y[i].numpy()) for i in (half, half + N // 2)
    )
    normal, mixed = information_terms(model, held), information_terms(model, held, train=train)
    assert mixed.joint_mixture.value < normal.joint_mixture.value - 0.2
    assert mixed.interaction_upper.value <= mixed.joint_mixture.value
    assert mixed.joint_lower.value <= mixed.joint_mixture.value
    assert mixed.interaction_estimate.value < normal.interaction_estimate.value


def test_two_pairs_are_refused():
    model, pairs = small_model()
    with pytest.raises(DataError, match="2 are too few"):
        information_terms(model, ArrayPairs(pairs.x[:2].numpy(), pairs.y[:2].numpy()))


def test_the_bracket_of_short_trained_models_is_ordered_and_follows_the_truth(tmp_path):
    brackets = []
    for i, level in enumerate((0.5, 2.0, 4.0)):
        settings, data = trained(level)
        run = fit(settings, tmp_path / str(i), data, progress=False)
        found = information_terms(run.model, data.test)
        assert found.interaction_lower.high <= found.interaction_upper.low
        assert found.interaction_lower.low <= level
        brackets.append(found)
    for side in ("interaction_lower", "interaction_upper"):
        values = [getattr(found, side).value for found in brackets]
        assert values == sorted(values), side


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.5, 1.0, 2.0, 4.0])
def test_the_bracket_holds_the_truth(level, tmp_path):
    settings, data = trained(level, epochs=20, pairs=8000)
    found = information_terms(fit(settings, tmp_path, data, progress=False).model, data.test)
    assert found.interaction_lower.value <= level <= found.interaction_upper.value
    assert found.interaction_lower.value >= 0.3 * level


def test_of_many_pairs_a_random_part_is_taken_and_not_the_first(monkeypatch):
    from iiae.evidence import information

    monkeypatch.setattr(information, "PAIRS", 100)
    # x and y are dependent in the last half alone
    x, noise = torch.randn(2, N, 1)
    y = torch.cat([noise[: N // 2], 0.9 * x[N // 2 :] + 0.4 * noise[N // 2 :]])
    model, _ = exact_model(0.9)
    pairs = ArrayPairs(x.numpy(), y.numpy())
    first = information_terms(model, ArrayPairs(x[:100].numpy(), y[:100].numpy()))
    found = information_terms(model, pairs, batch=30)
    assert found.pairs == 100
    assert found.only_x.value < first.only_x.value
    assert found == information_terms(model, pairs, batch=100)
