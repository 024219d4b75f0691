"""A data set, a family of networks, a likelihood and a task, as a user writes them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from iiae.data import DataSet, PairSet, Splits
from iiae.distributions import Head, Likelihood, LikelihoodKind, diagonal_normal
from iiae.networks.interface import Family, Networks, SharedEncoding
from iiae.types import Pair


class Waves(PairSet):
    """Sine and cosine of one phase; each with an amplitude of its own."""

    shapes = ((16,), (12,))
    tensor_names = ("x", "y")

    def __init__(self, pairs: int, seed: int):
        generator = torch.Generator().manual_seed(seed)
        phase, a, b = torch.rand(3, pairs, 1, generator=generator)
        self.x = (1 + a) * (torch.linspace(0, 6, 16) + 6 * phase).sin()
        self.y = (1 + b) * (torch.linspace(0, 6, 12) + 6 * phase).cos()

    def __len__(self):
        return len(self.x)

    def pairs(self, draw):
        return Pair(self.x[draw.indices], self.y[draw.indices])

    def factors(self):
        return {}


def load_waves(settings):
    return Splits(*(Waves(n, settings.seed + i) for i, n in enumerate((settings.limit, 40, 50))))


WAVES = DataSet(load_waves, frozenset({"limit"}))


class Linear(nn.Module):
    """A posterior whose parameters are linear in the data."""

    def __init__(self, size: int, latent: int, shared: bool):
        super().__init__()
        self.out, self.shared = nn.Linear(size, 2 * latent), shared

    def forward(self, x):
        posterior = diagonal_normal(self.out(x))
        return SharedEncoding(posterior, x) if self.shared else posterior


class Joint(Linear):
    def forward(self, x, y):
        return super().forward(torch.cat([x, y], 1))


class Decoder(nn.Module):
    def __init__(self, latent: int, size: int, head: Head):
        super().__init__()
        self.out, self.head = nn.Linear(latent, size * head.outputs), head

    def forward(self, shared, exclusive):
        return self.head(self.out(torch.cat([shared, exclusive], 1)))


def linear(shapes, exclusive, shared, heads):
    (a,), (b,) = shapes
    return Networks(
        exclusive_x=Linear(a, exclusive[0], False),
        exclusive_y=Linear(b, exclusive[1], False),
        shared_given_x=Linear(a, shared, True),
        shared_given_y=Linear(b, shared, True),
        shared=Joint(a + b, shared, False),
        decoder_x=Decoder(shared + exclusive[0], a, heads[0]),
        decoder_y=Decoder(shared + exclusive[1], b, heads[1]),
    )


def refusal(shapes):
    return "" if all(len(shape) == 1 for shape in shapes) else "takes vectors"


LINEAR = Family(linear, lambda _, shared: (shared,), refusal)


class Student(Likelihood):
    """Student's t with scale and degrees of freedom of each element."""

    def __init__(self, loc: Tensor, scale: Tensor, freedom: Tensor):
        self.of = torch.distributions.StudentT(freedom, loc, scale)

    @property
    def mean(self):
        return self.of.loc

    def log_prob(self, value):
        return self.of.log_prob(value).flatten(1).sum(1)


class StudentHead(Head, nn.Module):
    """Two outputs an element, location and log-scale; one number of degrees that it learns."""

    outputs = 2

    def __init__(self):
        nn.Module.__init__(self)
        self.log_freedom = nn.Parameter(torch.tensor(math.log(5.0)))

    def __call__(self, raw):
        loc, log_scale = raw.chunk(2, 1)
        return Student(loc, log_scale.exp(), self.log_freedom.exp())


STUDENT = LikelihoodKind(StudentHead)


class Spread(NamedTuple):
    """Standard deviation of the first dimension of z_s given x."""

    spread: float


def spread(run, pairs):
    [batch] = pairs.batches(len(pairs))
    return Spread(run.model.encode_x(batch.x).shared.mean[:, 0].std().item())
