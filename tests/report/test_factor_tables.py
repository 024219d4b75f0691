from iiae.metrics.axes import DCI, GapScores
from iiae.report.factor_tables import axis_table, leakage_table, probe_table, swap_table
from iiae.results import Axes, Evidence, SwapResult
from results_made import leakage, matrix

READ = matrix({"digit": "z_s"}, digit={"z_s": 0.9, "z_x": None})


def test_a_collapsed_latent_has_no_leakage_and_is_named():
    leaks = {"means": leakage(0.25, 0.4), "samples": leakage(None, 0.4, ("z_x",))}
    table = leakage_table(Evidence(100, None, None, {}, leaks, {}, {}, None))
    assert table.rows == [
        ["means", "0.250", "colour (0.400)", "0.900"],
        ["samples", "collapsed: z_x", "colour (0.400)", "0.900"],
    ]


def test_each_probe_has_a_row_and_the_chance_of_the_latent_where_it_is_largest():
    table = probe_table("means", READ)
    assert table.columns == ["factor and probe", "z_s", "z_x", "chance, its 95%"]
    linear, nonlinear = table.rows
    assert linear == [
        "digit (of z_s), linear",
        "0.900 [0.890, 0.910]",
        "collapsed",
        "0.100, 0.120",
    ]
    assert nonlinear[1:] == ["collapsed", "collapsed", "-"]


def test_a_swapped_factor_names_the_latent_that_it_should_follow():
    both = [SwapResult("x", "accuracy", right, 0.9, 0.1, 0.95) for right in ("shared", "exclusive")]
    rows = swap_table({"digit": both}).rows
    assert [row[1] for row in rows] == ["z_s", "z_x"]
    assert rows[0][2:] == ["0.900", "0.100", "0.950"]


def test_axis_scores_stand_by_block_and_by_dimension():
    gaps = GapScores(0.1, 0.2, {}, {}, ())
    rows = axis_table(Axes(DCI(0.3, 0.4, 0.5), DCI(None, None, 0.6), gaps, gaps)).rows
    assert rows[0] == ["DCI disentanglement", "-", "0.300"]
    assert rows[-1] == ["SAP", "0.200", "0.100"]
