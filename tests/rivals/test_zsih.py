import math

import pytest
import torch

from iiae.rivals.interface import TrainingSet
from iiae.rivals.zsih import ZSIH, Networks, ZSIHSettings, binary, losses, smoothing


def test_codes_use_their_bits(world):
    settings = {"steps": 400, "width": 64, "fusion": 16, "bits": 32, "learning_rate": 1e-3}
    fitted = ZSIH.fit(world.train, world.semantics, 0, **settings)
    for codes in (fitted.embed_x(world.train.x), fitted.embed_y(world.train.y)):
        assert set(codes.ravel().tolist()) == {0.0, 1.0}
        assert 0.2 < codes.mean() < 0.8
        assert ((codes.mean(0) > 0.02) & (codes.mean(0) < 0.98)).mean() > 0.5  # not constant


def test_a_bit_is_drawn_with_its_probability():
    logits = torch.tensor([[-1.0, 0.0, 2.0]]).expand(20_000, 3)
    mean = binary(logits, torch.rand(20_000, 3)).mean(0)
    torch.testing.assert_close(mean, logits[0].sigmoid(), atol=0.015, rtol=0)


def test_the_gradient_of_a_bit_is_that_of_its_probability(float64):
    logits = torch.randn(4, 3, requires_grad=True)
    upstream = torch.randn(4, 3)
    b = binary(logits, torch.rand(4, 3))
    b.backward(upstream)
    assert ((b - b.round()).abs() < 1e-12).all()
    p = logits.detach().sigmoid()
    torch.testing.assert_close(logits.grad, upstream * p * (1 - p))


def test_smoothing_equals_a_slow_loop(float64):
    s = torch.nn.functional.normalize(torch.randn(5, 3))[[0, 0, 1, 2, 3, 4]]
    a = [[math.exp(-(s[i] - s[j]).square().sum().item() / 0.1) for j in range(6)] for i in range(6)]
    smoothed = smoothing(s, 0.1)
    for i in range(6):
        for j in range(6):
            expected = a[i][j] / math.sqrt(sum(a[i]) * sum(a[j]))
            assert smoothed[i, j].item() == pytest.approx(expected)


def test_losses_equal_slow_loops(float64):
    n = Networks(4, 5, 3, ZSIHSettings(width=8, fusion=4, bits=6))
    x, y, s = torch.randn(7, 4), torch.randn(7, 5), torch.randn(7, 3)
    logits = torch.randn(7, 6)
    b = binary(logits, torch.rand(7, 6))
    t = losses(n, x, y, s, logits, b)
    cells = [(i, j) for i in range(7) for j in range(6)]
    p = logits.sigmoid()
    code = [-math.log(p[c] if b[c] > 0.5 else 1 - p[c]) for c in cells]
    assert t.code.item() == pytest.approx(sum(code) / 42)
    for term, network, side in ((t.x, n.f, x), (t.y, n.g, y)):
        squares = [(network(side)[c] - b[c]).item() ** 2 for c in cells]
        assert term.item() == pytest.approx(sum(squares) / 42)
    squares = [(n.decoder(b)[i, j] - s[i, j]).item() ** 2 for i in range(7) for j in range(3)]
    assert t.semantic.item() == pytest.approx(sum(squares) / 21)


def test_only_the_words_move_logits_by_way_of_the_code():
    """The code is a fixed target of f and g."""
    n = Networks(4, 4, 3, ZSIHSettings(width=8, fusion=4, bits=6))
    x, y, s = torch.randn(7, 4), torch.randn(7, 4), torch.randn(7, 3)
    logits = torch.randn(7, 6, requires_grad=True)
    t = losses(n, x, y, s, logits, binary(logits, torch.rand(7, 6)))
    (slope,) = torch.autograd.grad(t.x + t.y, logits, allow_unused=True)
    assert slope is None
    (slope,) = torch.autograd.grad(t.semantic, logits)
    assert slope.any()


def test_the_second_row_holds_the_probabilities_of_the_bits(world):
    settings = {"steps": 2, "width": 16, "fusion": 4, "bits": 8}
    fitted = ZSIH.fit(TrainingSet(*world.train), world.semantics, 0, **settings)
    assert (fitted.distance, fitted.second.distance) == ("hamming", "cosine")
    bits, probabilities = fitted.embed_x(world.test.x), fitted.second.embed_x(world.test.x)
    assert ((probabilities > 0.5) == (bits == 1)).all()
