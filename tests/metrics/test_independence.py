import numpy as np
import pytest

from iiae.errors import DataError
from iiae.metrics.independence import domain_probe, hsic_test

rng = np.random.default_rng(0)
A, B = rng.normal(size=(2, 300, 3))


def hsic_by_loops(a, b):
    n = len(a)
    kernels = []
    for z in (a, b):
        square = np.array([[np.sum((u - v) ** 2) for v in z] for u in z])
        width = np.median([square[i, j] for i in range(n) for j in range(i + 1, n)])
        kernels.append(np.exp(-square / (2 * width)))
    centre = np.eye(n) - np.ones((n, n)) / n
    k, l = (centre @ m @ centre for m in kernels)  # noqa: E741
    return np.trace(k @ l) / np.sqrt(np.trace(k @ k) * np.trace(l @ l))


def test_hsic_equals_its_definition_as_slow_loops():
    a, b = A[:40], A[:40, :2] + B[:40, :2]
    assert hsic_test(a, b).value == pytest.approx(hsic_by_loops(a, b), abs=1e-5)


def test_hsic_of_a_block_and_itself_is_one():
    dependence = hsic_test(A, A)
    assert dependence.value == pytest.approx(1, abs=1e-5)
    assert dependence.p_value == 1 / 201


def test_hsic_sees_dependence_without_correlation():
    assert hsic_test(A, np.abs(A) + 0.3 * B).p_value < 0.01


def test_hsic_p_values_are_uniform_on_independent_blocks():
    p_values = [
        hsic_test(*np.random.default_rng(seed).normal(size=(2, 60, 2)), permutations=50).p_value
        for seed in range(80)
    ]
    assert 0.4 < np.mean(p_values) < 0.6
    assert np.mean(np.array(p_values) < 0.05) < 0.12


def test_hsic_does_not_change_with_rotation_shift_or_scale():
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved = hsic_test(5 * A @ turn + 2, A + B)
    assert moved.value == pytest.approx(hsic_test(A, A + B).value, abs=1e-4)


def test_hsic_repeats_for_a_seed_and_says_how_many_samples_it_used():
    a, b = rng.normal(size=(2, 1700, 1))
    dependence = hsic_test(a, b, permutations=5, seed=1)
    assert dependence == hsic_test(a, b, permutations=5, seed=1)
    assert dependence.samples == 1500


def test_hsic_names_wrong_input():
    with pytest.raises(DataError, match="a has 299 samples"):
        hsic_test(A[1:], B)
    with pytest.raises(DataError, match="b is collapsed"):
        hsic_test(A, 0 * B)
    with pytest.raises(DataError, match="not finite"):
        hsic_test(A, np.where(B > 1, np.inf, B))
    with pytest.raises(DataError, match="20 samples"):
        hsic_test(A[:10], B[:10])


def test_sets_of_one_distribution_are_not_told_apart():
    probe = domain_probe(A, B)
    assert probe.linear == pytest.approx(0.5, abs=0.08)
    assert probe.linear_p_value > 0.01 and probe.nonlinear_p_value > 0.01


def test_a_shift_is_told_linearly_and_a_change_of_width_only_otherwise():
    shifted = domain_probe(A, B + 2)
    assert shifted.linear > 0.9 and shifted.linear_p_value < 1e-6
    wider = domain_probe(A, 3 * B)
    assert wider.linear_p_value > 0.01
    assert wider.nonlinear > 0.7 and wider.nonlinear_p_value < 1e-6


def test_what_identifies_a_pair_does_not_tell_its_halves_apart():
    # a partner in the training folds would give a near copy of the other label
    probe = domain_probe(A, A + 1e-3 * B)
    assert probe.linear_p_value > 0.01 and probe.nonlinear_p_value > 0.01


def test_a_domain_probe_repeats_for_a_seed():
    assert domain_probe(A, B, seed=2) == domain_probe(A, B, seed=2)


def test_a_domain_probe_names_wrong_input():
    with pytest.raises(DataError, match="two sets of at least 20 pairs"):
        domain_probe(A, B[:, :2])
    with pytest.raises(DataError, match="collapsed"):
        domain_probe(np.ones((50, 3)), np.ones((50, 3)))
