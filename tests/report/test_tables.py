import copy

import pytest

from iiae.report.tables import largest, number, result_tables, with_interval


def rates(**chance):
    return {
        f"recall@{k[1:]}": {"rate": 0.5, "low": 0.4, "high": 0.6, "chance": c}
        for k, c in chance.items()
    }


def scores(**measures):
    return {
        "mean": measures,
        "interval": {name: [value - 0.1, value + 0.1] for name, value in measures.items()},
        "chance": {name: value / 2 for name, value in measures.items()},
        "per_class": {"cat": 0.4, "dog": 0.2},
        "per_class_chance": {"cat": 0.1, "dog": 0.3},
        "queries": 30,
        "gallery": 20,
    }


METRICS = {
    "pairs": 40,
    "items": {"x": {"different": 40, "repeated": 0}, "y": {"different": 40, "repeated": 0}},
    "retrieval": {
        "shared_x_to_y": rates(k1=0.025, k5=0.125),
        "shared_y_to_x": rates(k1=0.025, k5=0.125),
    },
    "categories": None,
    "readability": [
        {"factor": "digit", "measure": "accuracy", "belongs_to": "z_s", "chance": 0.1,
         "scores": {"z_s given x, mean": 0.9, "z_x, mean": 0.2}},
    ],
    "translation": None,
    "nats": dict.fromkeys(
        ["nll_x", "nll_y", "kl_x", "kl_y", "kl_s", "kl_s_x", "kl_s_y", "elbo",
         "information_bound"], 1.0),
    "absolute_error": {"x": 0.1, "y": 0.2},
    "active_dimensions": 8,
    "shared_dimensions": 8,
    "largest_signal_share": 0.95,
    "active_threshold": 0.9,
}  # fmt: skip


def tables(change=lambda metrics: None):
    metrics = copy.deepcopy(METRICS)
    change(metrics)
    found = result_tables(metrics)
    for table in found:
        assert all(len(row) == len(table.columns) for row in table.rows), table.title
    return found


def test_numbers_that_are_missing_are_dashes_and_huge_ones_have_exponents():
    assert number(None, 2) == "-"
    assert number(1.25e30, 4) == "1.25e+30"
    assert number(-2, 2) == "-2.00"
    assert with_interval(0.5, 0.4, 0.6, 2, 1) == "0.50 [0.4, 0.6]"
    assert with_interval(0.5, None, None, 2) == "0.50 [-]"
    assert with_interval(None, None, None, 2) == "-"


def test_the_largest_value_is_one_that_is_there():
    assert largest({"a": None, "b": -1.0, "c": -2.0}) == "b"
    assert largest({"a": None}) == "a"


def test_the_chance_row_is_one_where_both_ways_agree():
    assert tables()[0].rows[-1] == ["chance", "2.50", "12.50"]


def test_equal_items_are_told_and_have_a_chance_each_way():
    def repeat(metrics):
        metrics["items"]["y"] = {"different": 8, "repeated": 40}
        metrics["retrieval"]["shared_x_to_y"] = rates(k1=0.125, k5=0.625)

    table = tables(repeat)[0]
    assert table.rows[-2:] == [
        ["chance, x to y", "12.50", "62.50"],
        ["chance, y to x", "2.50", "12.50"],
    ]
    assert "40 of 40 y are equal to another" in table.note
    assert "(8 differ)" in table.note
    assert "are equal to another" not in tables()[0].note


def test_directions_with_other_cut_offs_are_shown_in_full():
    def more(metrics):
        metrics["retrieval"]["shared_y_to_x"] = rates(k1=0.025, k10=0.25)

    table = tables(more)[0]
    assert table.columns[1:] == ["Recall@1", "Recall@5", "Recall@10"]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["shared, y to x"][1] == rows["shared, x to y"][2] == "-"
    assert rows["chance, x to y"] == ["2.50", "12.50", "-"]


@pytest.mark.parametrize(
    ("active", "share", "text"),
    [
        (8, 0.95, "Active: all 8 dimensions of z_s; none was left out"),
        (3, 0.95, "Active: only the 3 of 8 dimensions of z_s"),
        (8, 0.31, "because none is active here: the largest signal share is 0.31"),
        (8, None, "Active: all 8 dimensions of z_s; none was left out"),
    ],
)
def test_all_and_none_of_the_dimensions_active_are_told_apart(active, share, text):
    def change(metrics):
        metrics |= {"active_dimensions": active, "largest_signal_share": share}

    assert text in tables(change)[0].note


def test_a_missing_reading_is_a_dash_with_its_reason():
    def miss(metrics):
        metrics["readability"].append(
            {"factor": "ink", "measure": "R2", "belongs_to": "z_x", "chance": 0.0,
             "scores": {"z_x, mean": None, "z_y, mean": None}}
        )  # fmt: skip

    table = tables(miss)[1]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["z_x, mean"] == ["0.200", "-"]
    assert rows["z_y, mean"] == ["-", "-"]
    assert "A dash: the factor is the same in all pairs" in table.note
    assert "A dash" not in tables()[1].note


def test_terms_that_are_not_finite_are_dashes_with_their_reason():
    table = tables(lambda metrics: metrics["nats"].update(nll_x=None))[-1]
    assert table.rows[0][1] == "-"
    assert "A dash: not finite" in table.note


def test_every_measure_of_classes_stands_beside_its_own_chance():
    def classes(metrics):
        metrics["retrieval"] = None
        metrics["categories"] = {
            "split": "unseen",
            "classes": 2,
            "shared_x_to_y": scores(**{"map@all": 0.4, "recall@20": 0.6}),
            "shared_y_to_x": scores(**{"map@all": 0.3, "recall@30": 0.8}),
        }

    table, per_class = tables(classes)[:2]
    assert table.columns[-2:] == ["chance, x to y", "chance, y to x"]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["map@all"][-2:] == ["0.2000", "0.1500"]
    assert rows["recall@20"][1] == rows["recall@30"][0] == "-"
    assert rows["recall@20"][2:] == ["0.3000", "-"]
    assert per_class.title.startswith("shared, x to y: map@all by class")
    assert per_class.rows == [["dog", "0.2000", "0.3000"], ["cat", "0.4000", "0.1000"]]


def test_one_pair_has_no_intervals_and_no_spread():
    one = {"mean": 0.5, "low": None, "high": None}
    quality = {
        "pairs": 1, "l1": {"partner": one}, "ssim": {"partner": one}, "perceptual": None,
        "diversity": one, "content_recall": {"mean": 1.0, "low": 0.2, "high": 1.0},
        "content_chance": 1.0, "content_distance": None,
    }  # fmt: skip
    richer = {**quality, "perceptual": {"partner": one}}
    change = {"translation": {"to_x": quality, "to_y": richer}}
    rows = {row[0]: row[1:] for row in tables(lambda metrics: metrics.update(change))[2].rows}
    assert rows["mean |difference|, z of the partner"] == ["0.5000 [-]", "0.5000 [-]"]
    assert rows["perceptual distance, z of the partner"] == ["-", "0.5000 [-]"]
    assert rows["source found again by guessing, rate"] == ["1.0000", "1.0000"]
    assert rows["distance of z_s from the source's (1: anyone's)"] == ["-", "-"]
