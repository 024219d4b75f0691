"""Convolutional networks: the two published image families, and building blocks of families."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from iiae.distributions import DiagonalNormal, Head, Likelihood, diagonal_normal
from iiae.networks.interface import Family, Networks, Shapes, SharedEncoding
from iiae.networks.layers import conv, deconv, dense, norm1d, norm2d


def trunk(channels: int, widths: Sequence[int]) -> nn.Sequential:
    """A convolution per width, BatchNorm and LeakyReLU before each but the first, and last."""
    layers: list[nn.Module] = [conv(channels, widths[0])]
    for before, after in pairwise(widths):
        layers += [norm2d(before), nn.LeakyReLU(0.2), conv(before, after)]
    return nn.Sequential(*layers, norm2d(widths[-1]), nn.LeakyReLU(0.2))


class MapEncoder(nn.Module):
    """r(z_s given x) with a map-shaped z_s; hands the last convolution's input to q_s."""

    def __init__(self, channels: int, widths: Sequence[int], shared: int):
        super().__init__()
        self.trunk = trunk(channels, widths)
        self.out = conv(widths[-1], 2 * shared)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> SharedEncoding:
        features = self.trunk(x)
        return SharedEncoding(diagonal_normal(self.out(features)), features)


class MapFusion(nn.Module):
    """q(z_s given x, y) from both domains' feature maps."""

    def __init__(self, width: int, shared: int):
        super().__init__()
        self.out = conv(2 * width, 2 * shared)

    def forward(self, hidden_x: Tensor, hidden_y: Tensor) -> DiagonalNormal:
        return diagonal_normal(self.out(torch.cat([hidden_x, hidden_y], 1)))


class FlatEncoder(nn.Module):
    """r(z_s given x) with a flat z_s; hands the flattened last map to q_s."""

    def __init__(self, size: int, channels: int, widths: Sequence[int], hidden: int, shared: int):
        super().__init__()
        side = size >> len(widths)
        self.trunk = nn.Sequential(trunk(channels, widths), nn.Flatten())
        self.out = nn.Sequential(
            dense(side * side * widths[-1], hidden),
            norm1d(hidden),
            nn.LeakyReLU(0.2),
            dense(hidden, 2 * shared),
        )

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> SharedEncoding:
        features = self.trunk(x)
        return SharedEncoding(diagonal_normal(self.out(features)), features)


class FlatFusion(nn.Module):
    """q(z_s given x, y) from both domains' flattened features."""

    def __init__(self, width: int, hidden: int, shared: int):
        super().__init__()
        self.out = nn.Sequential(
            dense(2 * width, hidden), norm1d(hidden), nn.LeakyReLU(0.2), dense(hidden, 2 * shared)
        )

    def forward(self, hidden_x: Tensor, hidden_y: Tensor) -> DiagonalNormal:
        return diagonal_normal(self.out(torch.cat([hidden_x, hidden_y], 1)))


class ExclusiveEncoder(nn.Module):
    """q(z_x given x): convolutions, then one dense layer."""

    def __init__(self, size: int, channels: int, widths: Sequence[int], exclusive: int):
        super().__init__()
        side = size >> len(widths)
        self.net = nn.Sequential(
            trunk(channels, widths),
            nn.Flatten(),
            dense(side * side * widths[-1], 2 * exclusive),
        )

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> DiagonalNormal:
        return diagonal_normal(self.net(x))


def upward(
    channels: int, widths: Sequence[int], channels_out: int, dropout: Sequence[float]
) -> nn.Sequential:
    """A transposed convolution per width with BatchNorm, dropout and ReLU, and one to the image."""
    layers: list[nn.Module] = []
    for before, after, rate in zip([channels, *widths], widths, dropout, strict=False):
        layers += [deconv(before, after), norm2d(after)]
        layers += [nn.Dropout(rate)] if rate else []
        layers += [nn.ReLU()]
    return nn.Sequential(*layers, deconv(widths[-1], channels_out))


class MapDecoder(nn.Module):
    """p(x given z_s, z_x): the exclusive latent tiled over the map of z_s, then upward."""

    def __init__(
        self,
        side: int,
        shared: int,
        exclusive: int,
        widths: Sequence[int],
        dropout: Sequence[float],
        channels: int,
        head: Head,
    ):
        super().__init__()
        self.map = (shared, side, side)
        self.net = upward(shared + exclusive, widths, channels * head.outputs, dropout)
        self.head = head

    def forward(
        self, shared: Float[Tensor, "batch shared"], exclusive: Float[Tensor, "batch exclusive"]
    ) -> Likelihood:
        tiled = exclusive[:, :, None, None].expand(-1, -1, *self.map[1:])
        return self.head(self.net(torch.cat([shared.unflatten(1, self.map), tiled], 1)))


