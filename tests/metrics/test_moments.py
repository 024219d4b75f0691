import torch

from iiae.metrics.moments import column_moments


def test_moments_of_large_offsets_are_exact():
    rows = torch.randn(1000, 2, dtype=torch.float64) * 0.5 + 1e7
    mean, deviation = column_moments(rows.split(130))
    torch.testing.assert_close(mean, rows.mean(0))
    torch.testing.assert_close(deviation, rows.std(0, correction=0))


def test_a_column_that_varies_by_rounding_alone_is_constant():
    rows = torch.tensor([[0.1 + 0.2, 0.0], [0.3, 1.0]], dtype=torch.float64)
    mean, deviation = column_moments([rows])
    assert deviation.tolist() == [0.0, 0.5]
    torch.testing.assert_close(mean, rows.mean(0))
