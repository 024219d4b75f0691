import numpy as np
import pytest
import torch

from helpers import small_model
from iiae.distributions import Bernoulli, ScaledNormal
from iiae.errors import SettingsError
from iiae.model.prediction import calibrated_levels, predict
from iiae.types import Draw, Pair


@pytest.fixture
def model_and_pair():
    model, pairs = small_model()
    return model.eval(), pairs.pairs(Draw(torch.arange(40)))


def test_an_interval_holds_its_share_of_draws_from_the_same_model(model_and_pair):
    model, pair = model_and_pair
    wide = predict(model, pair.x, "y", level=0.8, samples=400)
    assert wide.mean.shape == wide.low.shape == wide.high.shape == tuple(pair.y.shape)
    q = model.encode_x(pair.x).shared
    generator = torch.Generator().manual_seed(7)
    inside = []
    for _ in range(30):
        own = torch.randn(len(pair.x), model.exclusive_sizes[1], generator=generator)
        with torch.no_grad():
            drawn = model.decode_y(q.sample(generator), own).sample(generator).numpy()
        inside.append((drawn >= wide.low) & (drawn <= wide.high))
    assert np.mean(inside) == pytest.approx(0.8, abs=0.03)


def test_predictions_repeat_for_a_seed_and_a_higher_level_is_wider(model_and_pair):
    model, pair = model_and_pair
    first, again = (predict(model, pair.x, "y", seed=3) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    wider = predict(model, pair.x, "y", level=0.99, seed=3)
    assert (wider.high - wider.low > first.high - first.low).all()


def test_the_width_is_that_of_the_likelihood_where_latents_say_nothing(model_and_pair, monkeypatch):
    model, pair = model_and_pair
    one = torch.zeros(())
    monkeypatch.setattr(
        model, "decode_y", lambda s, e, c: ScaledNormal(torch.zeros(len(s), 2), one)
    )
    found = predict(model, pair.x, "y", level=0.9, samples=2000)
    assert np.abs(found.high - 1.645).max() < 0.3
    assert found.high.mean() == pytest.approx(1.645, abs=0.02)


@pytest.mark.parametrize("spread", [0.4, 1.0, 2.5])
def test_levels_of_validation_pairs_make_intervals_hold_their_share(
    model_and_pair, monkeypatch, spread
):
    model, pair = model_and_pair
    deviation = torch.tensor(spread).log()  # of predictions; of true values it is 1
    monkeypatch.setattr(
        model, "decode_y", lambda s, e, c: ScaledNormal(torch.zeros(len(s), 32), deviation)
    )
    held, test = (pair._replace(y=torch.randn(len(pair.y), 32)) for _ in range(2))

    def share(level):
        made = predict(model, test.x, "y", level=level, samples=1000)
        return ((test.y.numpy() >= made.low) & (test.y.numpy() <= made.high)).mean()

    before = share(0.8)
    model.levels.copy_(calibrated_levels(model, held))
    assert share(0.8) == pytest.approx(0.8, abs=0.04)
    assert share(0.5) == pytest.approx(0.5, abs=0.04)
    assert (before < 0.5, before > 0.95) == (spread < 1, spread > 1)
    assert (model.levels.diff() >= 0).all()


def test_levels_of_values_that_tie_and_of_too_few_stay_even(model_and_pair, monkeypatch):
    model, pair = model_and_pair
    coin = Bernoulli(torch.zeros(40, 32))  # log-odds
    monkeypatch.setattr(model, "decode_y", lambda s, e, c: Bernoulli(torch.zeros(len(s), 32)))
    tossed = pair._replace(y=coin.sample(torch.Generator().manual_seed(1)))
    even = torch.linspace(0, 1, model.levels.shape[1])
    assert (calibrated_levels(model, tossed)[1] - even).abs().max() < 0.06
    few = Pair(pair.x[:2], tossed.y[:2])
    assert torch.equal(calibrated_levels(model, few)[1], even)


@pytest.mark.parametrize("wrong", [{"level": 1.0}, {"level": 0.0}, {"samples": 1}])
def test_levels_and_numbers_out_of_range_are_refused(model_and_pair, wrong):
    model, pair = model_and_pair
    with pytest.raises(SettingsError, match="between 0 and 1"):
        predict(model, pair.x, "y", **wrong)
