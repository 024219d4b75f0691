"""Pairs of images from files or encoded bytes, kept in memory where they fit."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.base import Factor, PairSet, Splits, pick
from iiae.data.images import Encoded, fit_image, open_image
from iiae.data.partners import PartPairs, Sides
from iiae.data.splits import held_out
from iiae.errors import DataError
from iiae.hardware import free_memory
from iiae.settings import DataSettings
from iiae.types import Draw, Pair

MEMORY_SHARE = 0.25  # of the free memory that decoded pixels of one set may take

log = logging.getLogger("iiae")

Source = Path | Encoded


class PairFiles(NamedTuple):
    """Where a pair is: two images, or one whose left half is x and right half y (`y` is None).

    Where one side is missing, both name the image that is there, and `sides` says which.
    """

    x: Source
    y: Source | None
    sides: Sides = Sides.BOTH


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
        self.side = size + round(size * crop)
        self.shapes = ((3, size, size), (3, size, size))
        needed = len(self.files) * 6 * self.side**2
        free = free_memory(torch.device("cpu"))
        self.pixels = None
        if needed <= MEMORY_SHARE * free:
            self.pixels = torch.from_numpy(np.stack(_in_threads(self._decode, self.files)))
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


def split_files(files: Sequence[PairFiles], settings: DataSettings, name: str) -> Splits:
    """Training, validation and test sets drawn from one list.

    Raises:
        DataError: There are fewer than 4 pairs, or an image cannot be read.
    """
    files, lone = complete_first(files[: settings.limit])
    total = len(files)
    if total < 4:
        raise DataError(
            f"{name}: {total} pair{'s' * (total != 1)}; at least 4 are needed: 2 to train on, "
            "1 for validation, 1 for testing"
        )
    tenth = max(1, total // 10)
    parts = held_out(total, settings.validation or tenth, settings.test or tenth, settings.seed)
    train, validation, test = ([files[i] for i in part] for part in parts)
    return make_sets(([*train, *lone], validation, test), settings)


def hold_out(
    train: Sequence[PairFiles], test: Sequence[PairFiles], settings: DataSettings
) -> Splits:
    """The three sets where a test set is given: validation pairs are held out of `train`.

    Raises:
        DataError: Nothing would be left to train on, or an image cannot be read.
    """
    held = settings.validation or max(1, len(train) // 10)
    pairs, lone = complete_first(train)
    kept, validation, _ = held_out(len(pairs), held, 0, settings.seed)
    learned = [*(pairs[i] for i in kept), *lone]
    return make_sets((learned, [pairs[i] for i in validation], test), settings)


def complete_first(files: Sequence[PairFiles]) -> tuple[list[PairFiles], list[PairFiles]]:
    """Those that have both images, and those that have one."""
    pairs = [row for row in files if row.sides == Sides.BOTH]
    return pairs, [row for row in files if row.sides != Sides.BOTH]


def make_sets(files: Sequence[Sequence[PairFiles]], settings: DataSettings) -> Splits:
    """The three sets of given lists; `data.on_error = "skip"` leaves out what cannot be read."""
    if settings.on_error == "skip":
        files = [_readable(part) for part in files]
    train, validation, test = files
    drawn: PairSet = ImagePairs(train, settings.size, settings.flip, settings.crop)
    sides = np.array([int(row.sides) for row in train])
    if (sides != Sides.BOTH).any():
        drawn = PartPairs(drawn, sides)
    return Splits(
        drawn,
        ImagePairs(validation, settings.size, False),
        ImagePairs(test, settings.size, False),
    )


def _readable(files: Sequence[PairFiles]) -> list[PairFiles]:
    """Pairs that can be decoded; the others are counted and listed in the log."""

    def problem(pair: PairFiles) -> str | None:
        try:
            open_pair(pair)
        except DataError as error:
            return str(error)
        return None

    problems = _in_threads(problem, files)
    for text in filter(None, problems):
        log.warning("skipped %s", text)
    kept = [pair for pair, text in zip(files, problems, strict=True) if text is None]
    if len(kept) < len(files):
        log.warning(
            "skipped %d of %d pairs that cannot be read", len(files) - len(kept), len(files)
        )
    if not kept:
        raise DataError(f"none of {len(files)} pairs can be read")
    return kept


def _in_threads(function, items: Sequence[PairFiles]) -> list:
    """Pillow decodes without the interpreter's lock."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))
