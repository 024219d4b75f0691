"""Pairs of images from files or encoded bytes, kept in memory if they fit."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from iiae.data.base import Factor, PairSet, pick
from iiae.data.missing import Sides
from iiae.errors import DataError
from iiae.files.bands import fit_bands, read_bands
from iiae.files.images import Encoded, fit_image, open_image
from iiae.files.remote import RemoteFile
from iiae.files.tables import Place
from iiae.hardware import free_memory
from iiae.types import Draw, Pair

MEMORY_SHARE = 0.25  # of the free memory that decoded pixels of one set may take

log = logging.getLogger("iiae")


class PairFiles(NamedTuple):
    """Where a pair is: two images, or one whose left half is x and right half y (`y` is None).

    If one side is missing, both fields name the image that is there, and `sides` gives the side.
    `key` identifies the pair; pairs of one `group` are held out together: see
    `iiae.data.image_splits.with_keys`. `where` is the row of a table that names the files, for
    messages.
    """

    x: Place
    y: Place | None
    sides: Sides = Sides.BOTH
    key: int = 0
    group: int = 0
    where: str = ""


class Preprocessing(NamedTuple):
    """How images are resized and augmented.

    `size` is their side and `bands` the number of bands of x and of y. `pad` keeps their aspect,
    instead of stretching them to squares. Draws with a seed are augmented, both images of a pair
    alike: `crop` cuts a random window out of images larger by that part (a draw
    without a seed shows the middle), `flip` mirrors half of the pairs, and `turn` shows each of
    the eight ways to turn and mirror a square.
    """

    size: int
    flip: bool = False
    crop: float = 0.0
    turn: bool = False
    pad: bool = False
    bands: tuple[int, int] = (3, 3)

    @property
    def side(self) -> int:
        """Side of the images from which windows are cut."""
        return self.size + round(self.size * self.crop)


class ImagePairs(PairSet):
    """Pairs of images, decoded once if they fit in memory, else at every draw.

    Images of three bands are RGB of 8 bits, others keep their bits: see `iiae.files.bands`.

    Args:
        files: One entry a pair.
        preprocessing: How images are resized and augmented.

    Raises:
        DataError: An image cannot be read; at once where the images are kept in memory.
    """

    tensor_names = ("pixels",)

    def __init__(self, files: Sequence[PairFiles], preprocessing: Preprocessing):
        self.files, self.preprocessing = list(files), preprocessing
        self.keys = np.array([row.key for row in self.files], np.uint64)
        x, y = preprocessing.bands
        self.shapes = (
            (x, preprocessing.size, preprocessing.size),
            (y, preprocessing.size, preprocessing.size),
        )
        self.of_bytes = preprocessing.bands == (3, 3)
        needed = len(self.files) * (x + y) * preprocessing.side**2 * (1 if self.of_bytes else 4)
        free = free_memory(torch.device("cpu"))
        self.pixels = None
        if needed <= MEMORY_SHARE * free:
            self.pixels = torch.from_numpy(np.stack(in_threads(self._decode, self.files)))
        else:
            log.info(
                "%s pairs are decoded at each draw: %.0f MiB of pixels, %.0f MiB of memory free; "
                "training.workers = 2 or more decode beside training",
                f"{len(self.files):,}",
                needed / 2**20,
                free / 2**20,
            )

    def __len__(self) -> int:
        return len(self.files)

    def pairs(self, draw: Draw) -> Pair:
        return preprocess(self._pixels(draw.indices), self.preprocessing, draw.seed)

    def factors(self) -> dict[str, Factor]:
        return {}

    def content(self) -> Iterator[bytes]:
        """Names and sizes of the files, or encoded images: not pixels, which may be on disk."""
        for row in self.files:
            for source in (row.x, row.y):
                if source is not None:
                    yield _stamp(source)

    def _pixels(self, indices: Tensor) -> Tensor:
        """Bytes or floats, `(batch, side, side, bands of both)`."""
        if self.pixels is not None:
            return pick(self.pixels, indices)
        return torch.from_numpy(np.stack([self._decode(self.files[i]) for i in indices.tolist()]))

    def _decode(self, files: PairFiles) -> np.ndarray:
        side, pad = self.preprocessing.side, self.preprocessing.pad
        if self.of_bytes:
            images = (fit_image(image, side, side, pad) for image in open_pair(files, side))
            return np.concatenate([np.asarray(image) for image in images], 2)
        both = (
            fit_bands(one, side, side, pad) for one in open_bands(files, self.preprocessing.bands)
        )
        return np.concatenate([one.transpose(1, 2, 0) for one in both], 2)


def preprocess(pixels: Tensor, preprocessing: Preprocessing, seed: int | None) -> Pair:
    """Images of a draw, in [-1, 1].

    Args:
        pixels: Bytes, or floats in [0, 1], `(batch, side, side, bands of both)`.
        preprocessing: Windows, mirroring and turns.
        seed: None for the middle window, neither mirrored nor turned.
    """
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    if pixels.shape[1] > preprocessing.size:
        pixels = _windows(pixels, preprocessing.size, generator)
    top = 127.5 if pixels.dtype == torch.uint8 else 0.5
    images = pixels.permute(0, 3, 1, 2).float().div_(top).sub_(1)
    if generator is not None and preprocessing.turn:
        ways = torch.randint(8, (len(images),), generator=generator).tolist()
        turned = zip(images, ways, strict=True)
        images = torch.stack([_turned(image, way) for image, way in turned])
    if generator is not None and preprocessing.flip:
        mirrored = (torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5).to(images.device)
        images = torch.where(mirrored, images.flip(-1), images)
    x, y = (side.contiguous() for side in images.split(preprocessing.bands, 1))
    return Pair(x, y)


def _turned(image: Tensor, way: int) -> Tensor:
    """One of the eight ways: by quarters, and mirrored from 4 on."""
    return torch.rot90(image.flip(-1) if way >= 4 else image, way % 4, (-2, -1))


def _windows(pixels: Tensor, size: int, generator: torch.Generator | None) -> Tensor:
    """Pixels `(batch, size, size, bands)`: one window per pair."""
    spare = pixels.shape[1] - size
    corners = torch.full((len(pixels), 2), spare // 2)
    if generator is not None:
        corners = torch.randint(spare + 1, (len(pixels), 2), generator=generator)
    return torch.stack(
        [
            pair[top : top + size, left : left + size]
            for pair, (top, left) in zip(pixels, corners.tolist(), strict=True)
        ]
    )


def open_pair(files: PairFiles, side: int | None = None) -> tuple[Image.Image, Image.Image]:
    """Both images of a pair, as 8-bit RGB.

    Args:
        files: Where they are.
        side: As for `open_image`, where each has a file of its own.

    Raises:
        DataError: One cannot be read, or two side by side have an odd width.
    """
    with _located(files):
        if files.sides != Sides.BOTH:
            left = open_image(files.x, side=side)
            return left, left
        if files.y is not None:
            return open_image(files.x, side=side), open_image(files.y, side=side)
        left = open_image(files.x)
        half = _half(files, left.width)
        return (
            left.crop((0, 0, half, left.height)),
            left.crop((half, 0, left.width, left.height)),
        )


def open_bands(files: PairFiles, bands: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Both images of a pair with all their bits, `(bands, height, width)` in [0, 1].

    Raises:
        DataError: As `open_pair`, or an image has other bands.
    """
    with _located(files):
        if files.sides != Sides.BOTH:
            there = read_bands(files.x, bands[files.sides == Sides.Y])
            lacking = np.zeros((bands[files.sides == Sides.X], *there.shape[1:]), np.float32)
            return (there, lacking) if files.sides == Sides.X else (lacking, there)
        if files.y is not None:
            return read_bands(files.x, bands[0]), read_bands(files.y, bands[1])
        if bands[0] != bands[1]:
            raise DataError(f"{files.x}: images side by side in one file have as many bands each")
        both = read_bands(files.x, bands[0])
        half = _half(files, both.shape[2])
        return both[:, :, :half], both[:, :, half:]


@contextmanager
def _located(files: PairFiles) -> Iterator[None]:
    """Puts the row of a table in front of errors about its images."""
    try:
        yield
    except DataError as error:
        if files.where:
            raise DataError(f"{files.where}: {error}") from error
        raise


def _half(files: PairFiles, width: int) -> int:
    if width % 2:
        raise DataError(
            f"{files.x}: is {width} pixels wide; two images side by side have an even width"
        )
    return width // 2


def _stamp(source: Place) -> bytes:
    """What identifies a source: a file's name and size, or its content."""
    if isinstance(source, Encoded):
        return source.content
    if isinstance(source, RemoteFile):
        return f"{source.name} {source.stamp}".encode()
    size = source.stat().st_size if source.is_file() else -1
    return f"{source.name} {size}".encode("utf-8", "backslashreplace")


def in_threads(function, items: Sequence[PairFiles]) -> list:
    """Pillow decodes without the interpreter's lock."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))
