import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, kl_divergence
from torch.distributions import Laplace as TorchLaplace
from torch.distributions import Normal as TorchNormal

from iiae.distributions import (
    LAPLACE,
    LOG_SCALE_MIN,
    LOG_VARIANCE_MAX,
    LOG_VARIANCE_MIN,
    NORMAL,
    Bernoulli,
    BernoulliHead,
    Categorical,
    CategoricalHead,
    DiagonalNormal,
    Laplace,
    LaplaceHead,
    LearnedScale,
    Normal,
    NormalHead,
    ScaledLaplace,
    ScaledNormal,
    diagonal_normal,
)

pytestmark = pytest.mark.usefixtures("float64")


def pair_of_normals():
    return [DiagonalNormal(torch.randn(6, 3), torch.randn(6, 3)) for _ in range(2)]


def reference(q):
    return Independent(TorchNormal(q.loc, q.variance.sqrt()), 1)


def test_kl_equals_torch_distributions():
    q, r = pair_of_normals()
    torch.testing.assert_close(q.kl(r), kl_divergence(reference(q), reference(r)))


def test_kl_by_hand():
    # KL[N(1, 4) || N(0, 1)] = (1 + 4 - log 4 - 1) / 2
    q = DiagonalNormal(torch.ones(1, 1), torch.full((1, 1), math.log(4)))
    standard = DiagonalNormal(torch.zeros(1, 1), torch.zeros(1, 1))
    assert q.kl(standard).item() == pytest.approx((4 - math.log(4)) / 2)
    assert q.kl_standard().item() == pytest.approx((4 - math.log(4)) / 2)


def test_kl_to_the_standard_normal_is_kl_standard():
    q, _ = pair_of_normals()
    standard = DiagonalNormal(torch.zeros(6, 3), torch.zeros(6, 3))
    torch.testing.assert_close(q.kl_standard(), q.kl(standard))


@given(st.integers(0, 10_000))
def test_kl_is_not_negative_and_zero_only_to_itself(seed):
    torch.manual_seed(seed)
    q, r = pair_of_normals()
    assert (q.kl(r) > 0).all()
    assert q.kl(q).abs().max() < 1e-12


def test_samples_have_the_stated_moments():
    q = DiagonalNormal(torch.full((40_000, 2), 3.0), torch.full((40_000, 2), math.log(4)))
    z = q.rsample()
    torch.testing.assert_close(z.mean(0), torch.full((2,), 3.0), atol=0.05, rtol=0)
    torch.testing.assert_close(z.var(0), torch.full((2,), 4.0), atol=0.1, rtol=0)


def test_log_variance_is_bounded_on_both_sides():
    q = diagonal_normal(torch.tensor([[0.0, 0.0, -1e9, 1e9]]))
    assert q.log_variance.tolist() == [[LOG_VARIANCE_MIN, LOG_VARIANCE_MAX]]
    assert q.kl(DiagonalNormal(torch.zeros(1, 2), -q.log_variance)).isfinite().all()


def test_beyond_the_bounds_the_gradient_leads_back():
    """Clipped, a dimension that once left them stays outside: Maps at 256 pixels lost three."""
    raw = torch.tensor([[0.0, 0.0, -40.0, 40.0]], requires_grad=True)
    diagonal_normal(raw).kl_standard().sum().backward()
    low, high = raw.grad[0, 2:].tolist()
    assert low < 0 < high  # descent raises the one and lowers the other


def test_a_map_is_flattened_and_half_precision_becomes_float32():
    parameters = torch.randn(2, 6, 4, 4, dtype=torch.bfloat16)
    q = diagonal_normal(parameters)
    assert q.loc.shape == q.log_variance.shape == (2, 48)
    assert q.loc.dtype == torch.float32
    assert torch.equal(q.loc, parameters[:, :3].float().flatten(1))


@pytest.mark.parametrize(
    ("likelihood", "expected"),
    [
        (Laplace, lambda loc: TorchLaplace(loc, 0.3)),
        (Normal, lambda loc: TorchNormal(loc, math.sqrt(0.3))),
    ],
)
def test_log_prob_equals_torch_distributions(likelihood, expected):
    loc, value = torch.randn(5, 2, 3), torch.randn(5, 2, 3)
    torch.testing.assert_close(
        likelihood(loc, 0.3).log_prob(value), expected(loc).log_prob(value).sum((1, 2))
    )


