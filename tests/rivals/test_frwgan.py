import pytest
import torch

from iiae.rivals.frwgan import WordCritic, critic_loss, generator_loss, gradient_penalty


@pytest.fixture
def batch(float64):
    return torch.randn(6, 5), torch.randn(6, 5), torch.randn(6, 3)


def test_the_gradient_penalty_equals_a_loop_over_samples(batch):
    y, fake, s = batch
    critic, share = WordCritic(5, 3, 16), torch.rand(6, 1)
    total = 0.0
    for i in range(6):
        point = (share[i] * y[i] + (1 - share[i]) * fake[i]).requires_grad_()
        (slope,) = torch.autograd.grad(critic(point[None], s[i : i + 1])[0], point)
        total += (slope.square().sum().sqrt() - 1) ** 2 / 6
    penalty = gradient_penalty(critic, y, fake, s, share)
    torch.testing.assert_close(penalty.detach(), total)
    penalty.backward()
    assert all(p.grad is not None for p in critic.parameters() if p.ndim == 2)


def test_slope_of_one_costs_nothing(batch):
    y, fake, s = batch
    direction = torch.nn.functional.normalize(torch.randn(5), dim=0)
    assert gradient_penalty(lambda y, s: y @ direction, y, fake, s, torch.rand(6, 1)) < 1e-12


def test_losses_equal_slow_loops(batch):
    y, fake, s = batch
    critic, to_words = WordCritic(5, 3, 16), torch.nn.Linear(5, 3)
    judged = [critic(fake[i : i + 1], s[i : i + 1]).item() for i in range(6)]
    real = [critic(y[i : i + 1], s[i : i + 1]).item() for i in range(6)]
    errors = [(to_words(fake[i])[j] - s[i, j]).item() ** 2 for i in range(6) for j in range(3)]
    loss = generator_loss(critic, to_words, fake, s, 0.01)
    assert loss.item() == pytest.approx(-sum(judged) / 6 + 0.01 * sum(errors) / 18)
    torch.manual_seed(1)
    loss = critic_loss(critic, y, fake, s, 10.0)
    torch.manual_seed(1)
    slope = gradient_penalty(critic, y, fake, s, torch.rand(6, 1))
    expected = sum(judged) / 6 - sum(real) / 6 + 10 * slope.item()
    assert loss.item() == pytest.approx(expected)
