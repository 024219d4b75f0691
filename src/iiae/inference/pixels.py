"""Files' pixels to what a model takes, and back, as part of an exported graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

FRACTION = 2.0**22  # Pillow's weights of 8-bit images are whole multiples of its inverse


class FitPixels(nn.Module):
    """Images of any size as a model takes them.

    What `iiae.files.images.image_tensor`, or `iiae.files.bands.band_tensor`, computes: Pillow's
    resampling as one product with its weights along each axis, rounded where Pillow rounds. Rows
    of pixels are resampled first; where Pillow begins with columns, the two differ by at most one
    step of 255.

    Args:
        shape: (channels, height, width) of the model.
        pad: `data.pad` of the run.
        top: The largest value of a pixel, 255 or 65,535.
    """

    def __init__(self, shape: Sequence[int], pad: bool, top: int):
        super().__init__()
        self.shape, self.pad, self.top = tuple(shape), pad, top

    def forward(
        self, images: Shaped[Tensor, "batch height width channels"]
    ) -> Float[Tensor, "batch channels rows columns"]:
        channels, *frame = self.shape
        pixels = images.movedim(3, 1)
        if channels != 3:  # bands keep their bits
            pixels = pixels.to(torch.float32) / self.top
        size = [torch.full((), n, dtype=torch.float64) for n in pixels.shape[2:]]
        inner = [torch.full_like(n, side) for n, side in zip(size, frame, strict=True)]
        if self.pad:
            scale = torch.minimum(inner[0] / size[0], inner[1] / size[1])
            inner = [(n * scale).round().clamp_min(1) for n in size]
        smaller = (size[0] >= inner[0]) & (size[1] >= inner[1])
        rows, columns = (
            resampling(n, length, pixels.shape[2 + axis], side, smaller)
            for axis, (n, length, side) in enumerate(zip(size, inner, frame, strict=True))
        )
        if channels == 3:
            wide = _whole(pixels.to(torch.float64) @ _fixed(columns).T)
            return (_whole(_fixed(rows) @ wide).to(torch.float32) / 127.5) - 1
        wide = (pixels.to(torch.float64) @ columns.T).to(torch.float32)
        return (rows @ wide.to(torch.float64)).to(torch.float32) * 2 - 1


class MakePixels(nn.Module):
    """Images in [-1, 1] as whole numbers up to `top`, channels last."""

    def __init__(self, top: int):
        super().__init__()
        self.top, self.kind = top, torch.uint8 if top == 255 else torch.uint16

    def forward(
        self, values: Float[Tensor, "batch channels height width"]
    ) -> Shaped[Tensor, "batch height width channels"]:
        pixels = ((values.clamp(-1, 1) + 1) * (self.top / 2)).round()
        return pixels.movedim(1, 3).to(self.kind)


def resampling(
    size: Tensor, inner: Tensor, count: int, frame: int, smaller: Tensor
) -> Float[Tensor, "frame count"]:
    """Weights with which Pillow makes one axis of an image fit, a row per resulting pixel.

    By area if the image becomes smaller, else bilinear; the first and last pixels are repeated
    around it if it does not fill the frame. As `ImagingResample` of Pillow's `Resample.c`.

    Args:
        size: Number of pixels given, a float64 scalar.
        inner: Number of pixels it becomes.
        count: `size` as a number.
        frame: Number of pixels wanted, of at least `inner`.
        smaller: Whether the image becomes smaller, by both axes.
    """
    before = ((frame - inner) / 2).floor()
    place = torch.arange(frame, dtype=torch.float64)[:, None] - before
    place = torch.minimum(place.clamp_min(0), inner - 1)
    scale = size / inner
    stretch = scale.clamp_min(1)
    centre = (place + 0.5) * scale
    at = torch.arange(count, dtype=torch.float64)
    reach = torch.where(smaller, 0.5, 1.0) * stretch
    inside = (at >= (centre - reach + 0.5).floor()) & (at < (centre + reach + 0.5).floor())
    distance = (at - centre + 0.5) * (1 / stretch)
    box = ((distance > -0.5) & (distance <= 0.5)).to(torch.float64)
    weights = torch.where(smaller, box, (1 - distance.abs()).clamp_min(0)) * inside
    return weights / weights.sum(1, keepdim=True)


def _fixed(weights: Tensor) -> Tensor:
    return (weights * FRACTION + 0.5).floor()


def _whole(sums: Tensor) -> Tensor:
    return ((sums + FRACTION / 2) / FRACTION).floor().clamp(0, 255)
