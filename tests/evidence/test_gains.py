import numpy as np
import pytest

from iiae.data.arrays import ArrayPairs
from iiae.data.synthetic import SyntheticPairs
from iiae.evidence.gains import leakage_gains, prediction_gain
from iiae.evidence.measure import Blocks
from iiae.report.verdict import NOTABLE, SURE
from iiae.results import Gain, Gains

PAIRS = SyntheticPairs(600, 0)
S, U, V = PAIRS.shared.numpy(), *(own.numpy() for own in PAIRS.exclusive)


def gains(x=U, given_x=S, given_y=S, y=V):
    noise = 0.05 * np.random.default_rng(0).normal(size=(2, *S.shape)).astype(np.float32)
    given = given_x + (noise[0] if given_x.shape == S.shape else 0), given_y + noise[1]
    return leakage_gains({"means": Blocks(x, S, y, *given)}, PAIRS)["means"]


def leaks(found):
    return {
        name
        for name, one in found._asdict().items()
        if found.leaks[name] >= NOTABLE and one.p_value < SURE and one.low > 0
    }


def test_the_true_factors_leak_nothing():
    found = gains()
    assert not leaks(found)
    assert found.shared_in_z_x.possible > 0.2
    assert found.exclusive_in_z_s_x.possible > 0.2
    assert found.shared_in_z_x.without == 0


@pytest.mark.parametrize("kept", [S[:, 1:], S], ids=["not in z_s", "in z_s too"])
def test_shared_content_left_in_an_exclusive_latent_is_a_gain_of_it_alone(kept):
    leaky = gains(x=np.hstack([U, S[:, :1]]), given_x=kept)
    assert "shared_in_z_x" in leaks(leaky)
    assert "shared_in_z_y" not in leaks(leaky)


def test_exclusive_content_in_the_shared_latent_is_a_gain_of_its_domain_alone():
    assert leaks(gains(given_x=np.hstack([S, U[:, :2]]))) == {"exclusive_in_z_s_x"}


def test_more_of_a_leak_is_a_larger_gain():
    values = [gains(given_x=np.hstack([S, U[:, :k]])).exclusive_in_z_s_x.gain for k in (1, 2, 3, 4)]
    assert values == sorted(values)


def test_the_share_is_what_leaked_of_all_that_could():
    """Of four axes that are alike, k leak."""
    shares = [gains(x=np.hstack([U, S[:, :k]])).shared_in_z_x.share for k in (1, 2, 4)]
    assert shares == pytest.approx([0.25, 0.5, 1], abs=0.12)
    shares = [gains(given_x=np.hstack([S, U[:, :k]])).exclusive_in_z_s_x.share for k in (1, 2, 4)]
    assert shares == pytest.approx([0.25, 0.5, 1], abs=0.12)


def test_a_gain_that_shuffled_latents_reach_is_no_share():
    found = Gain(0.0, 0.01, 0.0, 0.02, 0.02, 0.5, 0.4)
    assert found.share == 0
    sure = found._replace(null_high=0.001)
    assert sure.share == pytest.approx(0.025)
    assert sure._replace(possible=0.005).share == 1


def test_a_leak_is_the_share_for_exclusive_latents_and_the_gain_for_the_shared_one():
    one = Gain(0.3, 0.1, 0.05, 0.15, 0.01, 0.05, 0.4)
    leaks = Gains(one, None, one, one._replace(null_high=0.2)).leaks
    assert list(leaks.values()) == pytest.approx([0.25, 0, 0.1, 0])


def test_a_latent_that_holds_nothing_has_no_gain():
    assert gains(x=np.zeros_like(U)).shared_in_z_x is None


def test_a_gain_is_of_the_part_that_the_first_latent_does_not_tell():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 500, 2))
    target = np.hstack([first[:, :1], second[:, :1]])
    found = prediction_gain(first, second, second, target - target.mean(0))
    assert found.without == pytest.approx(0.5, abs=0.05)
    assert found.gain == pytest.approx(0.5, abs=0.05)
    assert found.low < found.gain < found.high
    assert found.possible == pytest.approx(found.gain)
    assert prediction_gain(first, first, second, target - target.mean(0)).gain < 0.01


def test_images_are_predicted_as_features_are():
    rng = np.random.default_rng(0)
    s, u = rng.normal(size=(2, 300, 1))
    x, y = (np.tanh(z)[:, :, None, None] * np.ones((300, 3, 32, 32)) / 2 for z in (s + u, s))
    views = {"clean": Blocks(u, s, u, s, s), "leaky": Blocks(u, s, u, s + u, s)}
    found = leakage_gains(views, ArrayPairs(x, y))
    clean, leaky = (found[name].exclusive_in_z_s_x for name in views)
    assert clean.gain < NOTABLE < clean.without
    assert leaky.gain > 0.3
    assert found["clean"].shared_in_z_y.gain > 0.3
