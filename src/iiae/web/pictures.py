"""Pictures as the page shows them."""

from __future__ import annotations

import base64
import io

import torch
from PIL import Image
from torch import Tensor

from iiae.errors import DataError
from iiae.files.images import open_image, to_image
from iiae.search.gallery import Gallery
from iiae.search.items import by_id_or_path


def data_urls(images: Tensor) -> list[str]:
    """Images in [-1, 1] as PNGs in data URLs."""
    return [
        "data:image/png;base64," + base64.b64encode(png(to_image(image))).decode()
        for image in images
    ]


def pen_and_paper(images: Tensor) -> tuple[str, str]:
    """Colours to draw in, as `#rrggbb`: those of the image that stands out most from its border.

    Black on white where none stands out.

    Args:
        images: In [-1, 1], `(count, channels, height, width)`.
    """
    pixels = images.expand(-1, 3, -1, -1)
    edges = [pixels[..., 0, :], pixels[..., -1, :], pixels[..., 0], pixels[..., -1]]
    paper = torch.cat(edges, -1).median(-1).values
    far = (pixels.flatten(2) - paper[..., None]).norm(dim=1)
    strokes = far.topk(max(1, far.shape[1] // 20))
    best = int(strokes.values.mean(1).argmax())
    if strokes.values[best].mean() < 0.5:
        return "#000000", "#ffffff"
    pen = pixels.flatten(2)[best][:, strokes.indices[best]].mean(1)
    return _colour(pen), _colour(paper[best])


def _colour(channels: Tensor) -> str:
    return "#" + bytes(((channels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).tolist()).hex()


def thumbnail(gallery: Gallery, item: str) -> bytes | None:
    """PNG of an item's file, at most 256 pixels a side; None where it is gone or no image."""
    rows = gallery.rows(by_id_or_path(item))
    if not rows:
        return None
    try:
        with open(rows[0]["path"], "rb") as file:
            image = open_image(file, "item")
    except (OSError, DataError):
        return None
    image.thumbnail((256, 256))
    return png(image)


def png(image: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
