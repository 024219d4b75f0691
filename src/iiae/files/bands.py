"""Images of any number of bands, with all their bits: greys, TIFF pages, arrays."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps, ImageSequence
from torch import Tensor

from iiae.errors import DataError
from iiae.files.folders import ARRAY
from iiae.files.images import FORMATS, ROUNDING, Encoded, fit_image, named_errors, on_white
from iiae.files.remote import RemoteFile

NPY = b"\x93NUMPY"  # how a .npy begins
TOPS = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


def read_bands(
    place: Path | RemoteFile | Encoded, bands: int
) -> Float[np.ndarray, "bands height width"]:
    """An image with its own bands and range, as floats in [0, 1].

    The bands of a TIFF are those of all its pages; a `.npy` is `(height, width[, bands])`. Bytes
    are 0 to 255, whole numbers of 16 bits 0 to 65535, floats 0 to 1. Where one band is wanted,
    transparency is laid on white and a colour image becomes grey. Pillow reads 16 bits of greys
    only, not of RGB.

    Raises:
        DataError: It cannot be read, is of other bands, or its values are in no known range.
    """
    name = str(place)
    with named_errors(name):
        given = BytesIO(place.read_bytes()) if not isinstance(place, Path) else place
        encoded = isinstance(place, Encoded) and place.content.startswith(NPY)
        array = encoded or name.lower().endswith(ARRAY)
        pages = [np.load(given, allow_pickle=False)] if array else _pages(given, bands)
    if any(page.ndim not in (2, 3) or page.shape[:2] != pages[0].shape[:2] for page in pages):
        shapes = " and ".join(str(page.shape) for page in pages)
        raise DataError(f"{name}: is {shapes}; an image is (height, width[, bands])")
    scaled = [_scaled(np.atleast_3d(page), name) for page in pages]
    values = np.concatenate(scaled, 2).transpose(2, 0, 1)
    if len(values) != bands:
        raise DataError(
            f"{name}: has {len(values)} band{'s' * (len(values) != 1)}; {bands} are wanted "
            "(data.bands of the run)"
        )
    return np.ascontiguousarray(values)


def decode_bands(
    data: bytes, shape: Sequence[int], name: str, most_pixels: int, pad: bool = False
) -> Float[Tensor, "bands rows columns"]:
    """`read_bands` of a file's bytes, as they come from elsewhere, made to fit a model.

    Args:
        data: The whole file, an image or a `.npy`.
        shape: (bands, height, width) wanted.
        name: For messages.
        most_pixels: Larger images are refused before they are decoded.
        pad: As for `iiae.files.images.fit_image`.

    Raises:
        DataError: As `read_bands`, or it is too large.
    """
    if not data.startswith(NPY):
        with named_errors(name), Image.open(BytesIO(data), formats=FORMATS) as file:
            pages = getattr(file, "n_frames", 1)
            if pages > shape[0] or file.width * file.height * pages > most_pixels:
                raise DataError(
                    f"{name}: {pages} x {file.width} x {file.height} pixels; at most {shape[0]} "
                    f"pages, and {most_pixels:,} pixels in all"
                )
    return band_tensor(read_bands(Encoded(name, data), shape[0]), shape, pad)


def fit_bands(
    values: Float[np.ndarray, "bands height width"], width: int, height: int, pad: bool = False
) -> Float[np.ndarray, "bands rows columns"]:
    """`fit_image` of each band."""
    bands = (Image.fromarray(band) for band in values)
    return np.stack([np.asarray(fit_image(band, width, height, pad)) for band in bands])


def band_tensor(
    values: Float[np.ndarray, "bands height width"], shape: Sequence[int], pad: bool = False
) -> Float[Tensor, "bands rows columns"]:
    """An image in [0, 1] made to fit a model, in [-1, 1]."""
    return torch.from_numpy(fit_bands(values, shape[2], shape[1], pad)).mul_(2).sub_(1)


def encode_bands(values: Float[Tensor, "bands height width"], ending: str) -> bytes:
    """An image in [-1, 1] as a file of whole numbers of 16 bits.

    Args:
        values: The image.
        ending: ".npy" for an array, else a TIFF of one page per band.
    """
    numbers = values.clamp(-1, 1).add(1).mul(32767.5).round().numpy().astype(np.uint16)
    held = BytesIO()
    if ending == ARRAY:
        np.save(held, np.ascontiguousarray(numbers.transpose(1, 2, 0)))
        return held.getvalue()
    first, *rest = (Image.fromarray(band) for band in numbers)
    first.save(held, "TIFF", save_all=True, append_images=rest)
    return held.getvalue()


def _pages(source: Path | BytesIO, bands: int) -> list[np.ndarray]:
    with Image.open(source) as file:
        if bands == 1 and not _is_grey(file):
            opaque = on_white(ImageOps.exif_transpose(file))
            return [np.asarray(opaque.convert("RGB").convert("L"))]
        pages = (
            page.convert("L") if page.mode == "1" else page for page in ImageSequence.Iterator(file)
        )
        return [np.asarray(ImageOps.exif_transpose(page)) for page in pages]


def _is_grey(image: Image.Image) -> bool:
    """Whether an image is of one band as it stands, without transparency."""
    if image.mode == "F" or image.mode.startswith("I"):
        return True
    return image.mode in ("L", "1") and not image.has_transparency_data


def _scaled(values: np.ndarray, name: str) -> np.ndarray:
    """In [0, 1] by the type of its numbers; no range is guessed."""
    floats = values.dtype.kind == "f"
    top, slack = TOPS.get(values.dtype, 1 if floats else 65535), ROUNDING * floats
    values = values.astype(np.float32) / np.float32(top)
    low, high = values.min(), values.max()
    if values.size and low >= -slack and high <= 1 + slack:
        return values.clip(0, 1)
    raise DataError(
        f"{name}: values from {low * top:g} to {high * top:g}; whole numbers are read from 0 to "
        "65535 (bytes to 255), floats from 0 to 1; scale them"
    )
