"""What covariates tell of samples by themselves, which encoders do not see."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

RIDGE = 1.0  # in training rows: a level of few rows has their mean taken off in part


class CovariateEffects(nn.Module):
    """Takes off what covariates tell of each column by itself, as a batch's own mean.

    Encoders that saw the covariates, or values from which they can be told, would pass them on:
    both domains know them, so that z_s would hold them at little cost. Effects are those of ridge
    regression of the training rows on the covariates, stored with the weights.

    Args:
        width: Number of columns of covariates.
        shape: Of one sample.
    """

    effects: Tensor

    def __init__(self, width: int, shape: Sequence[int]):
        super().__init__()
        self.shape = tuple(shape)
        self.register_buffer("effects", torch.zeros(width, math.prod(shape)))

    def forward(
        self, values: Float[Tensor, "batch *shape"], covariates: Float[Tensor, "batch width"]
    ) -> Float[Tensor, "batch *shape"]:
        return values - self.told(covariates)

    def told(self, covariates: Float[Tensor, "batch width"]) -> Float[Tensor, "batch *shape"]:
        """What the covariates of samples tell of these."""
        # in bfloat16 a rounded effect would leave a trace of the batch in every column
        with torch.autocast(covariates.device.type, enabled=False):
            told = covariates.float() @ self.effects
        return told.view(-1, *self.shape)

    def learn(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Takes the effects on all rows, values with their covariates as `forward` takes them."""
        width, size = self.effects.shape
        gram, cross = RIDGE * torch.eye(width).double(), torch.zeros(width, size).double()
        for values, covariates in batches:
            known = covariates.cpu().double()
            gram += known.T @ known
            cross += known.T @ values.cpu().double().flatten(1)
        self.effects.copy_(torch.linalg.solve(gram, cross))
