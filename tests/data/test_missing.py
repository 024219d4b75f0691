import numpy as np
import pytest
import torch

from helpers import small_settings
from iiae.data import load
from iiae.data.missing import PartialPairs, Sides, drop_partners
from iiae.data.sampling import EvenBatches, make_batches
from iiae.data.synthetic import SyntheticPairs
from iiae.errors import DataError, SettingsError
from iiae.types import Draw


def test_the_stated_share_loses_x_and_y_in_turn():
    sides = drop_partners(SyntheticPairs(100, 0), 0.3, seed=1).sides
    assert [int((sides == side).sum()) for side in Sides] == [70, 15, 15]
    again, other = (drop_partners(SyntheticPairs(100, 0), 0.3, seed).sides for seed in (1, 2))
    assert (sides == again).all() and (sides != other).any()


def test_a_batch_has_its_pairs_first_and_no_row_for_what_is_absent():
    rows = SyntheticPairs(6, 0)
    pairs = PartialPairs(rows, np.array([0, 1, 2, 0, 2, 1]))
    batch = pairs[Draw(torch.tensor([1, 2, 3, 4, 0]))]
    assert batch.pairs == 2
    assert torch.equal(batch.x, rows.x[[3, 0, 1]])
    assert torch.equal(batch.y, rows.y[[3, 0, 2, 4]])


def test_as_a_set_of_pairs_it_is_the_complete_rows():
    rows = SyntheticPairs(6, 0)
    pairs = PartialPairs(rows, np.array([0, 1, 2, 0, 2, 0]))
    assert len(pairs) == 3
    (batch,) = pairs.batches(10)
    assert torch.equal(batch.x, rows.x[[0, 3, 5]]) and torch.equal(batch.y, rows.y[[0, 3, 5]])
    assert (pairs.factors()["shared"].values == rows.shared[[0, 3, 5]].numpy()).all()


@pytest.mark.parametrize("batch", [10, 16])
def test_every_batch_has_its_share_of_pairs_and_an_epoch_every_row_once(batch):
    kinds = drop_partners(SyntheticPairs(160, 0), 0.3, seed=0).sides
    drawn = [d.indices.numpy() for d in EvenBatches(kinds, batch, seed=5)]
    assert sorted(np.concatenate(drawn)) == list(range(160))
    for index in drawn:
        for kind in Sides:
            expected = batch * (kinds == kind).mean()
            assert abs((kinds[index] == kind).sum() - expected) < 2


def test_where_pairs_are_rare_they_come_several_times_and_make_a_quarter_of_each_batch():
    kinds = np.array([Sides.BOTH] * 6 + [Sides.X, Sides.Y] * 97)
    drawn = [d.indices.numpy() for d in EvenBatches(kinds, 20, seed=1)]
    times = np.bincount(np.concatenate(drawn), minlength=200)
    assert len(drawn) == 13  # 194 samples alone, 6 pairs eleven times
    assert times[:6].min() >= 10 and times[6:].max() == 1
    assert all(4 <= (kinds[index] == Sides.BOTH).sum() <= 6 for index in drawn)


def test_a_set_without_gaps_is_plain_pairs_in_plain_batches():
    settings = small_settings()
    pairs = load(settings.data).train
    assert isinstance(pairs, SyntheticPairs)
    assert not isinstance(make_batches(pairs, 10, 0), EvenBatches)


def test_only_the_training_set_loses_partners():
    parts = load(small_settings("data.missing=0.3").data)
    assert [len(p) for p in parts] == [140, 40, 60]


def test_too_few_pairs_are_refused_with_what_would_do():
    with pytest.raises(DataError, match="0 of 4 training rows have both x and y"):
        PartialPairs(SyntheticPairs(4, 0), np.array([1, 1, 2, 2]))
    pairs = drop_partners(SyntheticPairs(100, 0), 0.8, seed=0)
    with pytest.raises(SettingsError, match="fewer than 2 pairs; give at least 15"):
        make_batches(pairs, 8, seed=0)
    assert make_batches(pairs, 15, seed=0).batch == 15
