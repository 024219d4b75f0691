"""What covariates tell of samples by themselves, which encoders do not see."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

RATE = 30  # of learning, beside that of the networks: see `CovariateEffects`
RIDGE = 1.0  # in training rows: a level of few rows begins with their mean in part


class CovariateEffects(nn.Module):
    """A vector for each column of covariates: what it adds to a sample, as a batch its offset.

    Taken off before the encoders and added to the locations of the likelihood. Encoders that saw
    the covariates, or values from which they can be told, would pass them on: both domains know
    them, so that z_s would hold them at little cost.

    They begin as ridge regression of the training rows on the covariates, and are learned further
    with the networks: means of batches differ by their content too, and encoders that saw all of it
    taken off could tell the batch from what is missing. They learn `RATE` times as fast, so
    that they explain an offset before z_s does (docs/studies/omics.md).

    Args:
        width: Number of columns of covariates.
        shape: Of one sample.
    """

    effects: Tensor

    def __init__(self, width: int, shape: Sequence[int]):
        super().__init__()
        self.shape = tuple(shape)
        self.effects = nn.Parameter(torch.zeros(width, math.prod(shape)))

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

    @torch.no_grad()
    def begin(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Takes the effects on all rows, values with their covariates as `forward` takes them."""
        width, size = self.effects.shape
        gram, cross = RIDGE * torch.eye(width).double(), torch.zeros(width, size).double()
        for values, covariates in batches:
            known = covariates.cpu().double()
            gram += known.T @ known
            cross += known.T @ values.cpu().double().flatten(1)
        self.effects.copy_(torch.linalg.solve(gram, cross))
