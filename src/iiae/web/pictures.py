"""Pages with their policies, and pictures as the page shows them."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from importlib.resources import files

from PIL import Image
from torch import Tensor

from iiae.data.images import open_image, to_image
from iiae.errors import DataError
from iiae.gallery import Gallery
from iiae.lance import equals


def page(name: str) -> tuple[str, str]:
    """A page, and the policy that lets its own script run and nothing else."""
    text = files("iiae.web").joinpath(name).read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{h}'" for h in hashes)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; connect-src 'self'; "
        "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text, policy


def data_urls(images: Tensor) -> list[str]:
    """Images in [-1, 1] as PNGs in data URLs."""
    return [
        "data:image/png;base64," + base64.b64encode(png(to_image(image))).decode()
        for image in images
    ]


def thumbnail(gallery: Gallery, item: str) -> bytes | None:
    """PNG of an item's file, at most 256 pixels a side; None where it is gone or no image."""
    rows = gallery.rows(equals("id", item))
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
