"""Translations as pictures: one file each, heat maps of their spread, and a grid."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from iiae.errors import DataError
from iiae.files.atomic import refuse_inputs, write_atomically
from iiae.files.bands import encode_bands, fit_bands
from iiae.files.decoding import Batch
from iiae.files.folders import ARRAY, SUFFIXES
from iiae.files.images import bytes_image, fit_image, image_bytes, inner_box
from iiae.files.interface import Source
from iiae.files.pictures import Row, grid, heat, save_picture
from iiae.files.remote import is_url

GRID_COLUMNS, GRID_ROWS = 16, 16
PNG, TIFF = ".png", ".tif"
MOST_ASPECT = 16  # longer side of a translation, in sides of the model
ZLIB_RUN_LENGTHS = 3  # Z_RLE


class TranslationOutputs(NamedTuple):
    """The pictures to write: one image per sample, by name, into `folder`, a `grid`, or both.

    Images have the model's resolution on their shorter side and the aspect of their source. The
    longer side is at most that of the source and 16 times that of the model, and at least that
    of the model. With `full_size` they have the size of the source. Images of three bands are
    PNG, others 16-bit TIFF with one page per band, or `.npy` if the source is. `spread` adds
    the standard deviation over the draws at each pixel, as a heat map.
    """

    folder: Path | None = None
    grid: Path | None = None
    full_size: bool = False
    spread: bool = False


class Translated:
    """The parts of a batch's translations that the grid and the heat maps need, block by block.

    Args:
        batch: The sources.
        chosen: Which latents the grid shows, ascending.
        spread: Whether to keep the moments of the draws.
    """

    def __init__(self, batch: Batch, chosen: Sequence[int], spread: bool):
        self.batch, self.chosen, self.keeps_spread = batch, chosen, spread
        self.shown: list[Tensor] = []
        self.count, self.mean, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, first: int, pictures: Tensor) -> None:
        """Translations `(latents, batch, channels, height, width)`, the first of latent `first`."""
        for number, picture in enumerate(pictures, start=first):
            if number in self.chosen:
                self.shown.append(picture[:GRID_COLUMNS].clone())
            if self.keeps_spread:  # Welford's sums, so that draws need not be held
                self.count += 1
                away = picture - self.mean
                self.mean = self.mean + away / self.count
                self.squares = self.squares + away * (picture - self.mean)

    @property
    def spread(self) -> Tensor:
        """Standard deviation over the draws, mean of the channels, `(batch, height, width)`."""
        return (self.squares / (self.count - 1)).clamp(min=0).sqrt().mean(1)


class Writer:
    """Writes pictures in threads while the model works; their errors are raised later.

    Args:
        pool: The threads.
        names: Names of the translations of each sample, by its number.
        outputs: What to write.
        endings: Of each sample's files, as `output_endings` gives them.
        pad: Whether samples were padded to squares: their translations are cut out again.
    """

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        names: Sequence[str],
        outputs: TranslationOutputs,
        endings: Sequence[str],
        pad: bool = False,
    ):
        self.pool, self.names, self.outputs = pool, names, outputs
        self.endings, self.pad = endings, pad
        self.writing: list[Future] = []

    def write(self, batch: Batch, made: Tensor, labels: Sequence[str]) -> None:
        """Writes translations `(latents, batch, channels, height, width)`, one file each."""
        for i, (number, size) in enumerate(zip(batch.numbers, batch.sizes, strict=True)):
            for j, label in enumerate(labels):
                path = self._path(number, label, self.endings[number])
                self._submit(_write, path, self._cut(made[j, i], size), size, self.outputs)
        self.settle(2 * len(batch.numbers))

    def write_spread(self, made: Translated) -> None:
        """Heat maps of the spread of a batch."""
        for number, size, values in zip(
            made.batch.numbers, made.batch.sizes, made.spread, strict=True
        ):
            image = heat(self._cut(values, size))
            width_height = _size(image.size, size, self.outputs.full_size)
            self._submit(_save, self._path(number, "spread"), _fit(image, width_height))

    def settle(self, keep: int = 0) -> None:
        """Waits until at most `keep` files are still being written."""
        while len(self.writing) > keep:
            self.writing.pop(0).result()

    def _cut(self, values: Tensor, size: tuple[int, int]) -> Tensor:
        """An image, `(..., height, width)`, without its padding."""
        height, width = values.shape[-2:]
        left, top, right, bottom = inner_box(size, (width, height), self.pad)
        return values[..., top:bottom, left:right]

    def _path(self, number: int, label: str, ending: str = PNG) -> Path:
        assert self.outputs.folder is not None
        return self.outputs.folder / file_name(self.names[number], label, ending)

    def _submit(self, function, *arguments: object) -> None:
        self.writing.append(self.pool.submit(function, *arguments))


def output_endings(source: Source, bands: int) -> list[str]:
    """The file endings of each sample's translations, for images with this number of bands."""
    if bands == 3:
        return [PNG] * len(source)
    paths = (source.path(i).lower() for i in range(len(source)))
    return [ARRAY if path.endswith(ARRAY) else TIFF for path in paths]


