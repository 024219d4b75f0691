"""Pictures for the page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from iiae.errors import DataError
from iiae.files.bands import encode_bands
from iiae.files.folders import ARRAY
from iiae.files.images import in_colours, open_image, to_image
from iiae.search.gallery import Gallery


def data_urls(images: Tensor) -> list[str]:
    """Images in [-1, 1] as PNGs in data URLs."""
    return [
        "data:image/png;base64," + base64.b64encode(png(to_image(image))).decode()
        for image in images
    ]


def is_banded(shape: Sequence[int]) -> bool:
    """Whether images are of bands that no PNG holds as they are: neither grey nor RGB."""
    return len(shape) == 3 and shape[0] not in (1, 3)


def band_urls(images: Tensor) -> list[str]:
    """Images in [-1, 1] with all their bands, as `.npy` in data URLs."""
    files = (encode_bands(image, ARRAY) for image in images)
    start = "data:application/octet-stream;base64,"
    return [start + base64.b64encode(file).decode() for file in files]


def own_file(gallery: Gallery, item: str) -> bytes | None:
    """The file of an item as it is; None if it is gone.

    Raises:
        GalleryError: There is no such item.
    """
    row = gallery.item(item)
    try:
        return Path(row["path"]).read_bytes()
    except OSError:
        return None


def pen_and_paper(images: Tensor) -> tuple[str, str]:
    """Colours to draw in, as `#rrggbb`: those of the image that stands out most from its border.

    Black on white where none stands out.

    Args:
        images: In [-1, 1], `(count, channels, height, width)`.
    """
    pixels = in_colours(images)
    paper, far = _far_from_paper(images)
    strokes = far.topk(max(1, far.shape[1] // 20))
    best = int(strokes.values.mean(1).argmax())
    if strokes.values[best].mean() < 0.5:
        return "#000000", "#ffffff"
    pen = pixels.flatten(2)[best][:, strokes.indices[best]].mean(1)
    return _colour(pen), _colour(paper[best])


def _colour(channels: Tensor) -> str:
    return "#" + bytes(((channels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).tolist()).hex()


def picture(gallery: Gallery, item: str, kept: bool = False) -> bytes | None:
    """An image file of an item, at most 256 pixels per side: of its own file, or else the thumbnail
    that the gallery keeps, which is taken of images of many bands; None of an item that is no
    image.

    Raises:
        GalleryError: There is no such item.
    """
    row = gallery.item(item, ["thumbnail"])
    if row["thumbnail"] is None or kept:
        return row["thumbnail"]
    try:
        with open(row["path"], "rb") as file:
            image = open_image(file, "item")
    except (OSError, DataError):
        return row["thumbnail"]
    image.thumbnail((256, 256))
    return png(image)


class Extent(NamedTuple):
    """Where ink lies on images, and how wide its strokes are: fractions of height and width."""

    height: float
    width: float
    x: float
    y: float
    stroke: float


def ink_extent(images: Float[Tensor, "count channels height width"]) -> Extent | None:
    """Height and width of the ink, exceeded by one image in ten, and its usual centre.

    Ink is what differs from the image's border by more than a third of what differs most. None if
    most images have none or it covers them, as photos.
    """
    _, far = _far_from_paper(images)
    far = far.unflatten(1, images.shape[-2:])
    ink = far > far.amax((1, 2), keepdim=True).clamp_min(0.5) / 3
    covered = ink.float().mean((1, 2))
    if covered.median() > 0.6 or covered.median() == 0:
        return None
    boxes = torch.tensor([_box(one) for one in ink if one.any()])
    sizes = boxes[:, 1] - boxes[:, 0]
    height, width = sizes.quantile(0.9, dim=0).tolist()
    y, x = boxes.mean(1).median(0).values.tolist()
    stroke = _stroke(far / far.amax((1, 2), keepdim=True).clamp_min(0.5)) / images.shape[-1]
    return Extent(height, width, x, y, stroke)


def _stroke(ink: Float[Tensor, "count height width"]) -> float:
    """The width of strokes in pixels: twice their area by the length of their edges.

    Strokes that touch look wider, hence the quarter of images in which they look narrowest.
    Edges are counted along rows and columns, where those of all directions are 4 / pi too long
    (Cauchy-Crofton).
    """
    padded = torch.nn.functional.pad(ink, (1, 1, 1, 1))
    edges = padded.diff(dim=1).abs().sum((1, 2)) + padded.diff(dim=2).abs().sum((1, 2))
    widths = 2 * ink.sum((1, 2)) / (edges * math.pi / 4).clamp_min(1e-6)
    return float(widths.quantile(0.25))


def _box(ink: Tensor) -> list[list[float]]:
    """First and last (row, column) of ink, as fractions."""
    ends = [ink.any(dim).nonzero().flatten() / ink.shape[1 - dim] for dim in (1, 0)]
    step = [1 / size for size in ink.shape]
    return [
        [float(e[0]) for e in ends],
        [float(e[-1]) + s for e, s in zip(ends, step, strict=True)],
    ]


def _far_from_paper(images: Tensor) -> tuple[Tensor, Tensor]:
    """The usual colour of each image's border, and how far every pixel is from it."""
    pixels = in_colours(images)
    edges = [pixels[..., 0, :], pixels[..., -1, :], pixels[..., 0], pixels[..., -1]]
    paper = torch.cat(edges, -1).median(-1).values
    return paper, (pixels.flatten(2) - paper[..., None]).norm(dim=1)


def png(image: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
