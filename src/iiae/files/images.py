"""Image files as tensors in [-1, 1]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from iiae.errors import DataError
from iiae.files.remote import RemoteFile

# of uploads; of local files, whatever Pillow reads
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
# times the side that is wanted: what remains of a JPEG that is not decoded in full. Resizing by
# area then ends 0.6 of 255 from the exact area on average, 0.3 if decoded in full (a 12 MP photo)
SPARE = 6
ROUNDING = 1e-3  # by which float images may leave [0, 1]


class Encoded(NamedTuple):
    """An image file's content, and a name for messages."""

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name

    def read_bytes(self) -> bytes:
        return self.content


def read_image(
    path: Path | RemoteFile | Encoded, shape: Sequence[int]
) -> Float[Tensor, "channels height width"]:
    """An image file, resized by area to `shape`, as floats in [-1, 1].

    Turned by its EXIF tag; transparency is laid on white; every colour space becomes grey
    (1 channel) or RGB (3). Greys of 16 bits, 0 to 65535, and floats in [0, 1] keep their range.

    Args:
        path: PNG, JPEG or whatever else Pillow reads.
        shape: (channels, height, width) wanted; 1 or 3 channels.

    Raises:
        DataError: The file is missing, no image, damaged or cut off, too large to be safe, or its
            values are in no known range.
    """
    return image_tensor(open_image(path, side=max(shape[1:])), shape)


def decode_image(
    data: bytes,
    shape: Sequence[int],
    name: str,
    most_pixels: int | None = None,
    pad: bool = False,
) -> Float[Tensor, "channels height width"]:
    """`read_image` of a file's bytes, as they come from elsewhere.

    The file type is detected from the content, not from the name.

    Args:
        data: The whole file.
        shape: (channels, height, width) wanted.
        name: For messages.
        most_pixels: Larger images are refused before they are decoded.
        pad: As for `fit_image`.

    Raises:
        DataError: No image, damaged or cut off, too large, or of values in no known range.
    """
    image = open_image(Encoded(name, data), most_pixels=most_pixels, side=max(shape[1:]))
    return image_tensor(image, shape, pad)


def image_tensor(
    image: Image.Image, shape: Sequence[int], pad: bool = False
) -> Float[Tensor, "channels height width"]:
    """An RGB image resized by area to `shape`, as floats in [-1, 1]; `pad` as for `fit_image`."""
    channels, height, width = shape
    image = fit_image(image, width, height, pad)
    image = image.convert("L") if channels == 1 else image
    pixels = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
    values = np.empty(pixels.shape, np.float32)  # numpy's calls cost a third of torch's here
    np.divide(pixels, np.float32(127.5), out=values)
    values -= 1
    return torch.from_numpy(values)


def open_image(
    path: Path | RemoteFile | Encoded | BufferedReader,
    name: str | None = None,
    most_pixels: int | None = None,
    side: int | None = None,
) -> Image.Image:
    """An image file, or its content, as 8-bit RGB.

    Turned by its EXIF tag, transparency laid on white.

    Args:
        path: Where it is, or the file opened.
        name: For messages; the path by default.
        most_pixels: Larger images are refused before they are decoded.
        side: What the image will be made smaller to: a JPEG of many times that is decoded at
            a half, a quarter or an eighth of its size, which takes a fraction of the time.

    Raises:
        DataError: As `read_image`.
    """
    return open_sized(path, name, most_pixels, side)[0]


def open_sized(
    path: Path | RemoteFile | Encoded | BufferedReader,
    name: str | None = None,
    most_pixels: int | None = None,
    side: int | None = None,
) -> tuple[Image.Image, tuple[int, int]]:
    """`open_image`, and the width and height that the image has in full."""
    name = name or str(path)
    with named_errors(name):
        source = BytesIO(path.read_bytes()) if isinstance(path, Encoded | RemoteFile) else path
        formats = None if most_pixels is None else FORMATS
        with Image.open(source, formats=formats) as file:
            if most_pixels is not None and file.width * file.height > most_pixels:
                raise DataError(
                    f"{name}: {file.width} x {file.height} pixels; at most {most_pixels:,}"
                )
            size = file.size
            if side is not None:
                file.draft(None, (SPARE * side, SPARE * side))
            turned = ImageOps.exif_transpose(file)
            if file.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8):  # by a quarter
                size = size[1], size[0]
            return _plain(turned, name).convert("RGB"), size


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Turns errors of Pillow and the system about an image into a DataError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        hint = "; write / between folders, not \\" if "\\" in name else ""
        raise DataError(f"{name}: no such file{hint}") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{name}: not an image that can be read") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{name}: too many pixels to be read safely: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise DataError(f"{name}: damaged or cut off: {error}") from error