def output_names(
    source: Source,
    like: Sequence[str | Path],
    labels: Sequence[str],
    outputs: TranslationOutputs,
    endings: Sequence[str],
) -> list[str]:
    """Names of the translations of each sample: its own name without an image's ending.

    Raises:
        DataError: Two samples have one name, or an output would replace an input.
    """
    names = [_stem(source.name(i)) for i in range(len(source))]
    paths = [source.path(i) for i in range(len(source))]
    planned = [outputs.grid] if outputs.grid is not None else []
    if outputs.folder is not None:
        seen: dict[str, str] = {}
        for name, path, ending in zip(names, paths, endings, strict=True):
            # as file systems that ignore case see it
            if seen.setdefault(name.casefold(), path) != path:
                raise DataError(
                    f"two inputs are called {name}: {seen[name.casefold()]} and {path}; their "
                    "outputs would clash"
                )
            every = [(label, ending) for label in labels] + [("spread", PNG)] * outputs.spread
            planned += [outputs.folder / file_name(name, *one) for one in every]
    local = [Path(path) for path in (*paths, *map(str, like)) if not is_url(path)]
    refuse_inputs(planned, local)
    return names


def save_grid(
    title: str, shown: Sequence[Translated], labels: Sequence[str], like: Tensor, path: Path
) -> None:
    """Writes sources, references, translations and their spread as one picture."""
    source = torch.cat([one.batch.values for one in shown])[:GRID_COLUMNS]
    made = torch.cat([torch.stack(one.shown) for one in shown], 1)[:, :GRID_COLUMNS]
    rows = [Row("source", source)]
    for number, reference in enumerate(like):
        label = "like" if len(like) == 1 else f"from {'AB'[number]}"
        rows.append(Row(label, reference.expand(len(source), -1, -1, -1)))
    rows += [Row(label or "translated", part) for label, part in zip(labels, made, strict=True)]
    if shown[0].keeps_spread:
        values = torch.cat([one.spread for one in shown])[:GRID_COLUMNS]
        top = values.max().item()
        heats = torch.stack([heat_tensor(one, top) for one in values])
        rows.append(Row(f"spread, white {top:.2f}", heats))
    save_picture(grid(title, rows), path)


def heat_tensor(values: Tensor, top: float) -> Tensor:
    """A heat map as an image tensor in [-1, 1]."""
    pixels = torch.from_numpy(np.array(heat(values, top))).permute(2, 0, 1)
    return pixels.float() / 127.5 - 1


def evenly(count: int, most: int) -> list[int]:
    """All of `count` numbers from 0 on, or `most` of them at even steps, both ends included."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def _stem(name: str) -> str:
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in (*SUFFIXES, ARRAY) else name


def file_name(name: str, label: str, ending: str) -> str:
    """The name of one translation of a sample."""
    return f"{name} {label}{ending}" if label else f"{name}{ending}"


def write_picture(path: Path, values: Float[Tensor, "bands height width"]) -> None:
    """An image in [-1, 1] in the format of the ending: PNG of 8 bits, TIFF or `.npy` of 16.

    Raises:
        RunError: It cannot be written.
    """
    if path.suffix == PNG:
        _save(path, bytes_image(image_bytes(values)))
    else:
        content = encode_bands(values, path.suffix)
        write_atomically(path, lambda temporary: temporary.write_bytes(content), durable=False)


def _write(path: Path, values: Tensor, size: tuple[int, int], outputs: TranslationOutputs) -> None:
    height, width = values.shape[-2:]
    fitted = _size((width, height), size, outputs.full_size)
    if path.suffix == PNG:
        _save(path, _fit(bytes_image(image_bytes(values)), fitted))
    else:
        write_picture(path, torch.from_numpy(fit_bands(values.contiguous().numpy(), *fitted)))


def _size(own: tuple[int, int], source: tuple[int, int], full_size: bool) -> tuple[int, int]:
    """Width and height of a translation, by its source's aspect: see `TranslationOutputs`."""
    if full_size:
        return source
    side, longer, shorter = min(own), max(source), min(source)
    most = max(side, min(longer, MOST_ASPECT * side))
    scale = min(side / shorter, most / longer)
    width, height = (max(1, round(length * scale)) for length in source)
    return width, height


def _fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else fit_image(image, *size)


def _save(path: Path, image: Image.Image) -> None:
    """As PNG; run lengths alone make pictures no larger than zlib's lowest level, and faster."""
    held = BytesIO()
    image.save(held, "PNG", compress_level=1, compress_type=ZLIB_RUN_LENGTHS)
    write_atomically(path, lambda temporary: temporary.write_bytes(held.getbuffer()), durable=False)