def test_bernoulli_log_prob_equals_a_slow_loop():
    logits, value = torch.randn(3, 4), torch.randint(0, 2, (3, 4)).double()
    p = logits.sigmoid()
    slow = [
        sum(math.log(p[i, j] if value[i, j] else 1 - p[i, j]) for j in range(4)) for i in range(3)
    ]
    torch.testing.assert_close(Bernoulli(logits).log_prob(value), torch.tensor(slow))
    torch.testing.assert_close(Bernoulli(logits).mean, p)


def test_categorical_log_prob_picks_the_true_class():
    logits = torch.randn(4, 3, 5)
    classes = torch.randint(0, 3, (4, 5))
    value = torch.nn.functional.one_hot(classes, 3).movedim(-1, 1).double()
    p = logits.softmax(1)
    slow = [sum(math.log(p[i, classes[i, j], j]) for j in range(5)) for i in range(4)]
    torch.testing.assert_close(Categorical(logits).log_prob(value), torch.tensor(slow))
    torch.testing.assert_close(Categorical(logits).mean.sum(1), torch.ones(4, 5))


def test_heads_weigh_the_mean_error_as_published():
    raw, value = torch.randn(3, 2, 8), torch.randn(3, 2, 8)
    constant = LaplaceHead(1000, tanh=False)(value).log_prob(value)
    error = constant - LaplaceHead(1000, tanh=False)(raw).log_prob(value)
    torch.testing.assert_close(error, 1000 * (raw - value).abs().mean((1, 2)))
    constant = NormalHead(10, tanh=False)(value).log_prob(value)
    error = constant - NormalHead(10, tanh=False)(raw).log_prob(value)
    torch.testing.assert_close(error, 10 * (raw - value).square().mean((1, 2)))


def test_published_scales():
    image, features = torch.zeros(1, 3, 256, 256), torch.zeros(1, 512)
    assert LaplaceHead(1000, tanh=True)(image).scale == pytest.approx(196.608)
    assert NormalHead(10, tanh=False)(features).variance == pytest.approx(25.6)


@pytest.mark.parametrize("head", [LaplaceHead(9.0, True), NormalHead(9.0, True)])
def test_image_heads_stay_in_range(head):
    mean = head(100 * torch.randn(2, 3, 4, 4)).mean
    assert mean.min() >= -1
    assert mean.max() <= 1


@pytest.mark.parametrize(
    "head", [LaplaceHead(9.0, False), NormalHead(9.0, True), BernoulliHead(), CategoricalHead()]
)
def test_likelihoods_are_computed_in_float32_at_least(head):
    value = torch.rand(2, 3)
    assert head(torch.randn(2, 3).bfloat16()).mean.dtype == torch.float32
    assert head(torch.randn(2, 3)).log_prob(value).shape == (2,)


@pytest.mark.parametrize(
    ("kind", "draw", "spread"),
    [
        (NORMAL, torch.randn, lambda error: error.square().mean(0).sqrt()),
        (
            LAPLACE,
            lambda *size: TorchLaplace(0.0, 1.0).sample(size),
            lambda error: error.abs().mean(0),
        ),
    ],
)
def test_a_learned_scale_comes_to_that_of_the_errors(kind, draw, spread):
    torch.manual_seed(0)
    scales = torch.tensor([0.2, 1.0, 3.0])
    values = draw(500, 3) * scales
    head = LearnedScale(kind.scaled, (3,), tanh=False)
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-3)
    for _ in range(600):
        loss = -head(torch.zeros_like(values)).log_prob(values).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.testing.assert_close(head.log_scale.exp().detach(), spread(values), rtol=0.02, atol=0)


def test_likelihoods_of_learned_scale_are_the_densities_of_torch():
    loc, value = torch.randn(2, 5, 3, dtype=torch.float64)
    log_scale = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64)
    for ours, theirs in (
        (ScaledNormal, TorchNormal),
        (ScaledLaplace, TorchLaplace),
    ):
        expected = theirs(loc, log_scale.exp()).log_prob(value).sum(1)
        torch.testing.assert_close(ours(loc, log_scale).log_prob(value), expected)


def test_a_learned_scale_stays_above_its_bound_and_can_leave_it():
    head = LearnedScale(ScaledNormal, (1,), tanh=False)
    with torch.no_grad():
        head.steps.fill_(-100.0)
    assert head.log_scale.item() == LOG_SCALE_MIN
    (-head(torch.zeros(4, 1)).log_prob(torch.ones(4, 1))).mean().backward()
    assert head.steps.grad is not None and head.steps.grad.item() < 0  # a step leads up
