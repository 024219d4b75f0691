import numpy as np
import pytest

from blocks_made import BLOCKS, COLOUR, FACTORS, N
from iiae.errors import DataError
from iiae.metrics.leakage import Leak, area_above_chance, largest_leak, leakage_score
from iiae.metrics.probe_matrix import Cell, ProbeMatrix, probe_matrix
from iiae.metrics.readings import Reading

rng = np.random.default_rng(1)


def readings(scores):
    """A matrix of linear readings with these scores and chance at 0.1."""
    cells = {
        factor: {b: Cell(Reading(s, s, s, 0.1, 0.1), None) for b, s in row.items()}
        for factor, row in scores.items()
    }
    home, measure = {"digit": "z_s", "colour": "z_x"}, dict.fromkeys(scores, "R2")
    return ProbeMatrix(cells, {f: home[f] for f in scores}, measure, (), 9)


def test_a_factor_of_a_latent_is_at_home_in_all_readings_of_it():
    matrix = readings({"digit": {"z_s given x": 1.0, "z_s given y": 0.4, "z_x": 0.55}})
    own, foreign = matrix.sides("digit")
    assert (list(own), list(foreign)) == (["z_s given x", "z_s given y"], ["z_x"])
    score = leakage_score(matrix)
    assert score.at_home == 1 and score.value == pytest.approx(0.5)


def test_the_largest_leak_is_the_worst_foreign_reading_above_chance():
    matrix = readings(
        {
            "digit": {"z_s given x": 1.0, "z_x": 0.28, "z_y": 0.1},
            "colour": {"z_s given x": 0.73, "z_x": 0.9, "z_y": -0.2},
        }
    )
    assert largest_leak(matrix) == Leak(pytest.approx(0.7), "colour", "z_s given x")


def test_leakage_is_zero_where_nothing_leaks():
    score = leakage_score(probe_matrix(BLOCKS, FACTORS))
    assert score.value < 0.05
    assert score.at_home > 0.8


def test_leakage_is_the_mean_of_the_largest_reading_elsewhere():
    leaky = {**BLOCKS, "shared": np.hstack([BLOCKS["shared"], BLOCKS["x"][:, :2]])}
    matrix = probe_matrix(leaky, FACTORS)
    score = leakage_score(matrix)
    assert score.by_factor["colour"] > 0.99
    assert score.value == pytest.approx(np.mean(list(score.by_factor.values())))
    half = {**BLOCKS, "shared": BLOCKS["x"] + rng.normal(size=(N, 4))}
    assert 0.4 < leakage_score(probe_matrix(half, {"colour": COLOUR})).value < 0.6


def test_a_collapsed_block_is_reported_and_is_no_disentanglement():
    empty = {**BLOCKS, "y": np.full((N, 4), 0.3)}
    matrix = probe_matrix(empty, FACTORS)
    assert matrix.collapsed == ("y",)
    assert matrix.cells["colour"]["y"].linear is None
    score = leakage_score(matrix)
    assert score.value is None and score.collapsed == ("y",)
    assert score.at_home < 0.8


def test_the_area_of_guessing_is_zero_of_perfect_retrieval_one():
    assert area_above_chance({k: k / 100 for k in (1, 5, 10)}, 100) == pytest.approx(0)
    assert area_above_chance({1: 1.0}, 1000) == pytest.approx(1, abs=0.002)
    assert area_above_chance({50: 0.0}, 100) < 0


def test_the_area_is_that_of_its_trapezoids():
    # from 0 to 0.1 a triangle of height 0.6; from there to 1 a trapezoid
    worked = 2 * (0.1 * 0.6 / 2 + 0.9 * (0.6 + 1) / 2) - 1
    assert area_above_chance({10: 0.6}, 100) == pytest.approx(worked)


def test_the_area_refuses_percent_and_impossible_k():
    with pytest.raises(DataError, match="percent"):
        area_above_chance({1: 99.7}, 100)
    with pytest.raises(DataError, match="K from 1 to 100"):
        area_above_chance({101: 0.5}, 100)
    with pytest.raises(DataError, match="K from 1 to 100"):
        area_above_chance({}, 100)
