"""The units that a model computes in: those of the data, or each column's deviation."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from iiae.distributions import Likelihood, Rescaled

LIMIT = 10.0  # deviations from the mean beyond which a value counts as one of so many


class DataUnits(nn.Module):
    """The data as it is."""

    def forward(self, values: Tensor) -> Tensor:
        return values

    def likelihood(self, inner: Likelihood) -> Likelihood:
        """The likelihood of the data, of one in these units."""
        return inner


class StandardUnits(nn.Module):
    """Vectors in units of each column's mean and standard deviation, stored with the weights.

    A value more than 10 deviations from the mean counts as 10 away, so that no single one rules
    a step of training. A column that is constant over the training pairs always is 0.

    Args:
        size: Number of columns.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def forward(self, values: Float[Tensor, "batch size"]) -> Float[Tensor, "batch size"]:
        varying = self.deviation > 0
        scale = self.deviation.where(varying, self.deviation.new_ones(()))
        return ((values - self.mean) / scale * varying).clamp(-LIMIT, LIMIT)

    def likelihood(self, inner: Likelihood) -> Likelihood:
        """The likelihood of the data, of one in these units: means in the data's own, true nats."""
        return Rescaled(inner, self, self.mean, self.deviation)

    def learn(self, batches: Iterable[Tensor]) -> None:
        """Takes the mean and deviation of all rows, `(batch, size)` at a time.

        A column that varies by rounding errors alone is constant.
        """
        mean, deviation = moments(batches)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.masked_fill(deviation <= 1e-12 * mean.abs(), 0))


def moments(
    batches: Iterable[Tensor],
) -> tuple[Float[Tensor, " size"], Float[Tensor, " size"]]:
    """Mean and standard deviation of each column over batches `(batch, size)`, in float64.

    Summed around the first batch's mean, so that nothing cancels.
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
    return start + off, (squares / rows - off.square()).clamp_min(0).sqrt()
