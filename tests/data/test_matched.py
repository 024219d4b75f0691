import logging

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from iiae.data.base import Factor
from iiae.data.matched import make_matched, split_matched
from iiae.data.missing import PartialPairs
from iiae.errors import DataError
from iiae.files.matrices import make_matrix
from iiae.settings import DataSettings
from iiae.types import Draw, PartialBatch

SETTINGS = DataSettings(name="arrays", validation=4, test=4)


def sides(rows=30, others=30, start=0):
    """Two matrices whose value in column 0 is the number in the row's name."""
    x = np.c_[np.arange(rows), np.ones(rows)]
    y = np.c_[np.arange(start, start + others), np.full((others, 2), 0.5)][::-1]
    names = [f"r{int(i)}" for i in y[:, 0]]
    return make_matrix(sp.csr_array(x), [f"r{i}" for i in range(rows)]), make_matrix(y, names)


def test_rows_are_matched_by_name_whatever_their_order(caplog):
    with caplog.at_level(logging.WARNING, "iiae"):
        pairs, names = make_matched(*sides(30, 30, start=10))
    x, y = pairs.pairs(Draw(torch.arange(len(pairs))))[:2]
    assert torch.equal(x[:, 0], y[:, 0])
    assert names == [f"r{i}" for i in range(10, 30)]
    assert "20 rows are in both" in caplog.text
    assert "10 are in the first alone and 10 in the second, and are left out" in caplog.text
    assert len(caplog.records) == 1


def test_rows_that_share_no_name_are_refused():
    with pytest.raises(DataError, match=r"share no name of a row: r0, r1.*; and r"):
        make_matched(*sides(start=100))


def test_rows_without_names_are_matched_by_position():
    x = np.arange(12.0).reshape(6, 2)
    pairs, names = make_matched(make_matrix(sp.csr_array(x)), make_matrix(x))
    assert names is None
    assert torch.equal(*pairs.pairs(Draw(torch.tensor([4, 1])))[:2])
    with pytest.raises(DataError, match="has 6 samples and the matrix has 5"):
        make_matched(make_matrix(sp.csr_array(x)), make_matrix(x[:5]))


def test_rows_of_one_side_are_trained_on_alone_and_never_held_out():
    pairs, _ = make_matched(*sides(30, 30, start=5), keep_lone=True)
    train, validation, test = split_matched(pairs, SETTINGS)
    assert isinstance(train, PartialPairs)
    assert (len(train), len(train.sides), len(validation), len(test)) == (17, 27, 4, 4)
    batch = train[Draw(torch.arange(27))]
    assert isinstance(batch, PartialBatch)
    assert batch.pairs == 17
    assert torch.equal(batch.x[:17, 0], batch.y[:17, 0])
    assert sorted(batch.x[17:, 0].tolist()) == [0, 1, 2, 3, 4]
    assert sorted(batch.y[17:, 0].tolist()) == [30, 31, 32, 33, 34]


def test_a_row_that_comes_or_goes_moves_no_other():
    def held(rows):
        _, _, test = split_matched(make_matched(*sides(rows))[0], DataSettings(name="arrays"))
        return set(test.pairs(Draw(torch.arange(len(test)))).x[:, 0].int().tolist())

    assert held(200) & set(range(150)) == held(150)


def test_rows_nan_throughout_have_no_partner_and_partly_nan_ones_are_named():
    x, y = sides()
    values = y.values.copy()
    values[:3] = np.nan
    pairs, _ = make_matched(x, y._replace(values=values), keep_lone=True)
    assert (pairs.index[:, 1] == -1).sum() == 3
    values[7, 1] = np.nan
    with pytest.raises(DataError, match=r"NaN .* in r22$"):
        make_matched(x, y._replace(values=values), keep_lone=True)


def test_cells_without_a_count_are_left_out_by_name(caplog):
    x, y = sides()
    counts = np.ones((30, 2))
    counts[[4, 9]] = 0
    with caplog.at_level(logging.WARNING, "iiae"):
        pairs, names = make_matched(x._replace(values=sp.csr_array(counts)), y)
    assert len(pairs) == 28
    assert "r4" not in names
    assert "2 cells without a single count are left out: r4, r9" in caplog.text


def test_sparse_rows_are_not_copied_for_the_splits():
    pairs, _ = make_matched(*sides())
    assert all(part.x.values is pairs.x.values for part in split_matched(pairs, SETTINGS))
    assert pairs.held_bytes == 0


def test_the_digest_tells_pairs_apart_and_equal_ones_not():
    pairs, _ = make_matched(*sides())
    again, _ = make_matched(*sides())
    assert pairs.digest() == again.digest()
    assert pairs.digest() != pairs.at(np.arange(29)).digest()


def test_classes_of_one_pair_in_some_part_are_read_as_one_and_kept_as_annotations():
    pairs, _ = make_matched(*sides(60, 60))
    kinds = np.array(["many"] * 30 + ["few"] * 18 + [f"single {i}" for i in range(12)])
    alone = np.array([f"{i}" for i in range(60)])
    pairs.known["type"] = Factor(kinds, "categorical", "shared")
    pairs.known["name"] = Factor(alone, "categorical", "shared")
    pairs.annotations = {"type": kinds}
    parts = split_matched(pairs, DataSettings(name="arrays", validation=12, test=12))
    for part in parts:
        classes, counts = np.unique(part.factors()["type"].values, return_counts=True)
        assert counts.min() > 1
        assert {"many", "(rare)"} <= set(classes) <= {"many", "few", "(rare)"}
        assert "name" not in part.factors()  # every class of it is rare
    kept = np.concatenate([part.annotations["type"] for part in parts])
    assert sorted(kept) == sorted(kinds)
