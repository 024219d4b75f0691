"""Feature extractors that know the seen classes: a head over features, or a whole backbone.

The published features came from a network fine-tuned on the seen classes of both domains; IIAE
itself sees no label but which x and y share a class.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from iiae.console import tracked
from iiae.data.classes.collections import Collections, read_collections
from iiae.data.classes.pairs import (
    ClassPairs,
    as_float,
    domains,
    load_classes,
    standardised,
    standardised_splits,
)
from iiae.errors import DataError, MissingExtra, SettingsError
from iiae.features.backbone import Backbone, pooled
from iiae.features.extract import save_features
from iiae.files.atomic import make_folder, refuse_inputs, write_text
from iiae.hardware import bf16_pays
from iiae.metrics.ranking import score
from iiae.settings import MOST_SEED, DataSettings

SCALE = 10.0  # of the cosine between features and class weights
SHARES = (1.0, 0.8, 0.6, 0.4)  # of the way from pretrained to tuned weights, to choose from
SPARE, LARGER = 1.15, 1.5  # sides of images kept for crops, and of the largest tried, of a crop's

# the least and the most of each number in `HeadSettings` and `TuneSettings`, where 0 is allowed
BOUNDS = {"dropout": (0, 0.99), "frozen": (0, 0.99), "mixup": (0, 1e6), "seed": (0, MOST_SEED)}

log = logging.getLogger("iiae")


class HeadSettings(NamedTuple):
    """How the head is trained; chosen on held-out seen classes of Sketchy."""

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


def train_head(data: DataSettings, out: Path, settings: HeadSettings = HeadSettings()) -> float:
    """Trains a classifier of the training classes of both domains; writes its hidden layer.

    Neither the unseen nor the validation classes are seen. `out` holds the hidden layer of every
    item, its class and its path, and the unseen classes where the files themselves say them.

    Args:
        data: Features, an `.npz` or the authors' folder, and their split, as for training
            (`data.name = "classes"`).
        out: The `.npz` to write.
        settings: Size, length and regularisation.

    Returns:
        mAP@all of held-out seen classes, x searching y, with the new features.

    Raises:
        DataError: As `load_classes`, or `out` is the features themselves.
        SettingsError: A number of `settings` is out of range.
        RunError: `out` cannot be written.
    """
    _check_numbers(settings)
    if data.root is not None:
        refuse_inputs([out], [Path(data.root)])
    parts = standardised_splits(load_classes(data))
    assert data.root is not None
    train = parts.train
    assert isinstance(train, ClassPairs) and isinstance(parts.validation, ClassPairs)
    widths = [shape[0] for shape in train.shapes]
    if widths[0] != widths[1]:
        raise DataError(
            f"{data.root}: features are {widths[0]} wide in x and {widths[1]} in y; one head for "
            "both domains needs features of one network"
        )
    torch.manual_seed(settings.seed)
    head = Head(train.shapes[0][0], len(train.classes), settings)
    x, y = _with_labels(train)
    _fit_head(head, x, y, settings)
    head.eval()
    with torch.inference_mode():
        quality = _map(head, parts.validation)
        names = domains(data)
        found = standardised(read_collections(data.root, *names, data.size), train.classes)
        note = f"head {settings.size} seed {settings.seed}"
        x, y = (side._replace(values=head(side.values)) for side in (found.x, found.y))
    save_features(out, Path(data.root), found._replace(x=x, y=y), names, note)
    return quality


def _check_numbers(settings: HeadSettings | TuneSettings) -> None:
    for name, value in settings._asdict().items():
        least, most = BOUNDS.get(name, (1e-12, 1e9))
        if not least <= value <= most:  # NaN is in no range
            raise SettingsError(f"{name} = {value}: must be from {least:g} to {most:g}")


def _with_labels(pairs: ClassPairs) -> tuple[Tensor, Tensor]:
    position = {name: i for i, name in enumerate(pairs.classes)}
    values = torch.cat([pairs.x.values, pairs.y.values])
    names = np.concatenate([pairs.x.labels, pairs.y.labels])
    return values, torch.tensor([position[str(name)] for name in names])


def _fit_head(head: Head, x: Tensor, y: Tensor, settings: HeadSettings) -> None:
    optimiser = torch.optim.AdamW(head.parameters(), settings.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=settings.steps
    )
    mix = torch.distributions.Beta(settings.mixup, settings.mixup) if settings.mixup else None
    classes = len(head.weights)
    for _ in tracked(range(settings.steps), "training the head", settings.steps):
        index = torch.randint(len(x), (settings.batch,))
        other = torch.randperm(len(index))
        share = mix.sample((len(index), 1)) if mix else torch.ones(len(index), 1)
        target = F.one_hot(y[index], classes)
        values, target = _mixed(x[index], share, other), _mixed(target, share, other)
        loss = F.cross_entropy(head.logits(F.dropout(head(values), settings.dropout)), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


def _mixed(values: Tensor, share: Tensor, other: Tensor) -> Tensor:
    """Each row, with `share` `(batch, 1)`, and for the rest the row that `other` names."""
    share = share.view(-1, *[1] * (values.ndim - 1))
    return share * values + (1 - share) * values[other]


def _map(features: Callable[[Tensor], Tensor], pairs: ClassPairs) -> float:
    """mAP@all, x searching y; each domain scaled by itself, since training scales it too."""
    x, y = (torch.cat([features(part) for part in side]) for side in pairs.sides(256))
    sides = Collections(pairs.x._replace(values=x), pairs.y._replace(values=y))
    x, y = standardised(sides, pairs.classes)[:2]
    return score(x.values.numpy(), y.values.numpy(), x.labels, y.labels, (1,)).mean["map@all"]


class TuneSettings(NamedTuple):
    """How a backbone is fine-tuned.

    `frozen` is the share of its tensors, from the first on, that stay as they are: a half saves
    half the time. `mixup` is the parameter of the Beta distribution by which two images and
    their classes are mixed; 0 for none.
    """

    epochs: int = 4
    batch: int = 64
    learning_rate: float = 3e-4
    side: int = 128
    frozen: float = 0.0
    mixup: float = 0.0
    seed: int = 0


class Tuned(NamedTuple):
    """What `finetune` wrote, chosen on held-out seen classes.

    `quality` is their mAP@all, x searching y; `share` how far the weights went from the pretrained
    to the tuned ones; `side` that of the images that the written model takes, in pixels.
    """

    quality: float
    share: float
    side: int


def finetune(
    data: DataSettings, backbone: Backbone, out: Path, settings: TuneSettings = TuneSettings()
) -> Tuned:
    """Fine-tunes a whole backbone on the training classes of both domains; writes its folder.

    Random crops and mirror images, AdamW with a one-cycle rate, bf16 where the device has units
    for it; BatchNorm keeps its moments. The folder is one of `transformers`, so that
    `iiae features --backbone` takes it.

    What is written lies between the pretrained weights and the tuned ones, which know classes
    better that neither has seen (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR
    2022), and takes images that are larger than those of training, whose crops showed things
    larger (Touvron et al., Fixing the train-test resolution discrepancy, NeurIPS 2019).

    Args:
        data: Class folders of images and their split (`data.name = "classes"`).
        backbone: See `iiae.features.backbone.load_backbone`; its model is changed.
        out: The folder to write.
        settings: Length, rate and the side of images, in pixels.

    Raises:
        DataError: As `load_classes`.
        SettingsError: A number of `settings` is out of range.
        MissingExtra: `transformers` is not installed, whose models can be saved.
        RunError: `out` cannot be written to.
    """
    _check_numbers(settings)
    if not hasattr(backbone.model, "save_pretrained"):
        raise MissingExtra("features", "saving a backbone")
    stored = round(SPARE * settings.side)
    parts = load_classes(data.model_copy(update={"size": stored}))
    make_folder(out)
    train, validation = parts.train, parts.validation
    assert isinstance(train, ClassPairs) and isinstance(validation, ClassPairs)
    backbone = backbone._replace(side=settings.side)
    torch.manual_seed(settings.seed)
    network = backbone.model.train().requires_grad_(True)
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    _freeze_first(network, settings.frozen)
    images, labels = _with_labels(train)
    _freeze_moments(network)
    pretrained = _copied(network)
    _fit_backbone(backbone, images, labels, settings)
    network.eval()
    tuned = _copied(network)

    def quality(share: float, side: int) -> float:
        _blend(network, pretrained, tuned, share)
        found = _map(backbone._replace(side=side).embed, validation)
        log.info("%.0f%% of the change, %d pixels: mAP@all %.4f", 100 * share, side, found)
        return found

    tried = {(share, stored): quality(share, stored) for share in SHARES}
    share, _ = max(tried, key=tried.__getitem__)
    for side in (settings.side, round(LARGER * settings.side)):
        tried[share, side] = quality(share, side)
    share, side = max(tried, key=tried.__getitem__)
    _blend(network, pretrained, tuned, share)
    _save_backbone(backbone._replace(side=side), out)
    return Tuned(tried[share, side], share, side)


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


@torch.no_grad()
def _blend(
    network: nn.Module, start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float
) -> None:
    """Weights a `share` of the way from one state of a network to another."""
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(start[name].lerp(end[name], share))


def _freeze_first(network: nn.Module, share: float) -> None:
    """The first `share` of a network's tensors, in its own order, stay as they are."""
    tensors = list(network.parameters())
    for tensor in tensors[: round(share * len(tensors))]:
        tensor.requires_grad_(False)


