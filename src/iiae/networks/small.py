"""Small convolutional networks, for a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from iiae.distributions import Head
from iiae.errors import SettingsError
from iiae.networks.conv import (
    Domain,
    ExclusiveEncoder,
    MapDecoder,
    MapEncoder,
    MapFusion,
    assembled,
    both_domains,
    square,
)
from iiae.networks.interface import Family, Networks, Shapes

SIDE = 4  # of the map of z_s


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
    side: int = SIDE,
) -> Networks:
    """Networks for images of 16 to 128 pixels that a CPU trains in minutes to hours.

    z_s is a map of `shared` channels, `side` wide and high; widths double from `width` at each
    halving. A larger side keeps apart what is near in the image: right where partners share where
    things are (maps, facades), too much where they share what is there (digits).
    Paper: encoders see the image. Here: the shared encoders also see it with its contrast
    normalised, because without that nearly all retrieval errors on MNIST-CDCB were images of
    little contrast. Arguments as for `iiae.networks.conv.image_map`.

    Raises:
        SettingsError: `side` is no power of two, or more than a quarter of the image's.
    """
    size = shapes[0][-1]
    _check(side, size)
    halvings = [width << i for i in range(size.bit_length() - 3)]  # down to 4x4
    widths = halvings[: (size // side).bit_length() - 2]

    def domain(channels: int, exclusive: int, head: Head) -> Domain:
        return Domain(
            ExclusiveEncoder(size, channels, halvings, exclusive),
            nn.Sequential(ContrastCopy(), MapEncoder(2 * channels, widths, shared)),
            MapDecoder(side, shared, exclusive, widths[::-1], [0.0] * len(widths), channels, head),
        )

    x, y = both_domains(domain, shapes, exclusive, heads)
    return assembled(x, y, MapFusion(widths[-1], shared))


def _check(side: int, size: int) -> None:
    known = [1 << i for i in range(1, size.bit_length() - 2)]
    if side not in known:
        raise SettingsError(
            f"model.side = {side}: for images of {size} pixels it is one of "
            f"{', '.join(map(str, known))}"
        )


def _latent(_shapes: Shapes, shared: int, side: int = SIDE, **_settings: object) -> tuple[int, ...]:
    return shared, side, side


SMALL = Family(small, _latent, square(16, 128), frozenset({"width", "side"}))
