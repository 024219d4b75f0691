import numpy as np
import pytest
import torch

from iiae.rivals.sae import semantic_map


def instance(items=40, size=7, k=5):
    rng = np.random.default_rng(0)
    return rng.normal(size=(items, size)), rng.normal(size=(items, k))


@pytest.mark.parametrize("lam", [1e-2, 1.0, 1e6])
def test_the_closed_form_is_the_solution_of_sylvester_s_equation(lam):
    linalg = pytest.importorskip("scipy.linalg")
    x, s = instance()
    weights = semantic_map(torch.from_numpy(x), torch.from_numpy(s), lam).numpy()
    expected = linalg.solve_sylvester(s.T @ s, lam * x.T @ x, (1 + lam) * s.T @ x)
    np.testing.assert_allclose(weights, expected, rtol=1e-8, atol=1e-8)


def test_the_map_is_a_minimum_of_the_objective():
    x, s = map(torch.from_numpy, instance())

    def objective(w):
        return (x - s @ w).square().sum() + 2.0 * (x @ w.T - s).square().sum()

    w = semantic_map(x, s, 2.0).requires_grad_()
    (slope,) = torch.autograd.grad(objective(w), w)
    assert slope.abs().max() < 1e-9


def test_directions_without_variance_are_left_at_zero():
    x, s = map(torch.from_numpy, instance())
    full = semantic_map(x, s, 1.0)
    padded = semantic_map(
        torch.cat([x, torch.zeros(40, 1)], 1), torch.cat([s, torch.zeros(40, 1)], 1), 1.0
    )
    torch.testing.assert_close(padded[:5, :7], full)
    assert padded.isfinite().all() and padded[5].abs().max() < 1e-9
