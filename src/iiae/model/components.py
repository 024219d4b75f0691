"""What the encoders see of wide vectors: principal components instead of columns."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

VALUES = 40_000_000  # that components are learned from at most, 160 MB
SPARE = 10  # components more than wanted, which make the wanted ones exact enough


class Components(nn.Module):
    """The first principal components of the training rows, stored with the weights.

    One factor scales all of them, so that their mean variance over the training rows is 1 and the
    later ones, which are mostly noise, stay small.

    Args:
        size: Number of columns.
        count: Number of components. Those beyond what few rows have are 0.
    """

    mean: Tensor
    axes: Tensor

    def __init__(self, size: int, count: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("axes", torch.zeros(size, count))

    def forward(self, values: Float[Tensor, "batch size"]) -> Float[Tensor, "batch count"]:
        return (values - self.mean) @ self.axes

    def learn(self, batches: Iterable[Tensor]) -> None:
        """Takes the components of all rows, or of an even part that 160 MB hold.

        They come as `(batch, size)`. Subspace iteration finds the singular vectors (Halko,
        Martinsson and Tropp 2011).
        """
        rows = _thinned(batches, max(1, VALUES // len(self.mean)))
        self.mean.copy_(rows.mean(0))
        rows -= self.mean
        count = self.axes.shape[1]
        _, lengths, axes = torch.svd_lowrank(rows, q=min(count + SPARE, *rows.shape), niter=4)
        lengths, axes = lengths[:count], axes[:, :count]
        known = lengths > 1e-5 * lengths[0]
        self.axes.zero_()
        if known.any():
            deviation = (lengths[known].square().mean() / len(rows)).sqrt()
            self.axes[:, : len(known)] = axes * known / deviation


def _thinned(batches: Iterable[Tensor], most: int) -> Tensor:
    """Every row, or every second, every fourth and so on, so that at most `most` are held."""
    held: list[Tensor] = []
    seen, step = 0, 1
    for values in batches:
        held.append(values[-seen % step :: step].cpu().clone())  # a view would keep the batch
        seen += len(values)
        while sum(map(len, held)) > most:
            held, step = [torch.cat(held)[::2].clone()], 2 * step
    return torch.cat(held)
