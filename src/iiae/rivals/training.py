"""Batches of pairs and items, drawn by torch's own generator, and one step of an optimiser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from iiae.console import tracked
from iiae.networks.layers import dense
from iiae.rivals.interface import Seen


class Batch(NamedTuple):
    """Pairs, and the class of each."""

    x: Float[Tensor, "batch size_x"]
    y: Float[Tensor, "batch size_y"]
    classes: Int[Tensor, " batch"]


class _Members(NamedTuple):
    """Rows ordered by class: where each class starts, and how many it has."""

    order: Tensor
    starts: Tensor
    counts: Tensor

    @staticmethod
    def of(classes: Tensor) -> _Members:
        counts = classes.bincount()
        return _Members(classes.argsort(stable=True), counts.cumsum(0) - counts, counts)

    def random(self, classes: Tensor) -> Tensor:
        """A random row of each class."""
        counts = self.counts[classes]
        turn = (torch.rand(len(classes), dtype=torch.float64) * counts).long()
        return self.order[self.starts[classes] + turn]


def class_pairs(seen: Seen, batch: int, steps: int, name: str) -> Iterator[Batch]:
    """`steps` batches of a random x and a random y of one class, each class equally often."""
    members = [_Members.of(classes) for classes in (seen.class_x, seen.class_y)]
    for _ in tracked(range(steps), name, steps):
        drawn = torch.randint(len(members[0].counts), (batch,))
        x, y = (side.random(drawn) for side in members)
        yield Batch(seen.x[x], seen.y[y], drawn)


def instance_pairs(seen: Seen, batch: int, steps: int, name: str) -> Iterator[Batch]:
    """`steps` batches of x and y of one instance; of one class if instances are not known."""
    if seen.matches is None:
        yield from class_pairs(seen, batch, steps, name)
        return
    for _ in tracked(range(steps), name, steps):
        x, y = seen.matches[torch.randint(len(seen.matches), (batch,))].T
        yield Batch(seen.x[x], seen.y[y], seen.class_x[x])


def items(
    features: Tensor, classes: Tensor, batch: int, steps: int, name: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """`steps` batches of random items of one domain with their classes."""
    for _ in tracked(range(steps), name, steps):
        rows = torch.randint(len(features), (batch,))
        yield features[rows], classes[rows]


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down the gradient of `loss`."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


class NoisyDecoder(nn.Module):
    """[condition, noise] -> width, activation -> size; the output is linear."""

    def __init__(self, condition: int, noise: int, width: int, size: int, activation: nn.Module):
        super().__init__()
        self.sizes = [condition, noise]
        self.first, self.activation = dense(condition + noise, width), activation
        self.last = dense(width, size)

    def forward(self, condition: Tensor, noise: Tensor) -> Tensor:
        return self.last(self.activation(self.first(torch.cat([condition, noise], 1))))

    def mean(
        self, condition: Float[Tensor, "batch condition"], noises: Float[Tensor, "draws noise"]
    ) -> Float[Tensor, "batch size"]:
        """Mean output over `noises` for each condition.

        The last layer is linear, so hidden units are averaged before it.
        """
        of_condition, of_noise = self.first.weight.split(self.sizes, 1)
        given = condition @ of_condition.T + self.first.bias
        total = torch.zeros_like(given)
        for moved in noises @ of_noise.T:
            total += self.activation(given + moved)
        return self.last(total / len(noises))
