"""What heads and fine-tuned backbones share: training items, and how a network is judged.

The published features came from two networks, one trained on sketches and one on photos: "apart".
One network for both domains aligns them by itself: "joint". IIAE itself sees no label but which x
and y share a class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.classes.collections import Labelled
from iiae.data.classes.pairs import ClassPairs, as_float
from iiae.data.classes.scaling import standardised
from iiae.errors import SettingsError
from iiae.metrics.ranking import score
from iiae.settings import MOST_SEED

SCALE = 10.0  # of the cosine between features and class weights

# the least and the most of each number in `HeadSettings` and `TuneSettings`, where 0 is allowed
BOUNDS = {
    "dropout": (0, 0.99),
    "frozen": (0, 0.99),
    "mixup": (0, 1e6),
    "seed": (0, MOST_SEED),
    "epochs_y": (0, 1e9),
}

Embed = Callable[[Tensor], Tensor]


class Task(NamedTuple):
    """What one network is trained on, and its quality on held-out seen classes.

    `domain` is x or y, or both for one network of both; `labels` are numbers of classes.
    """

    domain: str
    values: Tensor
    labels: Tensor
    quality: Callable[[Embed], float]


def tasks(train: ClassPairs, validation: ClassPairs, apart: bool) -> list[Task]:
    """One task for both domains, or one per domain, without data of the other."""
    sides = {"x": (train.x, validation.x), "y": (train.y, validation.y)}
    if apart:
        return [
            Task(name, taught.values, _numbers(taught, train.classes), _within(held))
            for name, (taught, held) in sides.items()
        ]
    values = torch.cat([train.x.values, train.y.values])
    labels = torch.cat([_numbers(taught, train.classes) for taught, _ in sides.values()])
    return [Task("both", values, labels, lambda embed: across(embed, validation))]


def _numbers(side: Labelled, classes: list[str]) -> Tensor:
    return torch.from_numpy(np.searchsorted(classes, side.labels.astype(str)))


def across(embed: Embed, pairs: ClassPairs) -> float:
    """mAP@all, x searching y; each domain scaled by itself, since training scales it too."""
    x, y = (_embedded(embed, side) for side in (pairs.x, pairs.y))
    return _map(x, y)


def _within(held: Labelled) -> Callable[[Embed], float]:
    """mAP@all within one domain: every other item of a class searches the rest."""
    order = np.argsort(held.labels, kind="stable")

    def quality(embed: Embed) -> float:
        side = _embedded(embed, held)
        return _map(side.at(order[::2]), side.at(order[1::2]))

    return quality


def _embedded(embed: Embed, side: Labelled) -> Labelled:
    """Items as the network gives them, scaled by themselves."""
    parts = [embed(as_float(part)) for part in side.values.split(256)]
    embedded = side._replace(values=torch.cat(parts))
    return standardised(embedded, embedded)


def _map(query: Labelled, items: Labelled) -> float:
    given = (query.values.numpy(), items.values.numpy(), query.labels, items.labels)
    return score(*given, (1,)).mean["map@all"]


def mixed(values: Tensor, share: Tensor, other: Tensor) -> Tensor:
    """Each row, with `share` `(batch, 1)`, and for the rest the row that `other` names."""
    share = share.view(-1, *[1] * (values.ndim - 1))
    return share * values + (1 - share) * values[other]


def check_numbers(values: Mapping[str, float]) -> None:
    """Raises SettingsError if a setting of a head or of fine-tuning is out of its range."""
    for name, value in values.items():
        least, most = BOUNDS.get(name, (1e-12, 1e9))
        if not least <= value <= most:  # NaN is in no range
            raise SettingsError(f"{name} = {value}: must be from {least:g} to {most:g}")
