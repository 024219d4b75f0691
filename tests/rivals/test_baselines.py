import numpy as np
import pytest
import torch

from iiae.errors import DataError
from iiae.rivals.baselines import AS_GIVEN, CCA, contrast


def test_features_of_two_widths_cannot_be_compared_as_given(world):
    with pytest.raises(DataError, match="24 wide in x and 20 in y; they can be compared only if"):
        AS_GIVEN.fit(world.train)


def test_features_as_given_are_standardised(world):
    fitted = AS_GIVEN.fit(world.train._replace(y=world.train.x))
    rows = fitted.embed_x(world.train.x)
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(rows.std(0), 1, atol=1e-4)


def test_canonical_directions_are_those_of_all_class_pairs(world):
    """Whitened with almost no ridge, their correlations over all pairs are on the diagonal."""
    fitted = CCA.fit(world.train, ridge=1e-9, size=6)
    a, b = fitted.embed_x(world.train.x), fitted.embed_y(world.train.y)
    pairs = [(i, j) for i in range(0, 600, 7) for j in range(600) if i // 20 == j // 20]
    assert fitted.dimension == 6
    np.testing.assert_allclose(a.T @ a / len(a), np.eye(6), atol=1e-3)
    means = [np.stack([side[20 * c : 20 * c + 20].mean(0) for c in range(30)]) for side in (a, b)]
    cross = means[0].T @ means[1] / 30
    assert np.abs(cross - np.diag(np.diag(cross))).max() < 1e-3
    assert (np.diff(np.diag(cross)) < 1e-6).all()
    left, right = (
        np.stack([side[row] for row in rows])
        for side, rows in zip((a, b), zip(*pairs, strict=True), strict=True)
    )
    assert np.corrcoef(left[:, 0], right[:, 0])[0, 1] > 0.8


def test_contrast_equals_a_slow_loop(float64):
    a, b = torch.randn(5, 3), torch.randn(5, 3)
    unit = lambda rows: rows / rows.norm(dim=1, keepdim=True)  # noqa: E731
    logits = (unit(a) @ unit(b).T / 0.1).tolist()
    total = 0.0
    for i in range(5):
        row, column = np.exp(logits[i]), np.exp([logits[j][i] for j in range(5)])
        total -= np.log(row[i] / row.sum()) / 5 + np.log(column[i] / column.sum()) / 5
    assert contrast(a, b, 0.1).item() == pytest.approx(total)
