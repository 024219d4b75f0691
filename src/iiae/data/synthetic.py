"""Feature pairs made from known Gaussian factors, for tests and first tries."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from iiae.data.base import Factor, PairSet, Splits, pick
from iiae.settings import DataSettings
from iiae.types import Draw, Pair

SIZE, FACTORS, NOISE = 32, 4, 0.1


class SyntheticPairs(PairSet):
    """x = tanh(A [s, u]) + noise and y = tanh(B [s, v]) + noise, with s, u, v from N(0, I).

    s (4 axes) is shared, u and v (4 axes each) are exclusive to x and to y. The mixing
    A, B is the same for every `seed`; the factors and the noise are not.
    """

    held = ("x", "y")

    def __init__(self, pairs: int, seed: int):
        mixing = torch.Generator().manual_seed(0)
        generator = torch.Generator().manual_seed(seed + 1)
        sides: list[torch.Tensor] = []
        self.shared = torch.randn(pairs, FACTORS, generator=generator)
        self.exclusive: list[torch.Tensor] = []
        for _ in range(2):
            weight = torch.randn(2 * FACTORS, SIZE, generator=mixing) / FACTORS**0.5
            own = torch.randn(pairs, FACTORS, generator=generator)
            clean = torch.cat([self.shared, own], 1).matmul(weight).tanh()
            sides.append(clean + NOISE * torch.randn(clean.shape, generator=generator))
            self.exclusive.append(own)
        self.x, self.y = sides
        self.seed = seed
        self.shapes = ((SIZE,), (SIZE,))

    def content(self) -> Iterator[bytes]:
        yield str(self.seed).encode()  # values differ in their last bits between processors

    def __len__(self) -> int:
        return len(self.x)

    def pairs(self, draw: Draw) -> Pair:
        return Pair(pick(self.x, draw.indices), pick(self.y, draw.indices))

    def factors(self) -> dict[str, Factor]:
        return {
            "shared": Factor(self.shared.numpy(), "continuous", "shared"),
            "exclusive to x": Factor(self.exclusive[0].numpy(), "continuous", "x"),
            "exclusive to y": Factor(self.exclusive[1].numpy(), "continuous", "y"),
        }


def load_synthetic(settings: DataSettings) -> Splits:
    """Independent sets of synthetic pairs: `limit` (2,000 by default) to train on."""
    sizes = (settings.limit or 2000, settings.validation or 200, settings.test or 500)
    return Splits(*(SyntheticPairs(n, 3 * settings.seed + i) for i, n in enumerate(sizes)))


class LinearGaussianPairs(PairSet):
    r"""Pairs of known mutual information: x = A [a, u], y = B [b, v], all factors normal.

    Axis i of a and of b correlate with $\rho$, $I(X;Y) = -\frac{4}{2} \log(1 - \rho^2)$, the same
    as if a and b were one shared factor with noise of their own; u and v (4 axes each) are
    exclusive.
    The columns of A and B (16 x 8, the same for every `seed`) are orthonormal, so the mixing loses
    nothing.

    Args:
        pairs: How many.
        information: I(X;Y) in nats.
        seed: Of the factors.
    """

    SIZE = 16
    held = ("x", "y")

    def __init__(self, pairs: int, information: float, seed: int):
        mixing = torch.Generator().manual_seed(0)
        generator = torch.Generator().manual_seed(seed + 1)
        self.correlation = math.sqrt(-math.expm1(-2 * information / FACTORS))
        a, noise = (torch.randn(pairs, FACTORS, generator=generator) for _ in range(2))
        b = self.correlation * a + math.sqrt(1 - self.correlation**2) * noise
        sides: list[torch.Tensor] = []
        for common in (a, b):
            weight = torch.linalg.qr(torch.randn(self.SIZE, 2 * FACTORS, generator=mixing)).Q
            own = torch.randn(pairs, FACTORS, generator=generator)
            sides.append(torch.cat([common, own], 1) @ weight.T)
        self.x, self.y = sides
        self.shapes = ((self.SIZE,), (self.SIZE,))

    def __len__(self) -> int:
        return len(self.x)

    def pairs(self, draw: Draw) -> Pair:
        return Pair(pick(self.x, draw.indices), pick(self.y, draw.indices))

    def factors(self) -> dict[str, Factor]:
        return {}

    @property
    def common_information(self) -> float:
        r"""Wyner's, in nats: the least I(X,Y;Z) of a Z that makes x and y independent.

        $\frac{4}{2} \log \frac{1 + \rho}{1 - \rho}$
        """
        return FACTORS * math.atanh(self.correlation)
