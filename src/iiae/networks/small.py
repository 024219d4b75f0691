"""Small convolutional networks, for a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from iiae.distributions import Head
from iiae.networks.conv import (
    Domain,
    ExclusiveEncoder,
    MapDecoder,
    MapEncoder,
    MapFusion,
    assembled,
    both_domains,
    map_of,
    square,
)
from iiae.networks.interface import Family, Networks


class ContrastCopy(nn.Module):
    """Puts a contrast-normalised copy behind the channels of an image.

    Each channel of the copy has mean 0 and variance 1 over its own pixels, so that faint
    content enters with full strength. The image itself stays, and with it all its content.
    """

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Tensor:
        return torch.cat([x, F.instance_norm(x)], 1)


def small(
    shapes: tuple[Sequence[int], Sequence[int]],
    exclusive: tuple[int, int],
    shared: int,
    heads: tuple[Head, Head],
    width: int = 24,
) -> Networks:
    """Networks for images of 16 to 128 pixels that a CPU trains in minutes to hours.

    z_s is a 4x4 map of `shared` channels; widths double from `width` at each halving.
    Paper: encoders see the image. Here: the shared encoders also see it with its contrast
    normalised, because without that nearly all retrieval errors on MNIST-CDCB were images of
    little contrast. Arguments as for `iiae.networks.conv.image_map`.
    """
    size = shapes[0][-1]
    halvings = size.bit_length() - 3  # down to 4x4
    widths = [width << i for i in range(halvings - 1)]

    def domain(channels: int, exclusive: int, head: Head) -> Domain:
        return Domain(
            ExclusiveEncoder(size, channels, [*widths, width << halvings - 1], exclusive),
            nn.Sequential(ContrastCopy(), MapEncoder(2 * channels, widths, shared)),
            MapDecoder(4, shared, exclusive, widths[::-1], [0.0] * len(widths), channels, head),
        )

    x, y = both_domains(domain, shapes, exclusive, heads)
    return assembled(x, y, MapFusion(widths[-1], shared))


SMALL = Family(small, map_of(lambda _: 4), square(16, 128), frozenset({"width"}))
