"""Features with mean 0 and variance 1, and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Standard(NamedTuple):
    """Mean and scale of each feature, `(features,)`; a constant feature has scale 0."""

    mean: np.ndarray
    scale: np.ndarray

    def apply(self, values: np.ndarray) -> Tensor:
        """Rows `(rows, features)` in standard units, float32; constant features become 0."""
        scale = np.where(self.scale == 0, 1, self.scale)
        return torch.from_numpy(((values - self.mean) / scale).astype(np.float32))

    def undo(self, values: Tensor) -> np.ndarray:
        """Rows in the features' own units, float64; constant features get their value."""
        return values.numpy().astype(np.float64) * self.scale + self.mean


def find_standard(values: np.ndarray) -> Standard:
    """The standard of rows `(rows, features)`: their mean and standard deviation."""
    mean, scale = values.mean(0), values.std(0)
    # the rounding error of a constant column is no scale
    return Standard(mean, np.where(scale <= 1e-12 * np.abs(mean), 0.0, scale))
