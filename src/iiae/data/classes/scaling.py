"""Features of classes with mean 0 and standard deviation 1."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from iiae.data.base import PairSet, Splits
from iiae.data.classes.collections import Collections, Labelled
from iiae.data.classes.pairs import ClassPairs
from iiae.errors import DataError


def standardised_splits(parts: Splits) -> Splits:
    """Features of mean 0 and standard deviation 1 over the training classes, in all three parts.

    Raises:
        DataError: As `standardised`.
    """
    train = parts.train
    assert isinstance(train, ClassPairs)
    scales = [_scale(side) for side in (train.x, train.y)]

    def scaled(pairs: PairSet) -> PairSet:
        assert isinstance(pairs, ClassPairs)
        moved = copy(pairs)
        moved.x, moved.y = (
            side._replace(values=(side.values - mean) / scale)
            for side, (mean, scale) in zip((pairs.x, pairs.y), scales, strict=True)
        )
        return moved

    return Splits(*map(scaled, parts))


def _scale(train: Labelled) -> tuple[Tensor, Tensor]:
    """Mean and deviation of some items' features."""
    if train.values.dtype == torch.uint8:
        raise DataError(
            "these are images: standard units and a head are for features, which "
            "`iiae features` makes of images"
        )
    scale = train.values.std(0)
    if not scale.isfinite().all():
        raise DataError("features are too large to be standardised; scale them")
    scale[scale < 1e-6] = 1
    return train.values.mean(0), scale


def standardised(found: Collections, classes: list[str]) -> Collections:
    """Features of mean 0 and standard deviation 1 over some classes, in each domain.

    Raises:
        DataError: These are images.
    """

    def scaled(side: Labelled) -> Labelled:
        mean, scale = _scale(side.of(classes))
        return side._replace(values=(side.values - mean) / scale)

    return found._replace(x=scaled(found.x), y=scaled(found.y))
