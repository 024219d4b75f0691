import math

from iiae.report.table import number, split_interval, with_interval


def test_numbers_that_are_missing_are_dashes_and_huge_ones_have_exponents():
    assert number(None, 2) == number(math.nan, 2) == number(math.inf, 2) == "-"
    assert number(1.25e30, 4) == "1.25e+30"
    assert number(-2, 2) == "-2.00"
    assert with_interval(0.5, 0.4, 0.6, 2, 1) == "0.50 [0.4, 0.6]"
    assert with_interval(0.5, None, None, 2) == "0.50 [-]"
    assert with_interval(None, None, None, 2) == "-"


def test_a_cell_is_split_into_its_number_and_its_interval():
    assert split_interval("3.33 [0.59, 16.67]") == ("3.33", "0.59, 16.67")
    assert split_interval("0.50 [-]") == ("0.50", "-")
    for cell in ("0.28", "-", "KL[q(z_x|x) || p]", "refused (a)"):
        assert split_interval(cell) == (cell, "")
