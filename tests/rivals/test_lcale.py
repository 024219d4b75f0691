import math

import pytest
import torch

from iiae.distributions import DiagonalNormal
from iiae.rivals.interface import Scale, _seen
from iiae.rivals.lcale import (
    ALIGN_RISE,
    Autoencoder,
    LCALESettings,
    misalignment,
    risen,
    terms,
    train_networks,
)


def terms_after(steps, world):
    scales = Scale.of(world.train.x), Scale.of(world.train.y)
    seen = _seen(world.train, scales, world.semantics.of(world.train.classes))
    torch.manual_seed(0)
    networks = train_networks(seen, LCALESettings(steps=steps, size=8))
    return terms(networks, [seen.x, seen.y, seen.words[seen.class_x]])


def test_distributions_become_aligned_and_samples_rebuilt(world):
    before, after = terms_after(1, world), terms_after(300, world)
    assert after.align < 0.5 * before.align
    assert after.rebuilt < 0.8 * before.rebuilt
    assert after.cross < 0.8 * before.cross


def test_misalignment_equals_a_slow_loop(float64):
    p, q = (DiagonalNormal(torch.randn(4, 3), torch.randn(4, 3)) for _ in range(2))
    loss = misalignment(p, q)
    for i in range(4):
        total = 0.0
        for j in range(3):
            total += (p.loc[i, j] - q.loc[i, j]).item() ** 2
            widths = [math.exp(0.5 * d.log_variance[i, j].item()) for d in (p, q)]
            total += (widths[0] - widths[1]) ** 2
        assert loss[i].item() == pytest.approx(math.sqrt(total) / 3)


def test_equal_posteriors_are_aligned_and_have_finite_slopes():
    loc = torch.zeros(2, 3, requires_grad=True)
    p = DiagonalNormal(loc, torch.zeros(2, 3))
    value = misalignment(p, DiagonalNormal(torch.zeros(2, 3), torch.zeros(2, 3))).sum()
    value.backward()
    assert value < 1e-5
    assert loc.grad.isfinite().all()


def test_terms_equal_slow_loops_where_nothing_is_drawn(float64):
    """Posteriors are so narrow that their samples are their means."""
    networks = [Autoencoder(size, 2, (6, 6)) for size in (4, 5, 3)]
    for network in networks:
        torch.nn.init.zeros_(network.inner[2].weight[2:])
        torch.nn.init.constant_(network.inner[2].bias[2:], -80.0)
    batch = [torch.randn(7, size) for size in (4, 5, 3)]
    t = terms(networks, batch)
    z = [network.encode(values).mean for network, values in zip(networks, batch, strict=True)]
    l1 = lambda a, b: sum((a - b).abs().ravel().tolist()) / a.numel()  # noqa: E731
    error = [[l1(n.decode(each), v) for each in z] for n, v in zip(networks, batch, strict=True)]
    assert t.rebuilt.item() == pytest.approx(sum(error[i][i] for i in range(3)))
    crossed = [error[i][j] for i in range(3) for j in range(3) if i != j]
    assert t.cross.item() == pytest.approx(sum(crossed))
    s, words = batch[2], networks[2]
    again = [words.decode(n.encode(n.decode(z[2])).mean) for n in networks[:2]]
    assert t.cycle.item() == pytest.approx(sum(l1(each, s) for each in again))


def test_weights_rise_between_their_parts_of_training():
    assert risen(0.0, ALIGN_RISE) == 0
    assert risen(0.14, ALIGN_RISE) == pytest.approx(0.5)
    assert risen(0.9, ALIGN_RISE) == 1
