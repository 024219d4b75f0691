"""Pairs of images from files or encoded bytes, kept in memory where they fit."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.base import Factor, PairSet, pick
from iiae.data.missing import Sides
from iiae.errors import DataError
from iiae.files.images import Encoded, fit_image, open_image
from iiae.files.remote import RemoteFile
from iiae.files.tables import Place
from iiae.hardware import free_memory
from iiae.types import Draw, Pair

MEMORY_SHARE = 0.25  # of the free memory that decoded pixels of one set may take

log = logging.getLogger("iiae")


class PairFiles(NamedTuple):
    """Where a pair is: two images, or one whose left half is x and right half y (`y` is None).

    Where one side is missing, both name the image that is there, and `sides` says which. `key`
    tells the pair from others and `group` is what it is held out by: see `iiae.data.image_splits.with_keys`. `where` is
    the row of a table that names the files, for messages.
    """

    x: Place
    y: Place | None
    sides: Sides = Sides.BOTH
    key: int = 0
    group: int = 0
    where: str = ""


class ImagePairs(PairSet):
    """Pairs of colour images, decoded once where they fit in memory, else at every draw.

    Args:
        files: One entry a pair.
        size: Side that both images are resized to.
        flip: Mirror both images of half of the pairs that are drawn with a seed.
        crop: Enlarge images by this part of `size`; a draw with a seed cuts out a random window,
            the same for x and y, one without a seed the middle.

    Raises:
        DataError: An image cannot be read; at once where the images are kept in memory.
    """

    held = ("pixels",)

    def __init__(self, files: Sequence[PairFiles], size: int, flip: bool, crop: float = 0.0):
        self.files, self.size, self.flip = list(files), size, flip
        self.keys = np.array([row.key for row in self.files], np.uint64)
        self.side = size + round(size * crop)
        self.shapes = ((3, size, size), (3, size, size))
        needed = len(self.files) * 6 * self.side**2
        free = free_memory(torch.device("cpu"))
        self.pixels = None
        if needed <= MEMORY_SHARE * free:
            self.pixels = torch.from_numpy(np.stack(in_threads(self._decode, self.files)))
        log.info(
            "%d pairs, %.0f MiB decoded, %.0f MiB of memory free: %s",
            len(self.files),
            needed / 2**20,
            free / 2**20,
            "kept in memory" if self.pixels is not None else "streamed from disk",
        )

    def __len__(self) -> int:
        return len(self.files)

    def pairs(self, draw: Draw) -> Pair:
        return appear(self._pixels(draw.indices), self.size, self.flip, draw.seed)

    def factors(self) -> dict[str, Factor]:
        return {}

    def content(self) -> Iterator[bytes]:
        """Names and sizes of the files, or encoded images: not pixels, which may be on disk."""
        for row in self.files:
            for source in (row.x, row.y):
                if source is not None:
                    yield _stamp(source)

    def _pixels(self, indices: Tensor) -> Tensor:
        """Bytes `(batch, 2, side, side, 3)`."""
        if self.pixels is not None:
            return pick(self.pixels, indices)
        return torch.from_numpy(np.stack([self._decode(self.files[i]) for i in indices.tolist()]))

    def _decode(self, files: PairFiles) -> np.ndarray:
        return np.stack(
            [np.asarray(fit_image(s, self.side, self.side)) for s in open_pair(files, self.side)]
        )


def appear(pixels: Tensor, size: int, flip: bool, seed: int | None) -> Pair:
    """Images as a draw shows them: with a seed, random windows, and half of the pairs mirrored.

    Args:
        pixels: Bytes `(batch, 2, side, side, 3)`, sides of at least `size`.
        size: Side of the window that is cut out of both images of a pair.
        flip: Whether to mirror.
        seed: None for the middle, not mirrored.
    """
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    if pixels.shape[2] > size:
        pixels = _windows(pixels, size, generator)
    x, y = pixels.permute(1, 0, 4, 2, 3).float().div_(127.5).sub_(1)
    if generator is not None and flip:
        mirrored = (torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5).to(x.device)
        x, y = (torch.where(mirrored, side.flip(-1), side) for side in (x, y))
    return Pair(x.contiguous(), y.contiguous())


def _windows(pixels: Tensor, size: int, generator: torch.Generator | None) -> Tensor:
    """Bytes `(batch, 2, size, size, 3)`: one window a pair."""
    spare = pixels.shape[2] - size
    corners = torch.full((len(pixels), 2), spare // 2)
    if generator is not None:
        corners = torch.randint(spare + 1, (len(pixels), 2), generator=generator)
    return torch.stack(
        [
            pair[:, top : top + size, left : left + size]
            for pair, (top, left) in zip(pixels, corners.tolist(), strict=True)
        ]
    )


def open_pair(files: PairFiles, side: int | None = None):
    """Both images of a pair, as files have them.

    Args:
        files: Where they are.
        side: As for `open_image`, where each has a file of its own.

    Raises:
        DataError: One cannot be read, or two side by side have an odd width.
    """
    try:
        return _open_pair(files, side)
    except DataError as error:
        if files.where:
            raise DataError(f"{files.where}: {error}") from error
        raise


def _open_pair(files: PairFiles, side: int | None):
    if files.sides != Sides.BOTH:
        left = open_image(files.x, side=side)
        return left, left
    if files.y is not None:
        return open_image(files.x, side=side), open_image(files.y, side=side)
    left = open_image(files.x)
    if left.width % 2:
        raise DataError(
            f"{files.x}: is {left.width} pixels wide; two images side by side have an even width"
        )
    half = left.width // 2
    boxes = (0, 0, half, left.height), (half, 0, left.width, left.height)
    return tuple(left.crop(box) for box in boxes)


def _stamp(source: Place) -> bytes:
    """What tells a source from another: a file's name and size, or content."""
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
