import numpy as np
import pytest

from blocks_made import BLOCKS, COLOUR, FACTORS, NAME, NOISE, RADIUS, N
from iiae.errors import DataError
from iiae.metrics.factors import BlockFactor
from iiae.metrics.probe_matrix import by_view, linear_matrix, probe_matrix

rng = np.random.default_rng(1)


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


def test_more_dimensions_than_samples_are_read_and_nothing_is_invented():
    colour = rng.normal(size=(40, 2))
    blocks = {
        "shared": colour.repeat(32, 1) + rng.normal(size=(40, 64)),
        "y": rng.normal(size=(40, 64)),
    }
    row = probe_matrix(blocks, {"colour": BlockFactor(colour, "continuous", "shared")})
    shared, y = row.cells["colour"]["shared"], row.cells["colour"]["y"]
    assert shared.linear.score > 0.7 and shared.nonlinear.score > 0.5
    assert y.linear.score < 0.05 and y.nonlinear.score < 0.05


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
        (BLOCKS, wrong(name=COLOUR._replace(kind="categorical")), "one value per sample"),
    ],
)
def test_wrong_input_is_named(blocks, factors, message):
    with pytest.raises(DataError, match=message):
        probe_matrix(blocks, factors)


def test_chance_needs_permutations():
    with pytest.raises(DataError, match="0 permutations"):
        probe_matrix(BLOCKS, FACTORS, permutations=0)
