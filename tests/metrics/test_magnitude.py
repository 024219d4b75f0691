import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiae.metrics.axes import sap
from iiae.metrics.independence import domain_probe, hsic_test
from iiae.metrics.leakage import BlockFactor, alive, probe_matrix
from iiae.metrics.magnitude import middle, power_of_two, rescaled


@given(st.floats(1e-300, 1e300))
def test_a_power_of_two_brings_a_number_below_one_and_loses_no_digit(largest):
    factor = power_of_two(largest)
    assert math.frexp(factor)[0] == 0.5
    assert 0.5 <= largest * factor <= 1
    assert largest * factor / factor == largest


def test_rescaled_values_keep_their_ratios():
    values = np.array([[1e200, -3e200], [0, 1e-50]])
    scaled = rescaled(values)
    assert np.abs(scaled).max() <= 1
    assert scaled[0, 1] / scaled[0, 0] == -3
    assert (rescaled(np.zeros((2, 2))) == 0).all()


def test_the_middle_of_equal_rows_is_theirs_and_an_outlier_does_not_move_it():
    rows = np.full((50, 2), 0.1)
    assert (middle(rows) == 0.1).all()
    rows[3] = 1e30
    assert (middle(rows) == 0.1).all()


@pytest.mark.parametrize("power", [-290, -30, 9, 290])
def test_measures_of_dependence_and_readings_do_not_change_with_scale(power):
    own = np.random.default_rng(0)
    a = own.normal(size=(60, 3))
    b = a[:, :2] + own.normal(size=(60, 2))
    scale = 10.0**power
    assert abs(hsic_test(scale * a, b, 3).value - hsic_test(a, b, 3).value) < 1e-6
    assert domain_probe(a * scale, (a + 1) * scale) == domain_probe(a, a + 1)
    assert alive(scale * a).all() and not alive(np.full((5, 2), scale)).any()
    factors = {"f": BlockFactor(scale * b[:, 0], "continuous", "a")}
    plain = {"f": BlockFactor(b[:, 0], "continuous", "a")}
    gap = sap({"a": a * scale}, factors).dimension
    assert abs(gap - sap({"a": a}, plain).dimension) < 1e-6


def test_probes_of_huge_values_are_those_of_plain_ones():
    own = np.random.default_rng(0)
    a = own.normal(size=(80, 3))
    factor = BlockFactor(a[:, :1] + own.normal(size=(80, 1)), "continuous", "a")
    plain = probe_matrix({"a": a}, {"f": factor}, permutations=2)
    large = {"f": factor._replace(values=factor.values * 1e200)}
    matrix = probe_matrix({"a": a * 1e200}, large, permutations=2)
    score = plain.cells["f"]["a"].linear.score
    assert abs(matrix.cells["f"]["a"].linear.score - score) < 1e-6
