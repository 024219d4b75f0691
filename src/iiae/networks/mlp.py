"""Dense networks for feature vectors: the published zero-shot retrieval family."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from iiae.distributions import DiagonalNormal, Head, Likelihood, diagonal_normal
from iiae.networks.interface import Family, Networks, Shapes, SharedEncoding
from iiae.networks.layers import dense, norm1d


def hidden(size: int, width: int, activation: nn.Module) -> nn.Sequential:
    """Dense, BatchNorm (gain from N(1, 0.02)), activation."""
    return nn.Sequential(dense(size, width), norm1d(width), activation)


def stack(size: int, widths: Sequence[int]) -> nn.Sequential:
    """Hidden layers of these widths, after a size; none is the identity."""
    sizes = [size, *widths]
    return nn.Sequential(
        *(hidden(a, b, nn.LeakyReLU(0.2)) for a, b in zip(sizes, widths, strict=False))
    )


class Encoder(nn.Module):
    """q(z_x given x): size -> hidden layers -> 2 exclusive."""

    def __init__(self, size: int, widths: Sequence[int], exclusive: int, dropout: float = 0.0):
        super().__init__()
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()
        self.net = nn.Sequential(*stack(size, widths), dense([size, *widths][-1], 2 * exclusive))

    def forward(self, x: Float[Tensor, "batch size"]) -> DiagonalNormal:
        return diagonal_normal(self.net(self.drop(x)))


class SharedEncoder(nn.Module):
    """r(z_s given x), as `Encoder`; hands its first hidden layer, or its input, to q_s."""

    def __init__(self, size: int, widths: Sequence[int], shared: int, dropout: float = 0.0):
        super().__init__()
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()
        self.given = [size, *widths[:1]][-1]
        self.first = stack(size, widths[:1])
        self.rest = nn.Sequential(
            *stack(self.given, widths[1:]), dense([size, *widths][-1], 2 * shared)
        )

    def forward(self, x: Float[Tensor, "batch size"]) -> SharedEncoding:
        features = self.first(self.drop(x))
        return SharedEncoding(diagonal_normal(self.rest(features)), features)


class Fusion(nn.Module):
    """q(z_s given x, y): what both encoders hand over -> hidden layers -> 2 shared."""

    def __init__(self, size: int, widths: Sequence[int], shared: int):
        super().__init__()
        self.net = nn.Sequential(*stack(size, widths), dense([size, *widths][-1], 2 * shared))

    def forward(self, hidden_x: Tensor, hidden_y: Tensor) -> DiagonalNormal:
        return diagonal_normal(self.net(torch.cat([hidden_x, hidden_y], 1)))


class Decoder(nn.Module):
    """p(x given z_s, z_x): both latents, and covariates -> hidden of the same size -> data."""

    def __init__(self, latent: int, size: int, head: Head, linear: bool = False):
        super().__init__()
        layers = [] if linear else [hidden(latent, latent, nn.ReLU())]
        self.net = nn.Sequential(*layers, dense(latent, size * head.outputs))
        self.head = head

    def forward(
        self,
        shared: Float[Tensor, "batch shared"],
        exclusive: Float[Tensor, "batch exclusive"],
        *covariates: Tensor,
    ) -> Likelihood:
        return self.head(self.net(torch.cat([shared, exclusive, *covariates], 1)))


def features(
    shapes: tuple[Sequence[int], Sequence[int]],
    exclusive: tuple[int, int],
    shared: int,
    heads: tuple[Head, Head],
    width: int = 256,
    dropout: float | tuple[float, float] = 0.0,
    depth: int = 2,
    components: tuple[int, int] = (0, 0),
    covariates: int = 0,
) -> Networks:
    """Published feature networks: 2,470,784 parameters at 512, 64 and 64.

    The published count of 2,477,284 includes a class head, `class_head(64, 100)`.

    Args:
        shapes: (size,) of x and of y.
        exclusive: Sizes of z_x and of z_y.
        shared: Size of z_s.
        heads: Likelihood of each domain.
        width: Of the second hidden layer; the first has twice as many units.
        dropout: Of the encoders' inputs, in training, one for both or (of x, of y); none as
            published.
        depth: Number of hidden layers of the encoders: 2 as published, or 1; 0 makes all networks
            linear, as in probabilistic canonical correlation analysis.
        components: Number of those of x and of y that encoders take instead of columns; 0: columns.
        covariates: Number of their columns, which both decoders take beside latents.
    """
    (size_x,), (size_y,) = shapes
    drop_x, drop_y = dropout if isinstance(dropout, tuple) else (dropout, dropout)
    widths = [2 * width, width][:depth]
    seen_x, seen_y = components[0] or size_x, components[1] or size_y
    given_x = SharedEncoder(seen_x, widths, shared, drop_x)
    given_y = SharedEncoder(seen_y, widths, shared, drop_y)
    latents = shared + exclusive[0] + covariates, shared + exclusive[1] + covariates
    return Networks(
        exclusive_x=Encoder(seen_x, widths, exclusive[0], drop_x),
        exclusive_y=Encoder(seen_y, widths, exclusive[1], drop_y),
        shared_given_x=given_x,
        shared_given_y=given_y,
        shared=Fusion(given_x.given + given_y.given, widths[:1], shared),
        decoder_x=Decoder(latents[0], size_x, heads[0], linear=not depth),
        decoder_y=Decoder(latents[1], size_y, heads[1], linear=not depth),
    )


def class_head(shared: int, classes: int) -> nn.Linear:
    """Logits of the seen classes from z_s; optional, and no part of the objective."""
    return dense(shared, classes)


def _refusal(shapes: Shapes) -> str:
    if all(len(shape) == 1 for shape in shapes):
        return ""
    return "takes vectors; use 'small', 'image-map' or 'image-flat' for images"


FEATURES = Family(
    features,
    lambda _, shared, **_settings: (shared,),
    _refusal,
    frozenset({"width", "dropout", "depth", "components"}),
    covariates=True,
)
