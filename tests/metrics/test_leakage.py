import numpy as np
import pytest

from iiae.errors import DataError
from iiae.metrics.leakage import (
    BlockFactor,
    Cell,
    Leak,
    ProbeMatrix,
    Reading,
    area_above_chance,
    by_view,
    largest_leak,
    leakage_score,
    linear_matrix,
    probe_matrix,
)

N = 600
rng = np.random.default_rng(0)
BLOCKS = {name: rng.normal(size=(N, 4)) for name in ("x", "shared", "y")}
NOISE = rng.normal(size=N)
COLOUR = BlockFactor(BLOCKS["x"][:, :2], "continuous", "x")
RADIUS = BlockFactor(np.abs(BLOCKS["y"][:, 0]), "continuous", "y")
NAME = BlockFactor(np.where(BLOCKS["shared"][:, 1] > 0, "cat", "dog"), "categorical", "shared")
FACTORS = {"colour": COLOUR, "radius": RADIUS, "name": NAME}


def test_each_factor_is_read_where_it_is_and_nowhere_else():
    matrix = probe_matrix(BLOCKS, FACTORS)
    for name, row in matrix.cells.items():
        for block, cell in row.items():
            expected = block == FACTORS[name].block
            assert (cell.above_chance > 0.7) is expected, (name, block)
            assert expected or cell.above_chance < 0.1, (name, block)


def test_a_curve_is_read_by_the_nonlinear_probe_alone():
    cell = probe_matrix(BLOCKS, {"radius": RADIUS}).cells["radius"]["y"]
    assert cell.linear.score < 0.1 and cell.nonlinear.score > 0.95


def test_a_product_of_two_dimensions_is_read_by_the_nonlinear_probe():
    product = BlockFactor(BLOCKS["y"][:, 0] * BLOCKS["y"][:, 1], "continuous", "y")
    cell = probe_matrix(BLOCKS, {"product": product}).cells["product"]["y"]
    assert cell.linear.score < 0.1 and cell.nonlinear.score > 0.9


def test_noise_bounds_what_can_be_read_and_the_interval_holds_it():
    noisy = BlockFactor(BLOCKS["x"][:, 0] + NOISE, "continuous", "x")
    reading = probe_matrix(BLOCKS, {"noisy": noisy}).cells["noisy"]["x"].linear
    assert reading.low < 0.5 < reading.high
    assert reading.low < reading.score < reading.high and reading.high - reading.low < 0.2


def test_chance_is_what_permuted_factors_score():
    rare = np.where(BLOCKS["x"][:, 0] > 1.3, "rare", "common")
    matrix = probe_matrix(BLOCKS, {"rare": BlockFactor(rare, "categorical", "x"), "colour": COLOUR})
    accuracy, r2 = matrix.cells["rare"]["y"].linear, matrix.cells["colour"]["y"].linear
    assert accuracy.chance == pytest.approx(np.mean(rare == "common"), abs=0.02)
    assert accuracy.chance <= accuracy.chance_high < 1
    assert r2.chance == pytest.approx(0, abs=0.02) and r2.chance_high < 0.05


def test_readings_do_not_change_with_shift_and_scale():
    moved = {name: 100 * z - 7 for name, z in BLOCKS.items()}
    scaled = {"colour": COLOUR._replace(values=3 * COLOUR.values + 1)}
    first = probe_matrix(BLOCKS, {"colour": COLOUR}, permutations=2).cells["colour"]["x"]
    second = probe_matrix(moved, scaled, permutations=2).cells["colour"]["x"]
    assert second.linear.score == pytest.approx(first.linear.score, abs=1e-6)
    assert second.nonlinear.score == pytest.approx(first.nonlinear.score, abs=1e-6)


def test_a_matrix_repeats_for_a_seed():
    assert probe_matrix(BLOCKS, FACTORS, seed=4) == probe_matrix(BLOCKS, FACTORS, seed=4)


def test_the_linear_matrix_is_the_linear_column():
    both, linear = probe_matrix(BLOCKS, FACTORS), linear_matrix(BLOCKS, FACTORS)
    for name, row in both.cells.items():
        for block, cell in row.items():
            assert linear.cells[name][block] == (cell.linear, None)
    assert linear._replace(cells=both.cells) == both
    assert linear.measure == {"colour": "R2", "radius": "R2", "name": "accuracy"}


def test_more_dimensions_than_samples_do_not_invent_a_linear_reading():
    wide = {"wide": rng.normal(size=(100, 400))}
    factor = {"f": BlockFactor(rng.normal(size=(100, 2)), "continuous", "wide")}
    assert linear_matrix(wide, factor).cells["f"]["wide"].linear.score < 0.05


def test_no_dimensions_are_a_collapsed_block():
    found = linear_matrix({**BLOCKS, "y": BLOCKS["y"][:, :0]}, FACTORS)
    assert found.collapsed == ("y",)
    assert found.cells["name"]["y"].best is None


@pytest.mark.parametrize("samples", [1, 4])
def test_fewer_samples_than_folds_are_refused(samples):
    few = {"x": np.arange(samples, dtype=float)[:, None]}
    factor = BlockFactor(np.arange(samples, dtype=float), "continuous", "x")
    with pytest.raises(DataError, match=f"{samples} samples; probes on 5 folds"):
        linear_matrix(few, {"f": factor})


