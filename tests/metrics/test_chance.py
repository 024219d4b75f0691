import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiae.metrics.chance import any_relevant, chance_values
from iiae.metrics.ranking import Ranks, query_values


def simulated(items, relevant, ks, draws=20_000):
    """Means of every measure over rankings drawn at random, with their standard errors."""
    order = np.random.default_rng(1).random((draws, items)).argsort(1)
    ranks = np.sort(order[:, :relevant], 1)
    values = query_values(Ranks(ranks.ravel(), np.arange(draws + 1) * relevant), ks)
    return {name: (v.mean(), v.std() / math.sqrt(draws)) for name, v in values.items()}


@pytest.mark.parametrize(
    ("items", "relevant", "ks"),
    [(1, 1, (1, 3)), (5, 1, (2, 5)), (9, 3, (1, 4, 20)), (40, 2, (10,)), (60, 20, (5, 50)),
     (7, 7, (3,)), (200, 5, (25, 100))],
)  # fmt: skip
def test_chance_is_what_random_rankings_reach(items, relevant, ks):
    expected = chance_values(items, relevant, ks)
    for name, (mean, error) in simulated(items, relevant, ks).items():
        # the interpolated measure is itself drawn
        allowed = 4 * error + (0.005 if name == "map@all_voc" else 1e-9)
        assert expected[name] == pytest.approx(mean, abs=allowed), name


def test_chance_of_one_relevant_item_is_the_harmonic_mean():
    chance = chance_values(4, 1, (2,))
    assert chance["map@all"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert chance["map@all_voc"] == chance["map@all"]
    assert chance["map@2_by_hits"] == pytest.approx((1 + 1 / 2) / 4)
    assert chance["recall@2"] == 0.5
    assert chance["precision@2"] == 0.25


def test_chance_of_a_hit_by_counting():
    # of the 10 ways to choose 2 of 5, the 3 among the last 3 items have none of the first 2
    assert any_relevant(5, 2, 2) == pytest.approx(1 - 3 / 10)
    assert any_relevant(10, 1, 3) == 0.3
    assert any_relevant(5, 2, 4) == 1


@given(st.integers(1, 60), st.data())
def test_every_chance_is_a_rate_and_certain_where_all_are_relevant(items, data):
    relevant = data.draw(st.integers(1, items))
    k = data.draw(st.integers(1, 80))
    chance = chance_values(items, relevant, (k,))
    assert all(0 < value <= 1 + 1e-12 for value in chance.values())
    certain = chance_values(items, items, (k,))
    assert certain["map@all"] == pytest.approx(1)
    assert certain[f"map@{k}_by_hits"] == pytest.approx(1)
