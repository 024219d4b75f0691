"""Pairs of images from files or encoded bytes, kept in memory where they fit."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.base import Factor, PairSet, Splits, pick, warn_of_given
from iiae.data.missing import PartPairs, Sides
from iiae.data.splits import key, limited, pair_keys, split_by_key
from iiae.errors import DataError
from iiae.files.folders import same_name
from iiae.files.images import Encoded, fit_image, open_image
from iiae.files.remote import RemoteFile
from iiae.files.tables import Place
from iiae.hardware import free_memory
from iiae.settings import DataSettings
from iiae.types import Draw, Pair

MEMORY_SHARE = 0.25  # of the free memory that decoded pixels of one set may take

log = logging.getLogger("iiae")


class PairFiles(NamedTuple):
    """Where a pair is: two images, or one whose left half is x and right half y (`y` is None).

    Where one side is missing, both name the image that is there, and `sides` says which. `key`
    tells the pair from others and `group` is what it is held out by: see `with_keys`. `where` is
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
            self.pixels = torch.from_numpy(np.stack(_in_threads(self._decode, self.files)))
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


def with_keys(files: Sequence[PairFiles], roots: Sequence[Path | str] = ()) -> list[PairFiles]:
    """The pairs with the keys by which they are recognised and held out.

    An image is known by its name below its root, or by its content where it is no file; pairs with
    files of equal content are held out together.

    Args:
        files: The pairs.
        roots: Folders that the names of x and of y are relative to; one for both, or none.
    """
    x = [row.x for row in files]
    y = [row.x if row.y is None else row.y for row in files]
    root_x, root_y = (roots[0], roots[-1]) if roots else (None, None)
    names_x, names_y = _image_names(x, root_x), _image_names(y, root_y)
    keys = pair_keys(names_x, names_y, _same(x, names_x), _same(y, names_y))
    return [
        row._replace(key=own, group=group)
        for row, own, group in zip(files, keys.own.tolist(), keys.group.tolist(), strict=True)
    ]


def _same(sources: Sequence[Place], names: Sequence[str]) -> list[str]:
    """The name of each image, or of the first file of equal content."""
    copies = _copies([source for source in sources if isinstance(source, Path)])
    name_of = dict(zip(sources, names, strict=True)) if copies else {}
    return [
        name_of[copies[source]] if source in copies else name
        for source, name in zip(sources, names, strict=True)
    ]


def _image_names(sources: Sequence[Place], root: Path | str | None) -> list[str]:
    names: list[str] = []
    for source in sources:
        if isinstance(source, Path):
            name = os.path.relpath(source, root) if root else str(source)
            names.append(same_name(Path(name).as_posix()))
        elif isinstance(source, RemoteFile):
            names.append(same_name(source.name))
        else:
            names.append(str(key(source.content)))
    return names


def _copies(files: Sequence[Path]) -> dict[Path, Path]:
    """The first file of equal content, for each file that has one before it."""
    by_size: dict[int, list[Path]] = {}
    for file in dict.fromkeys(files):
        if file.is_file():
            by_size.setdefault(file.stat().st_size, []).append(file)
    copies: dict[Path, Path] = {}
    for same_size in by_size.values():
        first: dict[bytes, Path] = {}
        for file in same_size if len(same_size) > 1 else []:
            digest = hashlib.blake2b(file.read_bytes()).digest()
            if first.setdefault(digest, file) != file:
                copies[file] = first[digest]
    return copies


def _stamp(source: Place) -> bytes:
    """What tells a source from another: a file's name and size, or content."""
    if isinstance(source, Encoded):
        return source.content
    if isinstance(source, RemoteFile):
        return f"{source.name} {source.stamp}".encode()
    size = source.stat().st_size if source.is_file() else -1
    return f"{source.name} {size}".encode("utf-8", "backslashreplace")


def split_files(
    files: Sequence[PairFiles], settings: DataSettings, name: str, roots: Sequence[Path | str] = ()
) -> Splits:
    """Training, validation and test sets drawn from one list, by the pairs' keys.

    Args:
        files: Pairs, some of which may lack a side; those train.
        settings: Of the sets' sizes and the seed.
        name: Of the list, for messages.
        roots: As for `with_keys`.

    Raises:
        DataError: There are fewer than 4 pairs, or an image cannot be read.
    """
    files = _usable(files, settings)
    files, lone = complete_first(_limited(with_keys(files, roots), settings))
    total = len(files)
    if total < 4:
        raise DataError(
            f"{name}: {total} pair{'s' * (total != 1)}; at least 4 are needed: 2 to train on, "
            "1 for validation, 1 for testing"
        )
    parts = split_by_key(_groups(files), settings.validation, settings.test, settings.seed)
    train, validation, test = ([files[i] for i in part] for part in parts)
    return _checked_sets([*train, *lone], validation, test, settings)


def hold_out(
    train: Sequence[PairFiles],
    validation: Sequence[PairFiles],
    test: Sequence[PairFiles],
    settings: DataSettings,
    roots: Sequence[Path | str] = (),
) -> Splits:
    """The three sets where some are given: a missing one is held out of `train` alone.

    Raises:
        DataError: Nothing would be left to train on, or an image cannot be read.
    """
    warn_of_given("validation", len(validation), settings.validation)
    warn_of_given("test", len(test), settings.test)
    train, validation, test = (_usable(part, settings) for part in (train, validation, test))
    every = with_keys([*train, *validation, *test], roots)
    n, m = len(train), len(train) + len(validation)
    kept_validation, kept_test = every[n:m], every[m:]
    pairs, lone = complete_first(_limited(every[:n], settings))
    parts = split_by_key(
        _groups(pairs),
        0 if validation else settings.validation,
        0 if test else settings.test,
        settings.seed,
    )
    learned, held, tested = ([pairs[i] for i in part] for part in parts)
    return _checked_sets([*learned, *lone], kept_validation or held, kept_test or tested, settings)


def _checked_sets(
    train: list[PairFiles],
    validation: list[PairFiles],
    test: list[PairFiles],
    settings: DataSettings,
) -> Splits:
    """The sets, with a warning if a held-out pair has an image that is trained on too."""
    _warn_of_shared(train, validation, "validation")
    _warn_of_shared(train, test, "test")
    return make_sets((train, validation, test), settings)


def _limited(files: Sequence[PairFiles], settings: DataSettings) -> list[PairFiles]:
    keys = np.array([row.key for row in files], np.uint64)
    return [files[i] for i in limited(keys, settings.limit, settings.seed)]


def _groups(files: Sequence[PairFiles]) -> np.ndarray:
    return np.array([row.group for row in files], np.uint64)


def _warn_of_shared(train: Sequence[PairFiles], held: Sequence[PairFiles], name: str) -> None:
    known = {row.group for row in train}
    shared = sum(row.group in known for row in held)
    if shared:
        log.warning(
            "%d of %d %s pairs have an x or a y that is trained on too", shared, len(held), name
        )


def complete_first(files: Sequence[PairFiles]) -> tuple[list[PairFiles], list[PairFiles]]:
    """Those that have both images, and those that have one."""
    pairs = [row for row in files if row.sides == Sides.BOTH]
    return pairs, [row for row in files if row.sides != Sides.BOTH]


def make_sets(files: Sequence[Sequence[PairFiles]], settings: DataSettings) -> Splits:
    """The three sets of given lists."""
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


def _usable(files: Sequence[PairFiles], settings: DataSettings) -> Sequence[PairFiles]:
    """The pairs; with `data.on_error = "skip"` those that can be read."""
    return _readable(files) if files and settings.on_error == "skip" else files


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