def test_blocks_equal_in_two_views_are_probed_once_and_others_in_each():
    probed = []

    def probe(blocks):
        probed.extend(blocks)
        return linear_matrix(blocks, FACTORS, permutations=1)

    noisy = {**BLOCKS, "y": BLOCKS["y"] + rng.normal(size=(N, 4))}
    found = by_view({"means": BLOCKS, "samples": noisy}, probe)
    assert probed == ["x", "shared", "y", "y, samples"]
    assert found["means"] == linear_matrix(BLOCKS, FACTORS, permutations=1)
    cells = [found[view].cells["colour"] for view in ("means", "samples")]
    assert cells[0]["x"] == cells[1]["x"] and cells[0]["y"] != cells[1]["y"]


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
    found = leakage_score(matrix)
    assert found.at_home == 1 and found.value == pytest.approx(0.5)


def test_the_largest_leak_is_the_worst_foreign_reading_above_chance():
    matrix = readings(
        {
            "digit": {"z_s given x": 1.0, "z_x": 0.28, "z_y": 0.1},
            "colour": {"z_s given x": 0.73, "z_x": 0.9, "z_y": -0.2},
        }
    )
    assert largest_leak(matrix) == Leak(pytest.approx(0.7), "colour", "z_s given x")


def test_leakage_is_zero_where_nothing_leaks():
    found = leakage_score(probe_matrix(BLOCKS, FACTORS))
    assert found.value < 0.05
    assert found.at_home > 0.8


def test_leakage_is_the_mean_of_the_largest_reading_elsewhere():
    leaky = {**BLOCKS, "shared": np.hstack([BLOCKS["shared"], BLOCKS["x"][:, :2]])}
    matrix = probe_matrix(leaky, FACTORS)
    found = leakage_score(matrix)
    assert found.by_factor["colour"] > 0.99
    assert found.value == pytest.approx(np.mean(list(found.by_factor.values())))
    half = {**BLOCKS, "shared": BLOCKS["x"] + rng.normal(size=(N, 4))}
    assert 0.4 < leakage_score(probe_matrix(half, {"colour": COLOUR})).value < 0.6


def test_a_collapsed_block_is_reported_and_is_no_disentanglement():
    empty = {**BLOCKS, "y": np.full((N, 4), 0.3)}
    matrix = probe_matrix(empty, FACTORS)
    assert matrix.collapsed == ("y",)
    assert matrix.cells["colour"]["y"].linear is None
    found = leakage_score(matrix)
    assert found.value is None and found.collapsed == ("y",)
    assert found.at_home < 0.8


def test_dimensions_of_rounding_noise_are_collapsed():
    still = np.full((N, 4), 5, np.float32) + 1e-7 * rng.normal(size=(N, 4)).astype(np.float32)
    assert probe_matrix({**BLOCKS, "y": still}, FACTORS).collapsed == ("y",)


def test_constant_dimensions_change_nothing():
    padded = {name: np.hstack([z, np.ones((N, 2))]) for name, z in BLOCKS.items()}
    first = probe_matrix(BLOCKS, FACTORS, permutations=2)
    assert probe_matrix(padded, FACTORS, permutations=2) == first


def test_whole_numbers_and_strings_are_the_same_categories():
    number = NAME._replace(values=(NAME.values == "dog").astype(int))
    first = probe_matrix(BLOCKS, {"name": NAME}, permutations=2).cells["name"]
    assert probe_matrix(BLOCKS, {"name": number}, permutations=2).cells["name"] == first


def wrong(**change):
    return {"colour": COLOUR, "name": NAME, **change}


@pytest.mark.parametrize(
    ("blocks", "factors", "message"),
    [
        (BLOCKS, {}, "at least one block and one factor"),
        ({**BLOCKS, "y": BLOCKS["y"][1:]}, FACTORS, "block y has 599 samples"),
        ({**BLOCKS, "y": np.where(BLOCKS["y"] > 2, np.nan, 0)}, FACTORS, "block y .* not finite"),
        ({**BLOCKS, "y": np.ones((N, 601))}, FACTORS, "block y has 601 dimensions and 600"),
        (BLOCKS, wrong(colour=COLOUR._replace(values=np.ones(N))), "colour is constant"),
        (BLOCKS, wrong(colour=COLOUR._replace(values=np.ones(5))), "colour has 5 values"),
        (
            BLOCKS,
            wrong(colour=COLOUR._replace(values=np.full(N, np.nan))),
            "colour .* not finite",
        ),
        (BLOCKS, wrong(colour=NAME._replace(kind="continuous")), "make its kind 'categorical'"),
        (BLOCKS, wrong(colour=COLOUR._replace(block="z")), "belongs to z; blocks: x, shared, y"),
        (BLOCKS, wrong(name=NAME._replace(values=np.full(N, "cat"))), "every sample is cat"),
        (
            BLOCKS,
            wrong(name=NAME._replace(values=np.array(["owl"] + ["cat"] * (N - 1)))),
            "class 'owl' has one sample",
        ),
        (BLOCKS, wrong(name=NAME._replace(values=np.arange(N) // 2)), "300 classes; at most 200"),
        (BLOCKS, wrong(name=COLOUR._replace(kind="categorical")), "one value a sample"),
    ],
)
def test_wrong_input_is_named(blocks, factors, message):
    with pytest.raises(DataError, match=message):
        probe_matrix(blocks, factors)


def test_chance_needs_permutations():
    with pytest.raises(DataError, match="0 permutations"):
        probe_matrix(BLOCKS, FACTORS, permutations=0)


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
