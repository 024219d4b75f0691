"""How often bounds and estimate hold a known interaction information: exact encoders, many seeds.

    python benchmarks/known_coverage.py

x and y are normal, each axis of x correlates with that of y; the encoders are the true conditionals
of their common factor, so that nothing is trained and I(X;Y;Z_s) = I(X;Y) is known.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from iiae.data.arrays import ArrayPairs
from iiae.distributions import DiagonalNormal
from iiae.evidence.information import InformationTerms, information_terms
from iiae.model.iiae import IIAE
from iiae.networks.interface import Networks, SharedEncoding

TRAIN = 1300
WORLDS = ((2, 0.5, 400), (8, 0.8, 400), (8, 0.8, 2000), (32, 0.8, 400))  # axes, correlation, pairs


class Exact(nn.Module):
    """Posterior of s in x = sqrt(rho) s + noise, y likewise, all of variance 1."""

    def __init__(self, rho: float):
        super().__init__()
        self.rho = rho

    def forward(self, x: Tensor, y: Tensor | None = None) -> SharedEncoding | DiagonalNormal:
        if y is None:
            return SharedEncoding(_normal(math.sqrt(self.rho) * x, 1 - self.rho), x)
        loc = math.sqrt(self.rho) / (1 + self.rho) * (x + y)
        return _normal(loc, (1 - self.rho) / (1 + self.rho))


class Prior(nn.Module):
    def forward(self, x: Tensor) -> DiagonalNormal:
        return _normal(torch.zeros_like(x), 1.0)


def _normal(loc: Tensor, variance: float) -> DiagonalNormal:
    return DiagonalNormal(loc, torch.full_like(loc, math.log(variance)))


def measure(axes: int, rho: float, pairs: int, seed: int) -> InformationTerms:
    """Of `pairs` pairs, the density of z_s fitted to 1,300 others."""
    generator = torch.Generator().manual_seed(seed)
    x, noise = torch.randn(2, pairs + TRAIN, axes, generator=generator)
    y = rho * x + math.sqrt(1 - rho**2) * noise
    same = (nn.Identity(), nn.Identity())
    networks = Networks(Prior(), Prior(), Exact(rho), Exact(rho), Exact(rho), *same)
    model = IIAE(networks, axes, (axes, axes))
    held, train = (
        ArrayPairs(x[part].numpy(), y[part].numpy())
        for part in (slice(pairs), slice(pairs, pairs + TRAIN))
    )
    return information_terms(model, held, seed=seed, train=train)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args(arguments)
    print(
        "| axes | pairs | truth | at least | at most | truth between | estimate | its interval "
        "| truth inside |\n|---|---|---|---|---|---|---|---|---|"
    )
    for axes, rho, pairs in WORLDS:
        truth = -axes / 2 * math.log(1 - rho**2)
        found = [measure(axes, rho, pairs, seed) for seed in range(given.seeds)]
        sides = [(one.interaction_lower, one.interaction_upper) for one in found]
        held = sum(low.low <= truth <= high.high for low, high in sides)
        each = [one.interaction_estimate for one in found]
        inside = sum(one.low <= truth <= one.high for one in each)
        means = torch.tensor(
            [(*(end.value for end in side), *one) for side, one in zip(sides, each, strict=True)]
        ).mean(0)
        low, high, value, *ends = means.tolist()
        print(
            f"| {axes} | {pairs} | {truth:.2f} | {low:.2f} | {high:.2f} | {held} of {len(found)} "
            f"| {value:.2f} | [{ends[0]:.2f}, {ends[1]:.2f}] | {inside} of {len(found)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
