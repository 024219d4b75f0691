"""Swap consistency: z_s of one pair decoded with the exclusive latent of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from iiae.data.base import Factor, PairSet, side_of
from iiae.model.iiae import IIAE
from iiae.results import SwapResult
from iiae.types import Domain, Draw


class FactorClassifier(nn.Module):
    """Reads factors off samples of one domain: a small convolutional or dense network.

    Args:
        shape: Of one sample.
        outputs: How many numbers are read.
    """

    def __init__(self, shape: tuple[int, ...], outputs: int, width: int = 24):
        super().__init__()
        if len(shape) == 1:
            body: list[nn.Module] = [nn.Linear(shape[0], 256), nn.ReLU()]
            flat = 256
        else:
            body, (channels, *sides) = [], shape
            while max(sides) > 4 and min(sides) > 1:
                body += [nn.Conv2d(channels, width, 4, 2, 1), nn.BatchNorm2d(width), nn.ReLU()]
                channels, width, sides = width, min(2 * width, 96), [side // 2 for side in sides]
            flat = channels * sides[0] * sides[1]
        self.net = nn.Sequential(*body, nn.Flatten(), nn.Linear(flat, outputs))

    def forward(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch outputs"]:
        return self.net(x)


class _Target(NamedTuple):
    """Columns of a reader's output that stand for one factor."""

    factor: Factor
    names: np.ndarray
    start: int
    stop: int


def swap_consistency(
    model: IIAE,
    train: PairSet,
    test: PairSet,
    seed: int = 0,
    pairs: int = 2000,
    readers: int = 10_000,
    epochs: int = 5,
) -> dict[str, list[SwapResult]]:
    """Where each known factor of a swapped sample comes from, by factor.

    For each domain a reader is trained on real samples of `train` alone; then each test pair's z_s
    (mean of r) is decoded with the exclusive mean of another. A shared factor should follow z_s,
    an exclusive one the other pair.

    Args:
        model: Left in evaluation mode.
        train: Pairs with factors, for the readers.
        test: Held-out pairs with factors.
        seed: Random seed of readers, test pairs and partners.
        pairs: Number of test pairs to use, at most.
        readers: Training pairs used, at most.
        epochs: Of the readers.
    """
    model.eval()
    by_factor: dict[str, list[SwapResult]] = {name: [] for name in test.factors()}
    for domain in ("x", "y"):
        factors = {
            name: factor
            for name, factor in train.factors().items()
            if factor.block in ("shared", domain)
        }
        if not factors:
            continue
        torch.manual_seed(seed)
        targets = _targets(factors)
        reader = _train_reader(train, domain, targets, min(readers, len(train)), epochs)
        for name, origin in _origins(model, reader, test, domain, targets, pairs, seed).items():
            by_factor[name].append(origin)
    return {name: origins for name, origins in by_factor.items() if origins}


def _targets(factors: Mapping[str, Factor]) -> dict[str, _Target]:
    targets: dict[str, _Target] = {}
    start = 0
    for name, factor in factors.items():
        names = np.unique(factor.values) if factor.kind == "categorical" else np.array([])
        width = len(names) or factor.values.reshape(len(factor.values), -1).shape[1]
        targets[name] = _Target(factor, names, start, start + width)
        start += width
    return targets


def _train_reader(
    train: PairSet, domain: Domain, targets: dict[str, _Target], count: int, epochs: int
) -> FactorClassifier:
    shape = tuple(train.shapes[0 if domain == "x" else 1])
    reader = FactorClassifier(shape, max(t.stop for t in targets.values()))
    steps = epochs * -(-count // 128)
    optimiser = torch.optim.Adam(reader.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for _ in range(epochs):
        for index in torch.randperm(len(train))[:count].split(128):
            sample = getattr(train.pairs(Draw(index)), domain)
            loss = _reader_loss(reader(sample), targets, index.numpy())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return reader.eval()


def _reader_loss(read: Tensor, targets: dict[str, _Target], index: np.ndarray) -> Tensor:
    losses: list[Tensor] = []
    for target in targets.values():
        part, values = read[:, target.start : target.stop], target.factor.values[index]
        if target.factor.kind == "categorical":
            wanted = torch.from_numpy(np.searchsorted(target.names, values))
            losses.append(F.cross_entropy(part, wanted))
        else:
            losses.append(F.mse_loss(part, _columns(values)))
    return torch.stack(losses).sum()


def _columns(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.reshape(len(values), -1).astype(np.float32))


@torch.inference_mode()
def _origins(
    model: IIAE,
    reader: FactorClassifier,
    test: PairSet,
    domain: Domain,
    targets: dict[str, _Target],
    pairs: int,
    seed: int,
) -> dict[str, SwapResult]:
    index = test.sample(pairs, seed)
    # everyone's latent comes from someone else
    other = index.roll(int(np.random.default_rng(seed).integers(1, len(index))))
    encode, decode = model.encoder(domain), model.decoder(domain)
    read: list[Tensor] = []
    real: list[Tensor] = []
    for part, givers in zip(index.split(256), other.split(256), strict=True):
        sample, known = side_of(test.pairs(Draw(part)), domain)
        giver, of_giver = side_of(test.pairs(Draw(givers)), domain)
        own = encode(sample, known).shared.mean
        made = decode(own, encode(giver, of_giver).exclusive.mean, known).mean
        read.append(reader(made))
        real.append(reader(sample))
    swapped, untouched = torch.cat(read), torch.cat(real)
    known = test.factors()
    origins: dict[str, SwapResult] = {}
    for name, target in targets.items():
        values = known[name].values
        cut = slice(target.start, target.stop)
        origins[name] = SwapResult(
            domain,
            "accuracy" if target.factor.kind == "categorical" else "R2",
            "shared" if target.factor.block == "shared" else "exclusive",
            _agreement(swapped[:, cut], values[index.numpy()], target),
            _agreement(swapped[:, cut], values[other.numpy()], target),
            _agreement(untouched[:, cut], values[index.numpy()], target),
        )
    return origins


def _agreement(read: Tensor, values: np.ndarray, target: _Target) -> float:
    if target.factor.kind == "categorical":
        return float(np.mean(target.names[read.argmax(1).numpy()] == values))
    wanted = _columns(values)
    error = (read - wanted).square().sum()
    return float(1 - error / (wanted - wanted.mean(0)).square().sum())
