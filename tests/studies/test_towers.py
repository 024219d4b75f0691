import numpy as np
import pytest
import torch

import towers
from towers import Vectors

rng = np.random.default_rng(0)


def pairs(rows, mix):
    """Two domains of one cause, curved in y."""
    cause = torch.from_numpy(rng.normal(size=(rows, 3))).float()
    x = torch.cat([cause @ mix[0], torch.from_numpy(rng.normal(size=(rows, 4))).float()], 1)
    return Vectors(x, torch.tanh(cause @ mix[1]))


@pytest.mark.parametrize("learn", [towers.infonce, towers.deep_cca])
def test_partners_are_found_that_were_not_trained_on(learn, monkeypatch):
    monkeypatch.setattr(towers, "STEPS", 120)
    monkeypatch.setattr(towers, "CHECKS", 6)
    monkeypatch.setattr(towers, "RIDGES", (1e-2,))
    monkeypatch.setattr(towers, "TEMPERATURES", (0.1,))
    mix = [torch.from_numpy(rng.normal(size=(3, n))).float() for n in (8, 6)]
    train, held, test = (pairs(n, mix) for n in (300, 60, 60))
    assert towers.quality(learn(train, held, 0)(test)) > 0.3  # at random 0.08


def test_correlations_are_those_of_numpy_where_one_axis_is_shared():
    a = torch.from_numpy(rng.normal(size=(500, 2)))
    b = torch.stack([a[:, 0] + 0.5 * torch.from_numpy(rng.normal(size=500)), a[:, 1] * 3], 1)
    found = towers.correlations(a.float(), b.float(), 0.0)
    assert found[0] == pytest.approx(1, abs=1e-3)
    joint = np.corrcoef(np.c_[a.numpy(), b.numpy()].T)
    inner = np.linalg.solve(joint[:2, :2], joint[:2, 2:]) @ np.linalg.solve(
        joint[2:, 2:], joint[2:, :2]
    )
    np.testing.assert_allclose(
        found.square().numpy(), np.sort(np.linalg.eigvals(inner).real)[::-1], atol=1e-3
    )


def test_quality_is_the_mean_reciprocal_rank_both_ways():
    eye = torch.eye(4)
    assert towers.quality(Vectors(eye, eye)) == 1
    assert towers.quality(Vectors(eye[:2], eye[:2].flip(0))) == pytest.approx(0.5)
