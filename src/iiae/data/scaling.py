"""Features with mean 0 and variance 1, and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.errors import DataError
from iiae.metrics.moments import column_moments


class Standard(NamedTuple):
    """Mean and scale of each feature, `(features,)`; a constant feature has scale 0."""

    mean: np.ndarray
    scale: np.ndarray

    def apply(self, values: np.ndarray, name: str = "features") -> Tensor:
        """Rows `(rows, features)` in standard units, float32; constant features become 0.

        Raises:
            DataError: A row of `name` is too far from the mean for float32.
        """
        known = self.scale > 0
        with np.errstate(over="ignore", invalid="ignore"):
            rows = (values - self.mean) / np.where(known, self.scale, 1) * known
            narrow = rows.astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(narrow).all(1))
        if len(bad):
            raise DataError(f"{name}: values too large to be standardised in row {bad[0]}")
        return torch.from_numpy(narrow)

    def undo(self, values: Tensor) -> np.ndarray:
        """Rows in the features' own units, float64; constant features get their value."""
        return values.numpy().astype(np.float64) * self.scale + self.mean


def find_standard(values: np.ndarray, name: str = "features") -> Standard:
    """The standard of rows `(rows, features)`: their mean and standard deviation.

    Raises:
        DataError: Values of `name` are so large that their deviation overflows.
    """
    mean, scale = (
        one.numpy() for one in column_moments([torch.from_numpy(np.array(values, np.float64))])
    )
    bad = np.flatnonzero(~np.isfinite(mean) | ~np.isfinite(scale))
    if len(bad):
        raise DataError(
            f"{name}: values of column {bad[0]} are too large to be standardised; scale them"
        )
    return Standard(mean, scale)
