"""A head over features, trained on the seen classes; its hidden layer gives new features."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from iiae.console import tracked
from iiae.data.classes.collections import read_collections
from iiae.data.classes.pairs import (
    ClassPairs,
    domains,
    load_classes,
    standardised,
    standardised_splits,
)
from iiae.errors import DataError
from iiae.features.extract import save_features
from iiae.features.teaching import SCALE, Task, check_numbers, mixed, tasks
from iiae.files.atomic import refuse_inputs
from iiae.settings import DataSettings


class HeadSettings(NamedTuple):
    """How a head is trained; chosen on held-out seen classes of Sketchy."""

    size: int = 512
    steps: int = 300
    batch: int = 256
    learning_rate: float = 1e-3
    dropout: float = 0.5
    mixup: float = 0.4
    seed: int = 0


class Head(nn.Module):
    """features -> dropout -> dense -> BatchNorm -> LeakyReLU: the new features.

    Logits are `SCALE` times their cosine with one weight a class.
    """

    def __init__(self, size: int, classes: int, settings: HeadSettings):
        super().__init__()
        self.net = nn.Sequential(
            nn.Dropout(settings.dropout),
            nn.Linear(size, settings.size),
            nn.BatchNorm1d(settings.size),
            nn.LeakyReLU(0.2),
        )
        self.weights = nn.Parameter(0.02 * torch.randn(classes, settings.size))

    def forward(self, x: Float[Tensor, "batch size"]) -> Float[Tensor, "batch features"]:
        return self.net(x)

    def logits(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch classes"]:
        return SCALE * F.normalize(features) @ F.normalize(self.weights).T


def train_head(
    data: DataSettings, out: Path, settings: HeadSettings = HeadSettings(), apart: bool = False
) -> float:
    """Trains a classifier of the training classes; writes its hidden layer.

    Neither the unseen nor the validation classes are seen. `out` holds the hidden layer of every
    item, its class and its path, the unseen classes if the files themselves name them, and the
    protocol: "apart", or "joint" if any network on the way was trained on both domains.

    Args:
        data: Features, an `.npz` or the authors' folder, and their split, as for training
            (`data.name = "classes"`).
        out: The `.npz` to write.
        settings: Size, length and regularisation.
        apart: One head per domain, trained on that domain alone, instead of one for both.

    Returns:
        mAP@all of held-out seen classes with the new features: x searching y; taught apart, whose
        spaces are not aligned, the mean over domains of items searching others of their domain.

    Raises:
        DataError: As `load_classes`, `out` is the features themselves, or features of two widths
            are given to one head.
        SettingsError: A number of `settings` is out of range.
        RunError: `out` cannot be written.
    """
    check_numbers(settings._asdict())
    if data.root is not None:
        refuse_inputs([out], [Path(data.root)])
    parts = standardised_splits(load_classes(data))
    assert data.root is not None
    train, validation = parts.train, parts.validation
    assert isinstance(train, ClassPairs) and isinstance(validation, ClassPairs)
    if not apart:
        _refuse_two_widths(data.root, train)
    torch.manual_seed(settings.seed)
    taught = tasks(train, validation, apart)
    heads = [_fit_head(task, len(train.classes), settings) for task in taught]
    with torch.inference_mode():
        quality = [task.quality(head) for task, head in zip(taught, heads, strict=True)]
        _write(data, out, heads, train.classes, f"head {settings.size} seed {settings.seed}")
    return float(np.mean(quality))


def _refuse_two_widths(root: str, train: ClassPairs) -> None:
    widths = [shape[0] for shape in train.shapes]
    if widths[0] != widths[1]:
        raise DataError(
            f"{root}: features are {widths[0]} wide in x and {widths[1]} in y; one head for "
            "both domains needs features of one network; train one per domain (--apart)"
        )


def _write(data: DataSettings, out: Path, heads: list[Head], classes: list[str], note: str) -> None:
    names, root = domains(data), data.root or ""
    given = standardised(read_collections(root, *names, data.size), classes)
    x = given.x._replace(values=heads[0](given.x.values))
    y = given.y._replace(values=heads[-1](given.y.values))
    joint = len(heads) == 1 or given.protocol == "joint"
    protocol = "joint" if joint else "apart"
    save_features(out, Path(root), given._replace(x=x, y=y, protocol=protocol), names, note)


def _fit_head(task: Task, classes: int, settings: HeadSettings) -> Head:
    head = Head(task.values.shape[1], classes, settings)
    optimiser = torch.optim.AdamW(head.parameters(), settings.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.steps
    )
    mix = torch.distributions.Beta(settings.mixup, settings.mixup) if settings.mixup else None
    for _ in tracked(range(settings.steps), "training the head", settings.steps):
        index = torch.randint(len(task.values), (settings.batch,))
        other = torch.randperm(len(index))
        share = mix.sample((len(index), 1)) if mix else torch.ones(len(index), 1)
        target = F.one_hot(task.labels[index], classes)
        values, target = mixed(task.values[index], share, other), mixed(target, share, other)
        loss = F.cross_entropy(head.logits(F.dropout(head(values), settings.dropout)), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return head.eval()


__all__ = ["Head", "HeadSettings", "train_head"]
