"""Pictures of tensors: titled and labelled grids, as Pillow images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch import Tensor

from iiae.errors import RunError
from iiae.files.atomic import write_atomically
from iiae.files.folders import SUFFIXES
from iiae.files.images import in_colours, to_image

INK, PAPER, MARGIN, TEXT = (24, 24, 27), (255, 255, 255), 12, 13
LEAST_TILE = 64


class Row(NamedTuple):
    """One labelled row of a grid: images in [-1, 1]."""

    label: str
    images: Float[Tensor, "count channels height width"]


def grid(title: str, rows: Sequence[Row]) -> Image.Image:
    """Rows of images under a title, each row with its label on the left.

    Small images are enlarged by whole factors, without smoothing.
    """
    font = ImageFont.load_default(size=TEXT)
    factor = max(1, -(-LEAST_TILE // rows[0].images.shape[-1]))
    tile_h = max(row.images.shape[-2] for row in rows) * factor
    tile_w = max(row.images.shape[-1] for row in rows) * factor
    labels = int(max(font.getlength(row.label) for row in rows)) + 2 * MARGIN
    columns = max(len(row.images) for row in rows)
    top = 2 * MARGIN + TEXT
    width = max(labels + columns * (tile_w + 4) + MARGIN, int(font.getlength(title)) + 2 * MARGIN)
    canvas = Image.new("RGB", (width, top + len(rows) * (tile_h + 4) + MARGIN), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN - 2), title, INK, font)
    for r, row in enumerate(rows):
        y = top + r * (tile_h + 4)
        draw.text((MARGIN, y + (tile_h - TEXT) // 2), row.label, INK, font)
        for c, values in enumerate(row.images):
            image = to_image(values).convert("RGB")
            size = (image.width * factor, image.height * factor)
            tile = image.resize(size, Image.Resampling.NEAREST)
            canvas.paste(tile, (labels + c * (tile_w + 4), y))
    return canvas


def strip(images: Sequence[Tensor | None]) -> Image.Image:
    """Images in [-1, 1] beside one another, in their own size, with transparent gaps.

    Args:
        images: `(channels, height, width)` each; None leaves a place empty.
    """
    tiles = [None if one is None else to_image(one).convert("RGB") for one in images]
    width, height = (max(tile.size[axis] for tile in tiles if tile) for axis in (0, 1))
    step = width + max(1, width // 16)
    canvas = Image.new("RGBA", (step * len(tiles) - (step - width), height), (0, 0, 0, 0))
    for i, tile in enumerate(tiles):
        if tile:
            canvas.paste(tile, (step * i, 0))
    return canvas


@cache
def picture_formats() -> dict[str, str]:
    """Format of pictures by the ending of their name, of those that Pillow writes."""
    known = Image.registered_extensions()
    return {end: known[end] for end in sorted(SUFFIXES) if known.get(end) in Image.SAVE}


def picture_format(path: Path) -> str | None:
    """Format of a picture, as its name ends; None if the ending is not one of a picture."""
    return picture_formats().get(path.suffix.lower())


def save_picture(image: Image.Image, path: Path) -> None:
    """Writes a picture in the format that its name ends in.

    Raises:
        RunError: It cannot be written, or not in that format.
    """
    kind = picture_format(path)
    content = BytesIO()
    try:
        image.save(content, kind)
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be written as {kind}: {error}; try .png") from error
    write_atomically(path, lambda temporary: temporary.write_bytes(content.getbuffer()))


def heat(values: Float[Tensor, "height width"], top: float | None = None) -> Image.Image:
    """A map of values >= 0: 0 black, half of `top` orange, `top` (by default the largest) white."""
    top = values.max().item() if top is None else top
    grey = (values.detach().cpu() / max(top, 1e-12)).clamp(0, 1).mul(255).round().byte()
    image = Image.fromarray(grey.numpy())
    return ImageOps.colorize(image, (0, 0, 0), (255, 255, 255), (226, 95, 22))


def framed(
    images: Float[Tensor, "count channels height width"], right: Sequence[bool]
) -> Float[Tensor, "count 3 height width"]:
    """Images in colours with a frame: blue and whole where right, orange and broken where wrong."""
    framed = in_colours(images).clone()
    height, width = images.shape[-2:]
    edge = max(2, width // 20)
    mask = torch.ones(height, width, dtype=torch.bool)
    mask[edge : height - edge, edge : width - edge] = False
    dashes = (torch.arange(height)[:, None] + torch.arange(width)) // (2 * edge) % 2 == 0
    blue, orange = (
        torch.tensor(colour) / 127.5 - 1 for colour in ((37.0, 99, 235), (234.0, 88, 12))
    )
    for image, good in zip(framed, right, strict=True):
        image[:, mask if good else mask & dashes] = (blue if good else orange)[:, None]
    return framed
