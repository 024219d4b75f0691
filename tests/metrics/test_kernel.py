import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iiae.errors import DataError
from iiae.metrics.kernel import kernel_distance


def drawn(count, shift=0.0, seed=0, size=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator, dtype=torch.float64) + shift


def test_the_kernel_distance_is_that_of_slow_loops():
    a, b = drawn(5), drawn(7, 1.0, 1)

    def k(u, v):
        return (float(u @ v) / 3 + 1) ** 3

    first = np.mean([k(a[i], a[j]) for i in range(5) for j in range(5) if i != j])
    second = np.mean([k(b[i], b[j]) for i in range(7) for j in range(7) if i != j])
    across = np.mean([k(u, v) for u in a for v in b])
    assert kernel_distance(a, b) == pytest.approx(first + second - 2 * across)


def test_a_case_worked_by_hand():
    a, b = torch.zeros(2, 1), torch.ones(2, 1)
    assert kernel_distance(a, b) == pytest.approx(1 + 8 - 2)


def test_sets_of_one_kind_are_0_apart_on_average_and_others_are_not():
    same = [kernel_distance(drawn(20, 0, s), drawn(20, 0, 1000 + s)) for s in range(400)]
    assert abs(np.mean(same)) < 3 * np.std(same) / 20
    assert min(same) < 0
    assert kernel_distance(drawn(200), drawn(200, 1.0, 1)) > 5 * np.std(same)


@given(st.integers(0, 1000))
def test_the_order_of_vectors_and_of_sets_counts_for_nothing(seed):
    a, b = drawn(6, seed=seed), drawn(4, 0.5, seed + 1)
    assert kernel_distance(a, b) == pytest.approx(kernel_distance(b.flip(0), a.flip(0)))


def test_sets_of_one_vector_are_refused():
    with pytest.raises(DataError, match="1 and 5 vectors"):
        kernel_distance(drawn(1), drawn(5))
