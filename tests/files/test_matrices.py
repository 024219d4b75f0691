import logging

import numpy as np
import pytest
import scipy.sparse as sp

from iiae.errors import DataError
from iiae.files.matrices import Matrix, check_finite, is_counts, make_matrix, with_columns

VALUES = np.array([[0, 1.5, 0], [2, 0, 0], [0, 0, 3]])


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_matrix, sp.coo_array])
def test_rows_are_taken_dense_in_float32_whatever_the_form(form):
    taken = make_matrix(form(VALUES)).take(np.array([2, 0]))
    assert taken.dtype == np.float32
    assert np.array_equal(taken, VALUES[[2, 0]])


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_a_value_that_is_not_finite_is_named_by_its_row(form):
    values = VALUES.copy()
    values[1, 0] = np.nan
    with pytest.raises(DataError, match=r"NaN .* in b$"):
        check_finite(make_matrix(form(values), ["a", "b", "c"]))


def test_names_of_rows_must_differ():
    with pytest.raises(DataError, match=r"2? ?names of rows occur more than once \(a\)"):
        make_matrix(VALUES, ["a", "a", "b"])


def test_counts_are_whole_and_not_negative():
    assert is_counts(make_matrix(sp.csr_array(np.array([[0, 3.0]]))))
    assert not is_counts(make_matrix(VALUES))
    assert not is_counts(make_matrix(-np.eye(2)))


def test_columns_are_taken_by_name_and_missing_ones_are_named(caplog):
    matrix = make_matrix(VALUES, None, ["a", "b", "c"])
    with caplog.at_level(logging.INFO, "iiae"):
        assert np.array_equal(with_columns(matrix, ["c", "a"]).values, VALUES[:, [2, 0]])
    assert "2 columns taken by name, of 3" in caplog.text
    with pytest.raises(DataError, match=r"lacks 1 of the 2 columns .*: d"):
        with_columns(matrix, ["a", "d"])
    assert with_columns(Matrix(VALUES), ["x"]).values is VALUES
