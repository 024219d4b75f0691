"""Feature pairs made from known Gaussian factors, for tests and first tries."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
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

    tensor_names = ("x", "y")

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
        return _factors(self.shared.numpy(), *(own.numpy() for own in self.exclusive))


def load_synthetic(settings: DataSettings) -> Splits:
    """Independent sets of synthetic pairs: `limit` (2,000 by default) to train on."""
    sizes = (settings.limit or 2000, settings.validation or 200, settings.test or 500)
    return Splits(*(SyntheticPairs(n, 3 * settings.seed + i) for i, n in enumerate(sizes)))


class PlantedCounts(PairSet):
    r"""Counts with known factors, as of RNA (x, 120 columns) and protein (y, 40 columns).

    Negative binomial of dispersion 5 with log-means $\log 4 + A [s, u]$ and $\log 4 + B [s, v]$; s
    (2 axes) is shared, u and v (2 axes each) are exclusive to x and to y, all from N(0, I). Every
    column is of one factor alone, so that no two are alike in what they load on. The loadings A, B
    are the same for every `seed`; factors and counts are not.
    """

    COLUMNS, AXES, MEAN, DISPERSION = (120, 40), 2, 4.0, 5.0
    tensor_names = ("x", "y")

    def __init__(self, pairs: int, seed: int):
        loading = np.random.default_rng(0)
        rng = np.random.default_rng(seed + 1)
        self.shared, *self.exclusive = rng.normal(size=(3, pairs, self.AXES))
        sides: list[torch.Tensor] = []
        for columns, own in zip(self.COLUMNS, self.exclusive, strict=True):
            size = loading.uniform(0.4, 0.8, columns) * loading.choice([-1, 1], columns)
            weights = np.eye(2 * self.AXES)[np.arange(columns) % (2 * self.AXES)].T * size
            mean = self.MEAN * np.exp(np.hstack([self.shared, own]) @ weights)
            rate = rng.gamma(self.DISPERSION, mean / self.DISPERSION)
            sides.append(torch.from_numpy(rng.poisson(rate).astype(np.float32)))
        self.x, self.y = sides
        self.seed = seed
        self.shapes = ((self.COLUMNS[0],), (self.COLUMNS[1],))

    def content(self) -> Iterator[bytes]:
        yield str(self.seed).encode()

    def __len__(self) -> int:
        return len(self.x)

    def pairs(self, draw: Draw) -> Pair:
        return Pair(pick(self.x, draw.indices), pick(self.y, draw.indices))

    def factors(self) -> dict[str, Factor]:
        return _factors(self.shared, *self.exclusive)


def load_planted_counts(settings: DataSettings) -> Splits:
    """Independent sets of planted counts: `limit` (2,000 by default) to train on."""
    sizes = (settings.limit or 2000, settings.validation or 200, settings.test or 500)
    return Splits(*(PlantedCounts(n, 3 * settings.seed + i) for i, n in enumerate(sizes)))


def _factors(shared: np.ndarray, own_x: np.ndarray, own_y: np.ndarray) -> dict[str, Factor]:
    return {
        "shared": Factor(shared, "continuous", "shared"),
        "exclusive to x": Factor(own_x, "continuous", "x"),
        "exclusive to y": Factor(own_y, "continuous", "y"),
    }


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
    tensor_names = ("x", "y")

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
