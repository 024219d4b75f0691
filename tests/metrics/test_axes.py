import math

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from iiae.errors import DataError
from iiae.metrics.axes import dci, dci_by_block, histogram_information, mig, sap
from iiae.metrics.factors import BlockFactor
from iiae.metrics.probe_matrix import probe_matrix

N = 800
rng = np.random.default_rng(0)
BLOCKS = {name: rng.normal(size=(N, 2)) for name in ("x", "shared", "y")}
FACTORS = {
    "colour": BlockFactor(BLOCKS["x"][:, 0], "continuous", "x"),
    "name": BlockFactor(
        np.where(BLOCKS["shared"][:, 0] > 0, "cat", "dog"), "categorical", "shared"
    ),
    "size": BlockFactor(BLOCKS["y"][:, 1], "continuous", "y"),
}
COPIED = {**BLOCKS, "shared": np.hstack([BLOCKS["shared"], BLOCKS["x"], BLOCKS["y"]])}
COLLAPSED = {**BLOCKS, "y": np.zeros((N, 2))}


def binned(values, bins=20):
    order = sorted(values)
    edges = [np.quantile(order, k / bins) for k in range(1, bins)]
    return [sum(v >= e for e in edges) for v in values]


def mig_by_loops(latents, factor):
    index = binned(factor)
    shares = np.bincount(index) / N
    entropy = -sum(p * math.log(p) for p in shares if p)
    nats = sorted(mutual_info_score(binned(z), index) - 19 * 19 / (2 * N) for z in latents.T)
    return (nats[-1] - nats[-2]) / entropy


def test_mig_equals_its_definition_as_slow_loops():
    latents = np.hstack(list(BLOCKS.values()))
    gap = mig(BLOCKS, FACTORS).by_dimension["colour"]
    assert gap == pytest.approx(mig_by_loops(latents, BLOCKS["x"][:, 0]), abs=1e-9)


def test_histogram_information_is_that_of_a_table_worked_by_hand():
    # half the samples at (0, 0), half at (1, 1): log 2, less 1 x 1 / 2n
    index = np.repeat([0, 1], 50)
    assert histogram_information(index, index) == pytest.approx(math.log(2) - 1 / 200)
    assert histogram_information(index, np.tile([0, 1], 50)) == pytest.approx(-1 / 200)


def test_sap_of_a_continuous_factor_is_the_gap_of_squared_correlations():
    noisy = BLOCKS["x"][:, 0] + rng.normal(size=N)
    factors = {"noisy": BlockFactor(noisy, "continuous", "x")}
    latents = np.hstack(list(BLOCKS.values()))
    second, first = sorted(np.corrcoef(z, noisy)[0, 1] ** 2 for z in latents.T)[-2:]
    assert sap(BLOCKS, factors).dimension == pytest.approx(first - second)


def test_sap_of_a_category_is_the_share_of_variance_between_classes():
    z, label = BLOCKS["shared"][:, 0], FACTORS["name"].values
    within = sum(z[label == c].var() * np.mean(label == c) for c in ("cat", "dog"))
    only = {"x": 0.001 * BLOCKS["x"][:, :1], "shared": z[:, None]}
    gaps = sap(only, {"name": FACTORS["name"]})
    assert gaps.dimension == pytest.approx(1 - within / z.var(), abs=0.01)


@pytest.mark.parametrize("gap", [mig, sap])
def test_gaps_are_wide_where_each_factor_is_in_one_dimension(gap):
    gaps = gap(BLOCKS, FACTORS)
    assert gaps.dimension > 0.5 and gaps.block == pytest.approx(gaps.dimension, abs=0.02)