def _freeze_moments(network: nn.Module) -> None:
    """BatchNorm keeps its pretrained moments: small batches of two domains would spoil them."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.eval()


def _fit_backbone(
    backbone: Backbone, images: Tensor, labels: Tensor, settings: TuneSettings
) -> None:
    classes = int(labels.max()) + 1
    network = backbone.model
    with torch.no_grad():
        size = backbone.embed(as_float(images[:1])).shape[1]
    weights = nn.Parameter(0.02 * torch.randn(classes, size))
    groups = [
        {
            "params": [t for t in network.parameters() if t.requires_grad],
            "lr": settings.learning_rate,
        },
        {"params": [weights], "lr": 10 * settings.learning_rate},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=1e-2)
    steps = settings.epochs * (len(images) // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [g["lr"] for g in groups], total_steps=steps
    )
    generator = torch.Generator().manual_seed(settings.seed)
    bf16 = bf16_pays(images.device)
    mix = torch.distributions.Beta(settings.mixup, settings.mixup) if settings.mixup else None
    order: list[Tensor] = []
    losses: list[float] = []
    for step in tracked(range(steps), "fine-tuning", steps):
        if not order:
            shuffled = torch.randperm(len(images), generator=generator).split(settings.batch)
            order = [part for part in shuffled if len(part) == settings.batch]
        index = order.pop()
        batch = _windows(as_float(images[index]), settings.side, generator)
        target = F.one_hot(labels[index], classes).float()
        if mix:
            share, other = mix.sample((len(batch), 1)), torch.randperm(len(batch))
            batch, target = _mixed(batch, share, other), _mixed(target, share, other)
        batch = backbone.prepare(batch).contiguous(memory_format=torch.channels_last)
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=bf16):
            features = pooled(network, batch)
        logits = SCALE * F.normalize(features.float()) @ F.normalize(weights).T
        loss = F.cross_entropy(logits, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            log.info("step %d of %d: loss %.3f", step + 1, steps, float(np.mean(losses[-50:])))


def _windows(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Random windows of `side`, half of them mirrored."""
    spare = images.shape[-1] - side
    corners = torch.randint(spare + 1, (len(images), 2), generator=generator).tolist()
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    cut = [
        image[:, top : top + side, left : left + side]
        for image, (top, left) in zip(images, corners, strict=True)
    ]
    return torch.stack([c.flip(-1) if m else c for c, m in zip(cut, mirrored, strict=True)])


def _save_backbone(backbone: Backbone, out: Path) -> None:
    backbone.model.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    backbone.model.save_pretrained(out)  # pyright: ignore[reportCallIssue]
    wanted = {
        "size": {"height": backbone.side, "width": backbone.side},
        "image_mean": list(backbone.mean),
        "image_std": list(backbone.std),
    }
    write_text(out / "preprocessor_config.json", json.dumps(wanted))


__all__ = ["HeadSettings", "TuneSettings", "Tuned", "finetune", "train_head"]
