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
)
from iiae.networks.interface import Family, Networks, Shapes
from iiae.networks.padding import Cropped, Padded, padded_side

SIDE = 4  # of the map of z_s
LEAST, SMALLEST, LARGEST = 8, 16, 128  # sides of images, and least one that they are padded to


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
    """Networks for images of 8 to 128 pixels that a CPU trains in minutes to hours.

    Sides that are no power of two, as of 28x28 or 24x40 pixels, are padded to one inside, by
    repeating the edges; what is painted is cropped again.

    z_s is a map of `shared` channels, `side` wide and high; widths double from `width` at each
    halving. A larger side keeps apart what is near in the image: right where partners share where
    things are (maps, facades), too much where they share what is there (digits).
    Paper: encoders see the image. Here: the shared encoders also see it with its contrast
    normalised, because without that nearly all retrieval errors on MNIST-CDCB were images of
    little contrast. Arguments as for `iiae.networks.conv.image_map`.

    Raises:
        SettingsError: `side` is no power of two, or more than a quarter of the padded image's.
    """
    size = max(SMALLEST, padded_side(shapes))
    _check(side, size)
    halvings = [width << i for i in range(size.bit_length() - 3)]  # down to 4x4
    widths = halvings[: (size // side).bit_length() - 2]

    def domain(channels: int, exclusive: int, head: Head) -> Domain:
        return Domain(
            ExclusiveEncoder(size, channels, halvings, exclusive),
            nn.Sequential(ContrastCopy(), MapEncoder(2 * channels, widths, shared)),
            MapDecoder(side, shared, exclusive, widths[::-1], [0.0] * len(widths), channels, head),
        )

    both = both_domains(domain, shapes, exclusive, heads)
    x, y = (_of_size(one, shape, size) for one, shape in zip(both, shapes, strict=True))
    return assembled(x, y, MapFusion(widths[-1], shared))


def _of_size(networks: Domain, shape: Sequence[int], size: int) -> Domain:
    """Networks for images of `size` as ones for images of `shape`."""
    _, height, width = shape
    if height == width == size:
        return networks
    exclusive, shared_given, decoder = networks
    assert isinstance(decoder, MapDecoder)
    decoder.net.append(Cropped(height, width, size))
    exclusive, shared_given = (
        nn.Sequential(Padded(height, width, size), one) for one in (exclusive, shared_given)
    )
    return Domain(exclusive, shared_given, decoder)


def _refusal(shapes: Shapes) -> str:
    """Refuses all but images of both domains that are not too small, large or unlike in size."""
    if all(len(shape) == 1 for shape in shapes):
        return "takes images; use 'features' for vectors"
    sides = [side for shape in shapes for side in shape[1:]]
    images = all(len(shape) == 3 for shape in shapes)
    if images and min(sides) >= LEAST and max(sides) <= LARGEST and 2 * min(sides) >= max(sides):
        return ""
    return (
        f"takes images of both domains with sides of {LEAST} to {LARGEST} pixels, none more than "
        "twice as long as another (channels x height x width); resize them or choose another family"
    )


def _check(side: int, size: int) -> None:
    known = [1 << i for i in range(1, size.bit_length() - 2)]
    if side not in known:
        raise SettingsError(
            f"model.side = {side}: for images of {size} pixels it is one of "
            f"{', '.join(map(str, known))}"
        )


def _latent(_shapes: Shapes, shared: int, side: int = SIDE, **_settings: object) -> tuple[int, ...]:
    return shared, side, side


SMALL = Family(small, _latent, _refusal, frozenset({"width", "side"}))
