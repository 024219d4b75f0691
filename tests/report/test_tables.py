import math

import pytest

from iiae.report.tables import number, result_tables, split_interval, with_interval
from iiae.results import (
    CategoryRetrieval,
    Estimate,
    ItemCounts,
    Readability,
    Retrieval,
    TranslationQuality,
)
from results_made import evaluation, matrix, recalls, scores


def rates(**chance):
    guesses = {int(k[1:]): c for k, c in chance.items()}
    return recalls(dict.fromkeys(guesses, 0.5), guesses)


CHANCE = rates(k1=0.025, k5=0.125)
READ = matrix({"digit": "z_s"}, digit={"z_s given x": 0.9, "z_x": 0.2})
RESULTS = evaluation(
    40,
    Retrieval(CHANCE, CHANCE, CHANCE, CHANCE, None, None),
    Readability({"means": READ}, {}),
)


def tables(results=RESULTS):
    made = result_tables(results)
    for table in made:
        assert all(len(row) == len(table.columns) for row in table.rows), table.title
    return made


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


def test_the_chance_row_is_one_where_both_ways_agree():
    assert tables()[0].rows[-1] == ["chance", "2.50", "12.50"]


def test_equal_items_are_told_and_have_a_chance_each_way():
    retrieval = RESULTS.retrieval._replace(shared_x_to_y=rates(k1=0.125, k5=0.625))
    items = {"x": ItemCounts(40, 0), "y": ItemCounts(8, 40)}
    table = tables(RESULTS._replace(items=items, retrieval=retrieval))[0]
    assert table.rows[-2:] == [
        ["chance, x to y", "12.50", "62.50"],
        ["chance, y to x", "2.50", "12.50"],
    ]
    assert "40 of 40 y are equal to another" in table.note
    assert "(8 differ)" in table.note
    assert "are equal to another" not in tables()[0].note


def test_directions_with_other_cut_offs_are_shown_in_full():
    retrieval = RESULTS.retrieval._replace(shared_y_to_x=rates(k1=0.025, k10=0.25))
    table = tables(RESULTS._replace(retrieval=retrieval))[0]
    assert table.columns[1:] == ["Recall@1", "Recall@5", "Recall@10"]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["shared, y to x"][1] == rows["shared, x to y"][2] == "-"
    assert rows["chance, x to y"] == ["2.50", "12.50", "-"]


@pytest.mark.parametrize(
    ("active", "nats", "text"),
    [
        (8, 0.95, "Active: all 8 dimensions of z_s; none was left out"),
        (3, 0.95, "Active: only the 3 of 8 dimensions of z_s"),
        (8, 0.03, "because none is active here: the most nats of any is 0.03"),
        (8, None, "Active: all 8 dimensions of z_s; none was left out"),
    ],
)
def test_all_and_none_of_the_dimensions_active_are_told_apart(active, nats, text):
    results = RESULTS._replace(active_dimensions=active, largest_nats=nats)
    assert text in tables(results)[0].note


def test_a_collapsed_latent_is_a_dash_with_its_reason():
    ink = {"z_s given x": 0.5, "z_x": None}
    read = matrix({"digit": "z_s", "ink": "z_x"}, digit={"z_s given x": 0.9, "z_x": None}, ink=ink)
    table = tables(RESULTS._replace(readability=Readability({"means": read}, {})))[1]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["z_s given x, means"] == ["0.900", "0.500"]
    assert rows["z_x, means"] == ["-", "-"]
    assert rows["chance"] == ["0.100", "0.100"]
    assert table.columns[1:] == ["digit (accuracy), of z_s", "ink (R2), of z_x"]
    assert "A dash: the latent is collapsed" in table.note
    assert "A dash" not in tables()[1].note


@pytest.mark.parametrize("probes", [{}, {"means": READ}])
def test_a_factor_that_cannot_be_read_is_named_with_its_reason(probes):
    read = Readability(probes, {"ink": "factor ink is constant"})
    assert "Not read: factor ink is constant." in tables(RESULTS._replace(readability=read))[1].note
    assert "Not read" not in tables()[1].note


def test_terms_that_are_not_finite_are_dashes_with_their_reason():
    table = tables(RESULTS._replace(nats=RESULTS.nats._replace(nll_x=math.nan)))[-1]
    assert table.rows[0][1] == "-"
    assert "A dash: not finite" in table.note


def test_every_measure_of_classes_stands_beside_its_own_chance():
    x = scores(**{"map@all": (0.4, 0.2), "recall@20": (0.6, 0.3)})
    y = scores(**{"map@all": (0.3, 0.15), "recall@30": (0.8, 0.4)})
    classes = CategoryRetrieval("unseen", 2, x, y, None, None)
    table, per_class = tables(RESULTS._replace(retrieval=None, categories=classes))[:2]
    assert table.columns[-2:] == ["chance, x to y", "chance, y to x"]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["map@all"][-2:] == ["0.2000", "0.1500"]
    assert rows["recall@20"][1] == rows["recall@30"][0] == "-"
    assert rows["recall@20"][2:] == ["0.3000", "-"]
    assert per_class.title.startswith("shared, x to y: map@all by class")
    assert per_class.rows == [["dog", "0.2000", "0.3000"], ["cat", "0.4000", "0.1000"]]


def test_one_pair_has_no_intervals_and_no_spread():
    one = Estimate(0.5, None, None)
    own, again = {"partner": one}, Estimate(1.0, 0.2, 1.0)
    quality = TranslationQuality(1, own, own, None, one, again, again, 1.0, None)
    both = {"to_x": quality, "to_y": quality._replace(perceptual=own)}
    rows = {row[0]: row[1:] for row in tables(RESULTS._replace(translation=both))[2].rows}
    assert rows["mean |difference|, z of the partner"] == ["0.5000 [-]", "0.5000 [-]"]
    assert rows["perceptual distance, z of the partner"] == ["-", "0.5000 [-]"]
    assert rows["source found again by guessing, rate"] == ["1.0000", "1.0000"]
    assert rows["distance of z_s from the source's (1: anyone's)"] == ["-", "-"]
