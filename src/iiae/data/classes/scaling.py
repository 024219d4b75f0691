"""Features of classes with mean 0 and standard deviation 1."""

from __future__ import annotations

from copy import copy

import torch

from iiae.data.base import PairSet, Splits
from iiae.data.classes.collections import Labelled
from iiae.data.classes.pairs import ClassPairs
from iiae.errors import DataError


def standardised(side: Labelled, train: Labelled) -> Labelled:
    """Features in units of the mean and standard deviation of those of `train`.

    Raises:
        DataError: These are images, or features too large to be squared.
    """
    if train.values.dtype == torch.uint8:
        raise DataError(
            "these are images: standard units and a head are for features, which "
            "`iiae features` makes of images"
        )
    scale = train.values.std(0)
    if not scale.isfinite().all():
        raise DataError("features are too large to be standardised; scale them")
    scale[scale < 1e-6] = 1
    return side._replace(values=(side.values - train.values.mean(0)) / scale)


def standardised_splits(parts: Splits) -> Splits:
    """All three parts, in units of the training classes.

    Raises:
        DataError: As `standardised`.
    """
    train = parts.train
    assert isinstance(train, ClassPairs)

    def scaled(pairs: PairSet) -> PairSet:
        assert isinstance(pairs, ClassPairs)
        moved = copy(pairs)
        moved.x, moved.y = standardised(pairs.x, train.x), standardised(pairs.y, train.y)
        return moved

    return Splits(*map(scaled, parts))
