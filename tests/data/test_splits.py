import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiae.data.splits import held_out, limited, pair_keys, shuffled_by_key, split_by_key
from iiae.errors import DataError


def keys_of(names):
    return pair_keys([f"x{n}" for n in names], [f"y{n}" for n in names]).group


def members(names, seed=0, **sizes):
    sizes = {"validation": None, "test": None, **sizes}
    parts = split_by_key(keys_of(names), seed=seed, **sizes)
    return [{names[i] for i in part} for part in parts]


def test_held_out_sets_are_disjoint_and_complete():
    parts = held_out(50, 7, 9, seed=2)
    assert [len(p) for p in parts] == [34, 7, 9]
    assert sorted(np.concatenate(parts).tolist()) == list(range(50))
    assert not np.array_equal(parts[2], held_out(50, 7, 9, seed=3)[2])


@given(st.integers(4, 400), st.integers(0, 5))
def test_every_pair_is_in_one_set_and_none_is_empty(pairs, seed):
    train, validation, test = split_by_key(keys_of(range(pairs)), None, None, seed)
    assert sorted(np.concatenate([train, validation, test]).tolist()) == list(range(pairs))
    assert len(train) >= 2
    assert len(validation) >= 1
    assert len(test) >= 1


def test_held_out_sets_take_about_a_tenth_each():
    parts = split_by_key(keys_of(range(20_000)), None, None, 0)
    assert [len(part) / 20_000 for part in parts] == pytest.approx([0.8, 0.1, 0.1], abs=0.01)


@given(st.sets(st.integers(0, 10_000), min_size=60, max_size=200), st.integers(20_000, 30_000))
def test_adding_a_pair_moves_no_other(names, new):
    before = members(sorted(names))
    after = members([new, *sorted(names)])  # in front: positions count for nothing
    assert [part - {new} for part in after] == before


@given(st.sets(st.integers(0, 10_000), min_size=60, max_size=200), st.data())
def test_removing_a_pair_never_moves_one_from_training_to_testing(names, data):
    names = sorted(names)
    gone = data.draw(st.sampled_from(names))
    train, *_ = members(names, test=10, validation=10)
    _, validation, test = members([n for n in names if n != gone], test=10, validation=10)
    assert len(test) == 10
    assert not test & train
    assert len(validation & train) <= 1  # a number that is asked for needs one to move up


def test_the_order_of_pairs_changes_nothing():
    names = list(range(100))
    assert members(names) == members(names[::-1])


def test_another_seed_holds_out_other_pairs():
    assert members(list(range(100))) != members(list(range(100)), seed=1)


def test_sizes_that_are_asked_for_are_met():
    assert [len(p) for p in members(list(range(50)), validation=7, test=9)] == [34, 7, 9]
    with pytest.raises(DataError, match=r"lower data.validation or data.test"):
        members(list(range(5)), validation=2, test=2)


def test_pairs_of_one_y_stay_in_one_set(caplog):
    y = np.repeat(np.arange(200), 5)
    with caplog.at_level(logging.INFO, "iiae"):
        keys = pair_keys([f"x{i}" for i in range(1000)], [f"y{i}" for i in y])
    assert "1000 pairs share an x or a y" in caplog.text
    sets = [set(y[part]) for part in split_by_key(keys.group, None, None, 0)]
    assert not sets[0] & sets[1]
    assert not sets[0] & sets[2]
    assert not sets[1] & sets[2]


def test_chains_of_equal_x_and_equal_y_stay_in_one_set():
    others = [str(i) for i in range(60)]
    keys = pair_keys(["a", "a", "b", *others], ["c", "d", "d", *others])
    assert len(set(keys.group[:3].tolist())) == 1
    assert len(set(keys.group.tolist())) == 61
    assert len(set(keys.own.tolist())) == 63


def test_a_y_of_few_values_splits_by_pair_and_says_so(caplog):
    labels = [str(i % 3) for i in range(90)]
    with caplog.at_level(logging.WARNING, "iiae"):
        keys = pair_keys([f"x{i}" for i in range(90)], labels)
    assert "may occur in training too" in caplog.text
    assert len(set(keys.group.tolist())) == 90


def test_a_limit_takes_pairs_from_everywhere_and_the_same_ones_again():
    keys = keys_of(range(1000))
    some = limited(keys, 100, seed=0)
    assert len(some) == 100
    assert some.min() < 100
    assert some.max() > 900
    assert np.array_equal(some, limited(keys, 100, seed=0))
    assert np.array_equal(limited(keys, None, 0), np.arange(1000))


def test_one_more_key_moves_no_other_past_another():
    keys = keys_of(range(40))
    order = shuffled_by_key(keys, 0)
    fewer = shuffled_by_key(keys[1:], 0) + 1
    assert [i for i in order.tolist() if i != 0] == fewer.tolist()


def test_copies_that_are_added_change_the_keys_of_no_other_pair():
    names = [str(i) for i in range(100)]
    before = pair_keys(names, names)
    after = pair_keys([*names, *["0"] * 40], [*names, *["0"] * 40])
    assert np.array_equal(before.own, after.own[:100])
    assert np.array_equal(before.group[1:], after.group[1:100])
    assert len(set(after.own.tolist())) == 140