class FlatDecoder(nn.Module):
    """p(x given z_s, z_x): a dense layer to a map, then upward."""

    def __init__(
        self,
        side: int,
        shared: int,
        exclusive: int,
        widths: Sequence[int],
        dropout: Sequence[float],
        channels: int,
        head: Head,
    ):
        super().__init__()
        width = widths[0] * side * side
        self.net = nn.Sequential(
            dense(shared + exclusive, width),
            norm1d(width),
            nn.Dropout(dropout[0]),
            nn.ReLU(),
            nn.Unflatten(1, (widths[0], side, side)),
            upward(widths[0], widths, channels * head.outputs, dropout),
        )
        self.head = head

    def forward(
        self, shared: Float[Tensor, "batch shared"], exclusive: Float[Tensor, "batch exclusive"]
    ) -> Likelihood:
        return self.head(self.net(torch.cat([shared, exclusive], 1)))


PUBLISHED_WIDTHS = (32, 64, 128, 256)
PUBLISHED_UPWARD = (512, 256, 128, 64)
PUBLISHED_DROPOUT = (0.5, 0.5, 0.0, 0.0)


def image_map(
    shapes: tuple[Sequence[int], Sequence[int]],
    exclusive: tuple[int, int],
    shared: int,
    heads: tuple[Head, Head],
) -> Networks:
    """Published image networks with a map z_s of `shared` channels, 1/32 of the image's side.

    16,801,830 parameters at 3x256x256, 8 and 128.

    Args:
        shapes: (channels, height, width) of x and of y; square, alike but for channels.
        exclusive: Sizes of z_x and of z_y.
        shared: Channels of z_s.
        heads: Likelihood of each domain.
    """
    size = shapes[0][-1]

    def domain(channels: int, exclusive: int, head: Head) -> Domain:
        return Domain(
            ExclusiveEncoder(size, channels, PUBLISHED_WIDTHS, exclusive),
            MapEncoder(channels, PUBLISHED_WIDTHS, shared),
            MapDecoder(
                size >> 5, shared, exclusive, PUBLISHED_UPWARD, PUBLISHED_DROPOUT, channels, head
            ),
        )

    x, y = both_domains(domain, shapes, exclusive, heads)
    return assembled(x, y, MapFusion(PUBLISHED_WIDTHS[-1], shared))


def image_flat(
    shapes: tuple[Sequence[int], Sequence[int]],
    exclusive: tuple[int, int],
    shared: int,
    heads: tuple[Head, Head],
) -> Networks:
    """Published image networks with a flat z_s of `shared` values (Cars).

    46.95 M parameters at 3x256x256, 8 and 128. Arguments as for `image_map`.
    """
    size, widths = shapes[0][-1], (*PUBLISHED_WIDTHS, PUBLISHED_WIDTHS[-1])
    side = size >> 5

    def domain(channels: int, exclusive: int, head: Head) -> Domain:
        return Domain(
            ExclusiveEncoder(size, channels, PUBLISHED_WIDTHS, exclusive),
            FlatEncoder(size, channels, widths, 256, shared),
            FlatDecoder(
                side, shared, exclusive, PUBLISHED_UPWARD, PUBLISHED_DROPOUT, channels, head
            ),
        )

    x, y = both_domains(domain, shapes, exclusive, heads)
    return assembled(x, y, FlatFusion(side * side * widths[-1], 256, shared))


class Domain(NamedTuple):
    """The three networks of one domain."""

    exclusive: nn.Module
    shared_given: nn.Module
    decoder: nn.Module


def both_domains(
    domain: Callable[[int, int, Head], Domain],
    shapes: tuple[Sequence[int], Sequence[int]],
    exclusive: tuple[int, int],
    heads: tuple[Head, Head],
) -> tuple[Domain, Domain]:
    """The networks of x and of y, made of (channels, size of the exclusive latent, head)."""
    return (
        domain(shapes[0][0], exclusive[0], heads[0]),
        domain(shapes[1][0], exclusive[1], heads[1]),
    )


def assembled(x: Domain, y: Domain, shared: nn.Module) -> Networks:
    """All seven parts; `shared` is the joint encoder."""
    return Networks(
        x.exclusive, y.exclusive, x.shared_given, y.shared_given, shared, x.decoder, y.decoder
    )


def square(smallest: int, largest: int) -> Callable[[Shapes], str]:
    """Refuses all but square images of one side, a power of two within bounds."""

    def refusal(shapes: Shapes) -> str:
        sides = {side for shape in shapes for side in shape[1:]}
        side = next(iter(sides), 0)
        images = all(len(shape) == 3 for shape in shapes) and len(sides) == 1
        if images and not side & (side - 1) and smallest <= side <= largest:
            return ""
        return (
            "takes square images of both domains with one side, a power of two from "
            f"{smallest} to {largest} (channels x height x width); resize them or choose another "
            "family"
        )

    return refusal


def _latent(shapes: Shapes, shared: int) -> tuple[int, ...]:
    return (shared, *(side >> 5 for side in shapes[0][1:]))


IMAGE_MAP = Family(image_map, _latent, square(64, 512))
IMAGE_FLAT = Family(image_flat, lambda _, shared: (shared,), square(64, 512))
