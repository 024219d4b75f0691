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


class Encoder(nn.Module):
    """q(z_x given x): size -> 2 width -> width -> 2 exclusive; covariates beside x."""

    def __init__(
        self, size: int, width: int, exclusive: int, dropout: float = 0.0, covariates: int = 0
    ):
        super().__init__()
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()
        self.net = nn.Sequential(
            hidden(size + covariates, 2 * width, nn.LeakyReLU(0.2)),
            hidden(2 * width, width, nn.LeakyReLU(0.2)),
            dense(width, 2 * exclusive),
        )

    def forward(self, x: Float[Tensor, "batch size"], *covariates: Tensor) -> DiagonalNormal:
        return diagonal_normal(self.net(_beside(self.drop(x), *covariates)))


class SharedEncoder(nn.Module):
    """r(z_s given x), as `Encoder`; hands its first hidden layer to q_s."""

    def __init__(
        self, size: int, width: int, shared: int, dropout: float = 0.0, covariates: int = 0
    ):
        super().__init__()
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()
        self.first = hidden(size + covariates, 2 * width, nn.LeakyReLU(0.2))
        self.rest = nn.Sequential(
            hidden(2 * width, width, nn.LeakyReLU(0.2)), dense(width, 2 * shared)
        )

    def forward(self, x: Float[Tensor, "batch size"], *covariates: Tensor) -> SharedEncoding:
        features = self.first(_beside(self.drop(x), *covariates))
        return SharedEncoding(diagonal_normal(self.rest(features)), features)


class Fusion(nn.Module):
    """q(z_s given x, y): both first hidden layers -> 2 width -> 2 shared."""

    def __init__(self, width: int, shared: int):
        super().__init__()
        self.net = nn.Sequential(
            hidden(4 * width, 2 * width, nn.LeakyReLU(0.2)), dense(2 * width, 2 * shared)
        )

    def forward(self, hidden_x: Tensor, hidden_y: Tensor) -> DiagonalNormal:
        return diagonal_normal(self.net(torch.cat([hidden_x, hidden_y], 1)))


class Decoder(nn.Module):
    """p(x given z_s, z_x): both latents, and covariates -> hidden of the same size -> data."""

    def __init__(self, latent: int, size: int, head: Head):
        super().__init__()
        self.net = nn.Sequential(
            hidden(latent, latent, nn.ReLU()), dense(latent, size * head.outputs)
        )
        self.head = head

    def forward(
        self,
        shared: Float[Tensor, "batch shared"],
        exclusive: Float[Tensor, "batch exclusive"],
        *covariates: Tensor,
    ) -> Likelihood:
        return self.head(self.net(torch.cat([shared, exclusive, *covariates], 1)))


def _beside(x: Tensor, *covariates: Tensor) -> Tensor:
    return torch.cat([x, *covariates], 1) if covariates else x


def features(
    shapes: tuple[Sequence[int], Sequence[int]],
    exclusive: tuple[int, int],
    shared: int,
    heads: tuple[Head, Head],
    width: int = 256,
    dropout: float | tuple[float, float] = 0.0,
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
        covariates: Number of their columns, which every encoder and decoder takes.
    """
    (size_x,), (size_y,) = shapes
    drop_x, drop_y = dropout if isinstance(dropout, tuple) else (dropout, dropout)
    return Networks(
        exclusive_x=Encoder(size_x, width, exclusive[0], drop_x, covariates),
        exclusive_y=Encoder(size_y, width, exclusive[1], drop_y, covariates),
        shared_given_x=SharedEncoder(size_x, width, shared, drop_x, covariates),
        shared_given_y=SharedEncoder(size_y, width, shared, drop_y, covariates),
        shared=Fusion(width, shared),
        decoder_x=Decoder(shared + exclusive[0] + covariates, size_x, heads[0]),
        decoder_y=Decoder(shared + exclusive[1] + covariates, size_y, heads[1]),
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
    lambda _, shared: (shared,),
    _refusal,
    frozenset({"width", "dropout"}),
    covariates=True,
)
