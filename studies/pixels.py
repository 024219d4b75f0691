"""What pixels alone find: Recall@1 of raw pixels and of canonical correlations between them.

python studies/pixels.py side-by-side facades --sizes 16 32 64

Canonical correlations are those of all principal components, with a ridge in units of the mean
variance; ridge, number and size of images have the best mean reciprocal rank of validation pairs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from iiae.data import PairSet
from iiae.data.registry import load
from iiae.metrics.retrieval import partner_ranks
from iiae.rivals.baselines import canonical_axes
from iiae.settings import data_settings

RIDGES = (1e-3, 1e-2, 0.1, 1.0, 10.0)
NUMBERS = (16, 64, 256)

Sides = tuple[Tensor, Tensor]


class Tried(NamedTuple):
    """One setting: validation quality, its name, and Recall@1 of test pairs both ways."""

    quality: float
    name: str
    recall: tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="data.name")
    parser.add_argument("root", help="data.root")
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 32, 64])
    given = parser.parse_args()
    tried: list[Tried] = []
    for size in given.sizes:
        parts = load(data_settings(name=given.data, root=given.root, size=size))
        train, validation, test = map(_pixels, parts)
        centre = train[0].mean(0), train[1].mean(0)
        moved = [_less(part, centre) for part in (train, validation, test)]
        print(f"{size} pixels, raw: {_percent(_recall(*test))}")
        print(f"{size} pixels, centred cosine: {_percent(_recall(*map(normalize, moved[2])))}")
        tried += correlations(moved[0], moved[1], moved[2], size)
    best = max(tried)
    print(f"canonical correlations, {best.name}: {_percent(best.recall)}")


def correlations(train: Sides, validation: Sides, test: Sides, size: int) -> Iterator[Tried]:
    """Canonical correlations of centred pixels, by ridge and number of variates."""
    parts = [torch.linalg.svd(side, full_matrices=False) for side in train]
    # principal components, in units in which their mean variance is 1
    scales = [
        s.square().mean().sqrt() / len(side) ** 0.5
        for (_, s, _), side in zip(parts, train, strict=True)
    ]
    x, y = (u * s / scale for (u, s, _), scale in zip(parts, scales, strict=True))
    cov_x, cov_y, cross = (a.T @ b / len(a) for a, b in ((x, x), (y, y), (x, y)))
    for ridge in RIDGES:
        axes = canonical_axes(cov_x, cov_y, cross, max(NUMBERS), ridge)
        kept = ((cross.T @ axes[0]) * axes[1]).sum(0).clamp(min=0).sqrt()
        maps = [
            v.T / scale @ one * kept
            for (*_, v), scale, one in zip(parts, scales, axes, strict=True)
        ]
        for number in NUMBERS:
            to = [one[:, :number] for one in maps]
            held, found = (
                [normalize(side @ one) for side, one in zip(part, to, strict=True)]
                for part in (validation, test)
            )
            name = f"{size} pixels, ridge {ridge:g}, {number} variates"
            yield Tried(_quality(*held), name, _recall(*found))


def _pixels(pairs: PairSet) -> Sides:
    batches = list(pairs.batches(256))
    x, y = (torch.cat([getattr(b, side) for b in batches]).flatten(1).double() for side in "xy")
    return x, y


def _less(part: Sides, centre: Sides) -> Sides:
    return part[0] - centre[0], part[1] - centre[1]


def _quality(x: Tensor, y: Tensor) -> float:
    return sum((1 / (1 + partner_ranks(*way).double())).mean().item() for way in ((x, y), (y, x)))


def _recall(x: Tensor, y: Tensor) -> tuple[float, float]:
    there, back = ((partner_ranks(*way) == 0).double().mean().item() for way in ((x, y), (y, x)))
    return there, back


def _percent(recall: tuple[float, float]) -> str:
    return " / ".join(f"{100 * value:.1f}" for value in recall)


if __name__ == "__main__":
    main()
