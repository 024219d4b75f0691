import pytest

from iiae.results import (
    CategoryRetrieval,
    ItemCounts,
)
from results_made import RESULTS, rates, scores, tables


def test_the_chance_row_is_one_where_both_ways_agree():
    assert tables()[0].rows[-1] == ["chance", "2.50", "12.50"]


def test_equal_items_are_counted_and_have_a_chance_each_way():
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
def test_all_and_none_of_the_dimensions_active_differ_in_the_note(active, nats, text):
    results = RESULTS._replace(active_dimensions=active, largest_nats=nats)
    assert text in tables(results)[0].note


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
