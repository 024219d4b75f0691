"""Known factors of samples: what they are, and which can be read from latents."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Shaped

from iiae.errors import DataError
from iiae.metrics.probes import standardised

FOLDS = 5
MOST_CLASSES = 200
Kind = Literal["continuous", "categorical"]


class BlockFactor(NamedTuple):
    """A known factor, one value (or row of values) per pair, and the block it belongs to.

    Categories may be numbers or strings.
    """

    values: Shaped[np.ndarray, "samples *axes"]
    kind: Kind
    block: str


def check_factor(name: str, factor: BlockFactor, n: int) -> None:
    """Refuses what cannot be read from blocks of `n` samples.

    Raises:
        DataError: Too few samples, a factor of another length, not finite, constant or not
            numeric, a class with one sample, or more than 200 classes.
    """
    values = np.asarray(factor.values)
    if n < FOLDS:
        raise DataError(f"{n} samples; probes on {FOLDS} folds need at least {FOLDS}")
    if len(values) != n:
        raise DataError(f"factor {name} has {len(values)} values and the blocks {n} samples")
    if factor.kind == "categorical":
        if values.ndim != 1:
            raise DataError(
                f"factor {name}: a category is one value per sample; got {values.shape}"
            )
        names, counts = np.unique(values.astype(str), return_counts=True)
        if len(names) == 1:
            raise DataError(f"factor {name} is constant: every sample is {names[0]}")
        if counts.min() == 1:
            alone = names[counts == 1][0]
            raise DataError(
                f"factor {name}: class {str(alone)!r} has one sample; merge it or leave it out"
            )
        if len(names) > MOST_CLASSES:
            raise DataError(f"factor {name} has {len(names)} classes; at most {MOST_CLASSES}")
    elif values.dtype.kind not in "biuf":
        raise DataError(f"factor {name} is not numeric; make its kind 'categorical'")
    elif not np.isfinite(values).all():
        raise DataError(f"factor {name} has values that are not finite")
    elif not (values != values[:1]).reshape(n, -1).any(0).all():
        raise DataError(f"factor {name} is constant")


def classes(factor: BlockFactor) -> np.ndarray:
    """Index of each sample's class."""
    return np.unique(np.asarray(factor.values).astype(str), return_inverse=True)[1].ravel()


def columns(factor: BlockFactor) -> np.ndarray:
    """Standardised axes of a continuous factor, or one 0-1 column a class."""
    if factor.kind == "categorical":
        index = classes(factor)
        return np.eye(index.max() + 1)[index]
    return standardised(np.asarray(factor.values, dtype=np.float64).reshape(len(factor.values), -1))
