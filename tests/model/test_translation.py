import copy

import pytest
import torch

from helpers import small_model
from iiae.distributions import DiagonalNormal
from iiae.errors import DataError
from iiae.model.translation import (
    analogies,
    draw_exclusive,
    draw_prior,
    translate,
)
from iiae.types import Draw


@pytest.fixture
def model_and_pair():
    model, pairs = small_model()
    return model.eval(), pairs.pairs(Draw(torch.arange(6)))


def test_content_comes_from_the_source_and_the_rest_from_the_reference(model_and_pair):
    model, pair = model_and_pair
    translated = translate(model, pair.x, "y", like=pair.y)
    shared = model.encode_x(pair.x).shared.mean
    own = model.encode_y(pair.y).exclusive.mean
    torch.testing.assert_close(translated, model.decode_y(shared, own).mean)


def test_without_a_reference_the_prior_mean_is_used(model_and_pair):
    model, pair = model_and_pair
    shared = model.encode_y(pair.y).shared.mean
    torch.testing.assert_close(
        translate(model, pair.y, "x"), model.decode_x(shared, torch.zeros(6, 4)).mean
    )


def test_one_reference_serves_all(model_and_pair):
    model, pair = model_and_pair
    one = translate(model, pair.x, "y", like=pair.y[2:3])
    torch.testing.assert_close(one, translate(model, pair.x, "y", like=pair.y[[2] * 6]))


def test_another_number_of_references_is_refused(model_and_pair):
    model, pair = model_and_pair
    with pytest.raises(DataError, match="6 samples to translate and 4 references"):
        translate(model, pair.x, "y", like=pair.y[:4])


def test_many_samples_are_translated_some_at_a_time(model_and_pair, monkeypatch):
    model, pair = model_and_pair
    whole = translate(model, pair.x, "y", like=pair.y), translate(model, pair.x, "y", pair.y[:1])
    monkeypatch.setattr("iiae.model.translation.ROWS", 4)
    most: list[int] = []
    model.decoder_y.register_forward_hook(lambda _, given, out: most.append(len(given[0])))
    parts = translate(model, pair.x, "y", like=pair.y), translate(model, pair.x, "y", pair.y[:1])
    assert most == [4, 2, 4, 2]
    torch.testing.assert_close(parts, whole)
    with pytest.raises(DataError, match="6 samples to translate and 5 references"):
        translate(model, pair.x, "y", like=pair.y[:5])


def test_draws_differ_and_repeat_for_a_seed(model_and_pair):
    model, pair = model_and_pair
    draws = [draw_exclusive(model, "y", 2, torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert draws[0].shape == (2, model.exclusive_sizes.y)
    results = [translate(model, pair.x, "y", exclusive=d[None]) for d in draws[0]]
    assert not torch.allclose(*results)


def test_draws_are_of_the_posteriors_of_training_samples(model_and_pair):
    model, _ = model_and_pair
    size = model.exclusive_sizes.y
    places = torch.tensor([-40.0, 40.0, 60.0])[:, None].expand(3, size)
    narrow = DiagonalNormal(places, torch.full((3, size), -4.0))
    before = draw_exclusive(model, "y", 500, torch.Generator().manual_seed(0))
    assert before.std() == pytest.approx(1, abs=0.1)  # the prior, until it is trained
    changed = copy.deepcopy(model)
    changed.keep_aggregate(DiagonalNormal(*torch.zeros(2, 3, model.exclusive_sizes.x)), narrow)
    drawn = draw_exclusive(changed, "y", 300, torch.Generator().manual_seed(0))
    far = (drawn[:, None] - places).abs().amax(2).amin(1)
    assert far.max() < 1 and {int(v) for v in drawn.mean(1).round(decimals=-1)} == {-40, 40, 60}
    again = draw_prior(changed, "y", 500, torch.Generator().manual_seed(0))
    assert again.std() == pytest.approx(1, abs=0.1)


def test_the_diagonal_of_analogies_is_reconstruction_from_one_domain(model_and_pair):
    model, pair = model_and_pair
    table = analogies(model, pair.x, "x")
    assert table.shape == (6, 6, 32)
    q = model.encode_x(pair.x)
    own = model.decode_x(q.shared.mean, q.exclusive.mean).mean
    torch.testing.assert_close(table.diagonal().T, own)
    mixed = model.decode_x(q.shared.mean[1:2], q.exclusive.mean[4:5]).mean
    torch.testing.assert_close(table[1, 4], mixed[0])


def test_inactive_dimensions_can_be_left_at_the_prior(model_and_pair):
    model, pair = model_and_pair
    whole = translate(model, pair.x, "y")
    assert torch.equal(translate(model, pair.x, "y", active_only=True), whole)
    model.active[:2] = False
    shared = model.encode_x(pair.x).shared.mean.clone()
    shared[:, :2] = 0
    expected = model.decode_y(shared, torch.zeros(6, 4)).mean
    torch.testing.assert_close(translate(model, pair.x, "y", active_only=True), expected)
