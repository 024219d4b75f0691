import pytest
import torch

from iiae.rivals.interface import Scale, _seen
from iiae.rivals.sem_pcyc import (
    Networks,
    SEMPCYCSettings,
    adversary_loss,
    code_loss,
    cycle_loss,
    generate,
    generator_loss,
    train_networks,
)
from iiae.rivals.training import Batch


@pytest.fixture
def seen(world):
    scales = Scale.of(world.train.x), Scale.of(world.train.y)
    return _seen(world.train, scales, world.semantics.of(world.train.classes))


def cycle_after(steps, seen):
    torch.manual_seed(0)
    settings = SEMPCYCSettings(steps=steps, size=16, generator_rate=1e-3, dropout=0.1)
    n = train_networks(seen, settings)
    e = n.code(torch.cat([seen.words, seen.similarity], 1)[seen.class_x])
    batch = Batch(seen.x, seen.y, seen.class_x)
    return cycle_loss(n, batch, e, generate(n, batch, e)).item()


def test_the_cycle_losses_fall(seen):
    assert cycle_after(200, seen) < 0.8 * cycle_after(1, seen)


def small(known=5):
    n = Networks(6, 7, known, 4, SEMPCYCSettings(size=3))
    return n, Batch(torch.randn(16, 6), torch.randn(16, 7), torch.randint(4, (16,)))


def test_the_cycle_loss_equals_a_slow_loop(float64):
    n, batch = small()
    n.eval()
    e = torch.randn(16, 3)
    made = generate(n, batch, e)
    total = 0.0
    for way, back, values, size in (
        (n.x_e, n.e_x, batch.x, 6), (n.y_e, n.e_y, batch.y, 7), (n.e_x, n.x_e, e, 3),
        (n.e_y, n.y_e, e, 3),
    ):  # fmt: skip
        for row in values:
            total += (back(way(row[None]))[0] - row).abs().sum().item() / (16 * size)
    assert cycle_loss(n, batch, e, made).item() == pytest.approx(total)


def test_the_code_is_charged_for_the_lengths_of_its_columns(float64):
    n, _ = small()
    c = torch.randn(8, 5)
    weight = n.code[0].weight
    lengths = sum(sum(w.item() ** 2 for w in weight[:, j]) ** 0.5 for j in range(5))
    charged = code_loss(n, c, 0.5) - code_loss(n, c, 0.0)
    assert charged.item() == pytest.approx(0.5 / 8 * lengths)


def test_every_parameter_gets_a_gradient_from_its_own_loss():
    n, batch = small()
    e = torch.randn(16, 3)
    made = generate(n, batch, e)
    generator_loss(n, batch, e, made).backward()
    n.adversaries().zero_grad()
    adversary_loss(n, batch, e, type(made)(*(part.detach() for part in made))).backward()
    code_loss(n, torch.randn(16, 5), 1e-3).backward()
    for name, parameter in n.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize(("rate", "moves"), [(0.0, False), (1e-3, True)])
def test_classifiers_are_random_and_fixed_unless_they_have_a_rate(seen, rate, moves):
    weights = []
    for steps in (1, 3):
        torch.manual_seed(0)
        n = train_networks(seen, SEMPCYCSettings(steps=steps, size=4, classifier_rate=rate))
        weights.append(n.classify_e.weight)
    assert torch.equal(*weights) != moves
