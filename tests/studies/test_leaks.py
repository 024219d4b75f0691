import numpy as np
import pytest

from iiae.metrics.leakage import BlockFactor, probe_matrix
from leaks import LATENTS, agreement, effects, known_leak


def row(leaks, **settings):
    gains = {
        name: {"gain": (leak or 0) / 3, "share": (leak or 0) ** 2, "leak": leak}
        for name, leak in zip(LATENTS, leaks, strict=True)
    }
    retrieval = {"recall_x_to_y": 0.5, "recall_y_to_x": 0.7}
    return {"gains": gains, **retrieval, **settings}


def settings(lam, inter, exclusive):
    return {"objective.lam": lam, "objective.inter": inter, "model.exclusive": exclusive}


def test_a_known_leak_is_the_largest_reading_of_a_factor_from_a_block_that_is_not_its_own():
    rng = np.random.default_rng(0)
    shared, own, noise = rng.normal(size=(3, 400, 1))
    blocks = {
        "x": np.hstack([own, shared + noise]),
        "shared given x": shared,
        "y": noise,
        "shared": shared,
    }
    factors = {
        "shared": BlockFactor(shared[:, 0], "continuous", "shared"),
        "own": BlockFactor(own[:, 0], "continuous", "x"),
    }
    matrix = probe_matrix(blocks, factors, permutations=5)
    assert known_leak(matrix, "x") == pytest.approx(0.5, abs=0.1)
    assert known_leak(matrix, "y") < 0.05
    assert known_leak(matrix, "not there") is None


def test_gains_that_order_runs_as_the_known_leaks_do_agree_with_them():
    rows = [row((leak, 0.2, None, 1 - leak)) for leak in (0.1, 0.5, 0.3)]
    assert dict(agreement(rows, "shared_in_z_x")) == {"gain": 1, "share": 1}
    assert dict(agreement(rows, "shared_in_z_y")) == {}
    assert dict(agreement(rows, "exclusive_in_z_s_x")) == {}


def test_an_effect_compares_runs_that_differ_in_one_setting_alone():
    rows = [
        row((0.0, 0.0, 0.4, 0.3), **settings("1", "1", "2")),
        row((0.0, 0.0, 0.1, 0.2), **settings("1", "3", "2")),
        row((0.6, 0.0, 0.5, 0.5), **settings("1", "1", "10")),
        row((0.7, 0.0, 0.2, 0.1), **settings("1", "3", "10")),
    ]
    found = {m: both.tolist() for _, _, m, both in effects(rows, "objective.inter")}
    assert found["leak from z_s"] == [[0.4, 0.2], [0.5, 0.2]]
    assert found["leak from z_x, z_y"] == [[0.0, 0.0], [0.6, 0.7]]
    steps = {(a, b) for a, b, *_ in effects(rows, "model.exclusive")}
    assert steps == {("2", "10")}
    assert not list(effects(rows, "objective.lam"))