def fit_image(image: Image.Image, width: int, height: int, pad: bool = False) -> Image.Image:
    """Made smaller by area, larger by bilinear interpolation.

    Args:
        image: Of any mode.
        width: Wanted, in pixels.
        height: Wanted, in pixels.
        pad: Keep the aspect, and repeat the image's edges around it, instead of stretching it.
    """
    left, top, right, bottom = inner_box(image.size, (width, height), pad)
    inner = right - left, bottom - top
    smaller = image.width >= inner[0] and image.height >= inner[1]
    kind = Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR
    fitted = image.resize(inner, kind)
    if inner == (width, height):
        return fitted
    pixels = np.asarray(fitted)
    around = [(top, height - bottom), (left, width - right), (0, 0)][: pixels.ndim]
    return Image.fromarray(np.pad(pixels, around, mode="edge"))


def inner_box(
    size: tuple[int, int], frame: tuple[int, int], pad: bool
) -> tuple[int, int, int, int]:
    """Where an image of a size lies in its frame: left, top, right, bottom.

    Args:
        size: Width and height of the image.
        frame: Those of what it is made to fit.
        pad: As for `fit_image`; without, the image fills the frame.
    """
    if not pad:
        return 0, 0, *frame
    scale = min(whole / own for whole, own in zip(frame, size, strict=True))
    width, height = (max(1, round(own * scale)) for own in size)
    left, top = (frame[0] - width) // 2, (frame[1] - height) // 2
    return left, top, left + width, top + height


def _plain(image: Image.Image, name: str) -> Image.Image:
    """8 bits per channel and no transparency."""
    if image.mode.startswith("I") or image.mode == "F":
        return _grey(np.asarray(image, dtype=np.float64), image.mode == "F", name)
    return on_white(image)


def plain_image(image: Image.Image, name: str) -> Image.Image:
    """A picture as its file would be read: 8 bits of greys or RGB, no transparency.

    Raises:
        DataError: Its values are in no known range.
    """
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        return image
    plain = _plain(image, name)
    if plain.mode in ("L", "RGB"):
        return plain
    return plain.convert("L" if image.mode == "1" else "RGB")


def on_white(image: Image.Image) -> Image.Image:
    """An image of 8 bits with its transparency, if it has any, laid on white."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image)


def _grey(values: np.ndarray, floats: bool, name: str) -> Image.Image:
    """Floats in [0, 1], or whole numbers from 0 to 65535, as 8-bit greys.

    No range is guessed from the values: images of one set would then differ in brightness.

    Raises:
        DataError: The values are in another range.
    """
    low, high = values.min(), values.max()
    top = 1 + ROUNDING if floats else 65535
    if not (low >= (-ROUNDING if floats else 0) and high <= top):  # NaN is in no range either
        wanted = "floats are read from 0 to 1" if floats else "whole numbers are from 0 to 65535"
        raise DataError(
            f"{name}: values from {low:g} to {high:g}, but {wanted}; scale them, or save the image "
            "with 8 bits"
        )
    values = values.clip(0, 1) * 255 if floats else values * (255 / 65535)
    return Image.fromarray(values.round().astype(np.uint8))


def to_image(values: Float[Tensor, "channels height width"]) -> Image.Image:
    """An image tensor in [-1, 1] as a Pillow image to look at.

    One channel, or the first of two, becomes grey; of more than three the first three are shown.
    """
    return bytes_image(image_bytes(_to_show(values)))


def in_colours(
    images: Float[Tensor, "count channels height width"],
) -> Float[Tensor, "count 3 height width"]:
    """Images of any number of channels as `to_image` shows them."""
    return _to_show(images).expand(-1, 3, -1, -1)


def _to_show(values: Tensor) -> Tensor:
    """The channels of images that are looked at: three, or one."""
    return values[..., : 3 if values.shape[-3] >= 3 else 1, :, :]


def image_bytes(values: Float[Tensor, "*some channels height width"]) -> np.ndarray:
    """Image tensors in [-1, 1] as bytes, `(*some, height, width, channels)`."""
    pixels = ((values.detach().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    return np.ascontiguousarray(pixels.movedim(-3, -1).numpy())


def bytes_image(pixels: np.ndarray) -> Image.Image:
    """Bytes `(height, width, channels)` as a Pillow image; one channel becomes grey."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
