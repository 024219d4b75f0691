import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiae.data.scaling import find_standard
from iiae.errors import DataError

rng = np.random.default_rng(0)


@given(st.floats(-1e12, 1e12), st.floats(1e-6, 1e12))
def test_standard_units_do_not_depend_on_the_unit(offset, scale):
    plain = rng.normal(size=(40, 3))
    moved = plain * scale + offset
    one, other = (find_standard(v).apply(v).numpy() for v in (plain, moved))
    kept = np.abs(offset) < 1e6 * scale  # beyond, float64 itself has lost the differences
    if kept:
        np.testing.assert_allclose(one, other, atol=1e-3)
    np.testing.assert_allclose(one.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(one.std(0), 1, atol=1e-5)


def test_units_are_undone():
    values = rng.normal(size=(40, 3)) * [1e5, 1e-5, 0] + [1e3, 0, 0.1]
    standard = find_standard(values)
    np.testing.assert_allclose(standard.undo(standard.apply(values)), values, rtol=1e-4)


def test_a_constant_feature_is_0_in_new_rows_too():
    values = np.c_[rng.normal(size=20), np.full(20, 0.1)]
    new = np.array([[0.0, 77.0]])
    assert find_standard(values).apply(new)[0, 1] == 0


def test_values_whose_deviation_overflows_are_refused():
    values = rng.normal(size=(20, 3))
    values[4, 1] = 1e200
    with pytest.raises(DataError, match="X: values of column 1 are too large to be standardised"):
        find_standard(values, "X")


def test_rows_too_far_from_the_mean_are_refused():
    values = rng.normal(size=(20, 3))
    standard = find_standard(values)
    values[7, 2] = 1e300
    with pytest.raises(DataError, match="X: values too large to be standardised in row 7"):
        standard.apply(values, "X")