@pytest.mark.parametrize("gap", [mig, sap])
def test_a_copy_in_another_block_closes_both_gaps(gap):
    gaps = gap(COPIED, FACTORS)
    assert gaps.by_block["colour"] == pytest.approx(0, abs=1e-9)
    assert gaps.by_dimension["size"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("gap", [mig, sap])
def test_a_copy_in_its_own_block_closes_the_gap_between_dimensions_alone(gap):
    gaps = gap({**BLOCKS, "x": BLOCKS["x"][:, [0, 0, 1]]}, FACTORS)
    assert gaps.by_dimension["colour"] == pytest.approx(0, abs=1e-9)
    assert gaps.by_block["colour"] > 0.7


@pytest.mark.parametrize("gap", [mig, sap])
def test_a_factor_in_the_wrong_block_has_a_negative_gap(gap):
    moved = {"colour": FACTORS["colour"]._replace(block="y")}
    assert gap(BLOCKS, moved).block < -0.7


@pytest.mark.parametrize("gap", [mig, sap])
def test_a_collapsed_block_leaves_no_block_gap(gap):
    gaps = gap(COLLAPSED, FACTORS)
    assert gaps.block is None and gaps.collapsed == ("y",)


def test_dci_is_high_where_each_factor_is_in_one_dimension():
    scores = dci(BLOCKS, FACTORS)
    assert scores.disentanglement > 0.75 and scores.completeness > 0.75
    assert scores.informativeness > 0.9


def test_dci_falls_when_dimensions_are_mixed():
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    mixed = np.hstack(list(BLOCKS.values())) @ turn
    scores = dci({"x": mixed[:, :2], "shared": mixed[:, 2:4], "y": mixed[:, 4:]}, FACTORS)
    assert scores.disentanglement < 0.5 and scores.completeness < 0.5


def test_dci_by_block_is_high_where_blocks_keep_apart_and_falls_with_a_leak():
    apart = dci_by_block(probe_matrix(BLOCKS, FACTORS))
    leak = dci_by_block(probe_matrix(COPIED, FACTORS))
    assert apart.disentanglement > 0.9 and apart.completeness > 0.9
    assert leak.disentanglement < 0.6 and leak.completeness < 0.8
    assert apart.informativeness > 0.85


def test_nothing_read_is_no_disentanglement():
    noise = {
        block: BlockFactor(rng.normal(size=N), "continuous", block) for block in ("x", "shared")
    }
    scores = dci_by_block(probe_matrix({k: 0 * z for k, z in BLOCKS.items()}, noise))
    assert scores.disentanglement is None and scores.completeness is None
    assert scores.informativeness == 0


def test_scores_do_not_change_with_the_order_and_scale_of_dimensions():
    moved = {name: -2.0 * z[:, ::-1] for name, z in BLOCKS.items()}
    assert mig(moved, FACTORS).dimension == pytest.approx(mig(BLOCKS, FACTORS).dimension, abs=0.01)
    assert sap(moved, FACTORS).dimension == pytest.approx(sap(BLOCKS, FACTORS).dimension)


def test_dci_repeats_for_a_seed():
    assert dci(BLOCKS, FACTORS, seed=1) == dci(BLOCKS, FACTORS, seed=1)


@pytest.mark.parametrize("gap", [mig, sap, dci])
def test_the_best_of_more_dimensions_than_samples_is_luck(gap):
    blocks = {"shared": np.random.default_rng(0).normal(size=(20, 64))}
    factor = BlockFactor(np.arange(20.0), "continuous", "shared")
    with pytest.raises(DataError, match="block shared has 64 dimensions and there are 20 samples"):
        gap(blocks, {"a": factor, "b": factor})


def test_wrong_input_is_named():
    one = {"colour": FACTORS["colour"]}
    with pytest.raises(DataError, match="two factors"):
        dci(BLOCKS, one)
    with pytest.raises(DataError, match="factors that belong to different ones"):
        dci_by_block(probe_matrix(BLOCKS, one))
    with pytest.raises(DataError, match="two dimensions that vary"):
        mig({"x": BLOCKS["x"][:, :1]}, one)
    with pytest.raises(DataError, match="block y has 799 samples"):
        sap({**BLOCKS, "y": BLOCKS["y"][1:]}, FACTORS)
