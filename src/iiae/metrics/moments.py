"""Mean and standard deviation of columns."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

ROUNDING = 1e-12  # deviation by rounding errors of a constant column, as a share of its mean


def column_moments(
    batches: Iterable[Tensor],
) -> tuple[Float[Tensor, " size"], Float[Tensor, " size"]]:
    """Mean and standard deviation of each column over batches `(batch, size)`, in float64.

    A column that varies by rounding errors alone has deviation 0. Summed around the first batch's
    mean, so that nothing cancels.
    """
    start = first = squares = torch.zeros(())
    rows = 0
    for values in batches:
        values = values.double().cpu()
        if not rows:
            start = values.mean(0)
            first, squares = torch.zeros_like(start), torch.zeros_like(start)
        offset = values - start
        first, squares = first + offset.sum(0), squares + offset.square().sum(0)
        rows += len(values)
    off = first / rows
    mean, deviation = start + off, (squares / rows - off.square()).clamp_min(0).sqrt()
    return mean, deviation.masked_fill(deviation <= ROUNDING * mean.abs(), 0)
