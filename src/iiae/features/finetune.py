"""Backbones fine-tuned on the seen classes: one for both domains, or one per domain."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iiae.console import tracked
from iiae.data.classes.pairs import ClassPairs, as_float
from iiae.data.classes.zero_shot import domains, load_classes
from iiae.errors import MissingExtra, SettingsError
from iiae.features.backbone import TAUGHT, Backbone, pooled
from iiae.features.teaching import SCALE, Task, check_numbers, mixed, tasks
from iiae.files.atomic import make_folder, write_text
from iiae.hardware import bf16_pays
from iiae.settings import DataSettings

SHARES = (1.0, 0.8, 0.6, 0.4)  # of the way from pretrained to tuned weights, to choose from
SPARE, LARGER = 1.15, 1.5  # sides of images kept for crops, and of the largest tried, of a crop's

log = logging.getLogger("iiae")


class TuneSettings(NamedTuple):
    """How a backbone is fine-tuned.

    `epochs_y` are those of the second domain where one backbone a domain is tuned; 0 for as many
    as of the first. `frozen` is the share of its tensors, from the first on, that stay as they are:
    a half saves half the time. `mixup` is the parameter of the Beta distribution by which two
    images and their classes are mixed; 0 for none.
    """

    epochs: int = 4
    batch: int = 64
    learning_rate: float = 3e-4
    side: int = 128
    frozen: float = 0.0
    mixup: float = 0.0
    seed: int = 0
    epochs_y: int = 0


class Tuned(NamedTuple):
    """What `finetune` wrote into `folder`, chosen on held-out seen classes.

    `quality` is their mAP@all: x searching y, or, taught apart, items searching others of their
    domain; `share` how far the weights went from the pretrained to the tuned ones; `side` that of
    the images that the written model takes, in pixels.
    """

    folder: Path
    quality: float
    share: float
    side: int


def finetune(
    data: DataSettings,
    backbone: Backbone,
    out: Path,
    settings: TuneSettings = TuneSettings(),
    apart: bool = False,
) -> list[Tuned]:
    """Fine-tunes a whole backbone on the training classes; writes its folder.

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
        apart: One backbone per domain, trained and chosen on that domain alone, in folders of `out`
            that are named as the domains are.

    Returns:
        What was written: one for both domains, or one per domain.

    Raises:
        DataError: As `load_classes`.
        SettingsError: A number of `settings` is out of range, or `epochs_y` is given for one
            backbone of both domains.
        MissingExtra: `transformers` is not installed, whose models can be saved.
        RunError: `out` cannot be written to.
    """
    check_numbers(settings._asdict())
    if settings.epochs_y and not apart:
        raise SettingsError("epochs_y is for one backbone a domain (--apart)")
    if not hasattr(backbone.model, "save_pretrained"):
        raise MissingExtra("features", "saving a backbone")
    stored = round(SPARE * settings.side)
    parts = load_classes(data.model_copy(update={"size": stored}))
    make_folder(out)
    train, validation = parts.train, parts.validation
    assert isinstance(train, ClassPairs) and isinstance(validation, ClassPairs)
    named = {"both": "", **dict(zip("xy", domains(data), strict=True))}
    pretrained = _copied(backbone.model)
    of_y = settings._replace(epochs=settings.epochs_y or settings.epochs)
    torch.manual_seed(settings.seed)
    tuned: list[Tuned] = []
    for task in tasks(train, validation, apart):
        backbone.model.load_state_dict(pretrained)
        folder = out / named[task.domain]
        how = of_y if task.domain == "y" else settings
        best = _tune(backbone._replace(side=settings.side), task, how, stored)
        _save_backbone(backbone._replace(side=best.side), folder, named[task.domain] or "both")
        tuned.append(best._replace(folder=folder))
    return tuned


def _tune(backbone: Backbone, task: Task, settings: TuneSettings, stored: int) -> Tuned:
    """Leaves the best weights in the backbone's model; `folder` is for the caller to fill in."""
    network = backbone.model.train().requires_grad_(True)
    network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    _freeze_first(network, settings.frozen)
    _freeze_moments(network)
    pretrained = _copied(network)
    _fit_backbone(backbone, task, settings)
    network.eval()
    tuned = _copied(network)

    def quality(share: float, side: int) -> float:
        _blend(network, pretrained, tuned, share)
        reached = task.quality(backbone._replace(side=side).embed)
        log.info("%.0f%% of the change, %d pixels: mAP@all %.4f", 100 * share, side, reached)
        return reached

    tried = {(share, stored): quality(share, stored) for share in SHARES}
    share, _ = max(tried, key=tried.__getitem__)
    for side in (settings.side, round(LARGER * settings.side)):
        tried[share, side] = quality(share, side)
    share, side = max(tried, key=tried.__getitem__)
    _blend(network, pretrained, tuned, share)
    return Tuned(Path(), tried[share, side], share, side)


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


def _fit_backbone(backbone: Backbone, task: Task, settings: TuneSettings) -> None:
    classes, network = int(task.labels.max()) + 1, backbone.model
    with torch.no_grad():
        size = backbone.embed(as_float(task.values[:1])).shape[1]
    weights = nn.Parameter(0.02 * torch.randn(classes, size))
    steps = settings.epochs * (len(task.values) // settings.batch)
    optimiser, schedule = _optimiser(network, weights, settings.learning_rate, steps)
    generator = torch.Generator().manual_seed(settings.seed)
    bf16 = bf16_pays(task.values.device, True, settings.batch)
    mix = torch.distributions.Beta(settings.mixup, settings.mixup) if settings.mixup else None
    order = _order(len(task.values), settings.batch, generator)
    losses: list[float] = []
    for step in tracked(range(steps), "fine-tuning", steps):
        index = next(order)
        batch = _windows(as_float(task.values[index]), settings.side, generator)
        target = F.one_hot(task.labels[index], classes).float()
        if mix:
            share, other = mix.sample((len(batch), 1)), torch.randperm(len(batch))
            batch, target = mixed(batch, share, other), mixed(target, share, other)
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


def _optimiser(
    network: nn.Module, weights: nn.Parameter, rate: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.OneCycleLR]:
    """AdamW whose rate is ten times as high for the class weights, and its schedule."""
    groups = [
        {"params": [t for t in network.parameters() if t.requires_grad], "lr": rate},
        {"params": [weights], "lr": 10 * rate},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=1e-2)
    rates = [group["lr"] for group in groups]
    return optimiser, torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps)


def _order(items: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Whole batches of shuffled rows, epoch after epoch."""
    while True:
        shuffled = torch.randperm(items, generator=generator).split(batch)
        yield from reversed([part for part in shuffled if len(part) == batch])


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


def _save_backbone(backbone: Backbone, out: Path, taught: str) -> None:
    backbone.model.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    backbone.model.save_pretrained(out)  # pyright: ignore[reportCallIssue]
    wanted = {
        "size": {"height": backbone.side, "width": backbone.side},
        "image_mean": list(backbone.mean),
        "image_std": list(backbone.std),
        TAUGHT: taught,
    }
    write_text(out / "preprocessor_config.json", json.dumps(wanted))


__all__ = ["TuneSettings", "Tuned", "finetune"]
