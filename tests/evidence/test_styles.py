import torch
from torch import nn

from helpers import small_model
from iiae.evidence.styles import draw_styles


def test_draws_differ_unless_the_decoder_ignores_them():
    model, pairs = small_model()
    found = draw_styles(model, pairs)
    assert found["x"].between.low > 0
    assert found["x"].between.mean < 3 * found["x"].error.mean
    first = next(m for m in model.decoder_x.modules() if isinstance(m, nn.Linear))
    with torch.no_grad():
        first.weight.zero_()
    alike = draw_styles(model, pairs)
    assert alike["x"].between.mean == 0
    assert alike["y"] == found["y"]


def test_styles_repeat_for_a_seed_and_not_for_another():
    model, pairs = small_model()
    assert draw_styles(model, pairs, seed=1) == draw_styles(model, pairs, seed=1)
    assert draw_styles(model, pairs, seed=1) != draw_styles(model, pairs, seed=2)
