from iiae.sweep.pareto import LEAKS, draw_pareto, pareto, sweep_table


def test_the_front_is_what_no_other_point_beats():
    points = [(90, 0.5), (80, 0.1), (70, 0.3), (90, 0.6), (95, 0.7), (80, 0.1)]
    front = pareto(points)
    for i, (recall, leak) in enumerate(points):
        beaten = any(
            r >= recall and k <= leak and (r > recall or k < leak) for r, k in points
        )  # fmt: skip
        assert (points[i] in [points[j] for j in front]) == (not beaten)
    assert [points[i][1] for i in front] == sorted(points[i][1] for i in front)


def test_what_is_not_finite_is_on_no_front():
    nan, inf = float("nan"), float("inf")
    assert pareto([(nan, 0.0), (inf, 0.0), (0.5, 0.1), (0.9, nan)]) == [2]


def test_chance_stands_beside_the_measure_that_is_shown():
    row = {
        "run": "a", "objective.lam": "1", "status": "done", "measure": "map@all",
        "recall_x_to_y": 0.4, "recall_y_to_x": 0.5, "chance": 0.457, "seconds": 3.0,
    }  # fmt: skip
    table = sweep_table([row])
    shown = dict(zip(table.columns, table.rows[0], strict=True))
    assert shown["mAP@all x to y"] == "40.00"
    assert shown["chance"] == "45.70"
    assert shown["exclusive"] == "-"


def test_runs_without_a_way_or_a_leak_are_drawn_where_they_can_be(tmp_path):
    row = {
        "run": "a", "objective.lam": "1", "status": "done", "measure": "map@all",
        "recall_x_to_y": 0.4, "recall_y_to_x": 0.5, "active_x_to_y": 0.4, "active_y_to_x": None,
        "chance": 0.2, "seconds": 3.0, **dict.fromkeys(LEAKS, 0.1),
    }  # fmt: skip
    other = {**row, "run": "b", "objective.lam": "2", LEAKS[1]: None, "chance": 0.3}
    assert draw_pareto(tmp_path / "pareto.png", [row, other]) == tmp_path / "pareto.png"


def test_seeds_are_one_row_of_the_table_with_their_spread():
    row = {
        "objective.lam": "1", "status": "done", "measure": "recall@1", "exclusive_x_to_y": 0.0,
        "exclusive_y_to_x": 0.02, "recall_y_to_x": 0.5, "seconds": 3.0, **dict.fromkeys(LEAKS, 0.1),
    }  # fmt: skip
    rows = [
        {"run": str(i), "training.seed": str(i), **row, "recall_x_to_y": 0.4 + 0.2 * i}
        for i in (0, 1)
    ]
    table = sweep_table(rows)
    assert len(table.rows) == 1
    assert table.rows[0][:4] == ["1", "50.00 ± 14.14", "50.00 ± 0.00", "2.00 ± 0.00"]


def test_without_known_factors_there_is_no_picture_and_none_is_left(tmp_path):
    path = tmp_path / "pareto.png"
    path.write_text("old")
    assert draw_pareto(path, [{"status": "done", LEAKS[0]: None}]) is None
    assert not path.exists()
