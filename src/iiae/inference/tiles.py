"""Large images translated in tiles that overlap and blend, so that no seam shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from iiae.console import tracked
from iiae.errors import DataError
from iiae.files.atomic import make_folder
from iiae.files.bands import read_bands
from iiae.files.decoding import OnError, Skipped
from iiae.files.image_source import open_images
from iiae.files.images import open_image
from iiae.files.sources import Joined
from iiae.files.tables import Place
from iiae.inference.exclusive import ExclusiveSource, exclusive_latents
from iiae.inference.picture_files import (
    TranslationOutputs,
    file_name,
    output_endings,
    output_names,
    write_picture,
)
from iiae.model.iiae import IIAE
from iiae.model.translation import content, render
from iiae.run_folder import TrainedRun
from iiae.types import Domain, other

BATCH = 32  # tiles that the model takes at once


class Tiles(NamedTuple):
    """How images are cut: squares of `size` pixels, of which `overlap` are the next one's too.

    Raises:
        DataError: By `checked`: the overlap is not below the size.
    """

    size: int
    overlap: int

    def checked(self) -> Tiles:
        if self.size < 1 or not 0 <= self.overlap < self.size:
            raise DataError(
                f"tiles of {self.size} pixels that overlap by {self.overlap}: the size must be "
                "above the overlap, and neither below 0"
            )
        return self


def translate_large(
    run: TrainedRun,
    inputs: Sequence[str | Path],
    to: Domain,
    folder: Path,
    tiles: Tiles,
    exclusive: ExclusiveSource = ExclusiveSource(),
    on_error: OnError = "stop",
) -> int:
    """Translates images tile by tile, at their own size; returns the number of images.

    One image is held at a time. All tiles have one exclusive latent.

    Args:
        run: A trained run of images.
        inputs: As for `iiae.files.image_source.open_images`; a `.npy` is one image.
        to: "x" or "y".
        folder: Where the translations are written.
        tiles: A tile is resized to what the model takes, if its size is another.
        exclusive: Where the exclusive latents come from.
        on_error: "skip" leaves out images that cannot be read and names them in the log.

    Raises:
        DataError: An image cannot be read, two have one name, an output would replace an input, or
            the tiles overlap by their whole size.
        RunError: A file cannot be written.
    """
    tiles = tiles.checked()
    source_shape, target_shape = run.shapes.of(other(to)), run.shapes.of(to)
    sources = [open_images(given, source_shape, other(to)) for given in inputs]
    places = [one.place(i) for one in sources for i in range(len(one))]
    source = Joined(sources)
    latents, labels = exclusive_latents(run, to, exclusive)
    endings = output_endings(source, target_shape[0])
    names = output_names(source, exclusive.like, labels, TranslationOutputs(folder), endings)
    make_folder(folder)
    skipped, done = Skipped(on_error), 0
    for i in tracked(range(len(source)), "translating", len(source)):
        try:
            image = _read(places[i], source_shape[0])
        except DataError as error:
            skipped.add(error)
            continue
        for latent, label in zip(latents, labels, strict=True):
            made = translate_tiles(run.model, image, to, target_shape, tiles, latent, source_shape)
            write_picture(folder / file_name(names[i], label, endings[i]), made)
        done += 1
    skipped.check(done)
    return done


@torch.inference_mode()
def translate_tiles(
    model: IIAE,
    image: Tensor,
    to: Domain,
    shape: Sequence[int],
    tiles: Tiles,
    exclusive: Float[Tensor, "one exclusive"] | None = None,
    source: Sequence[int] | None = None,
) -> Float[Tensor, "bands height width"]:
    """One image of any size, in its own size.

    Where tiles overlap, the weight of each rises from its edge as a squared sine: the result is as
    smooth across the edges of tiles as inside them, and what the model paints at its borders,
    where it sees no further, hardly counts. An overlap of half the size leaves no grid to see.

    Args:
        model: Left in evaluation mode.
        image: `(bands, height, width)`, bytes or floats in [0, 1].
        to: "x" or "y".
        shape: Of what the model makes.
        tiles: Larger ones are made smaller for the model, and their results larger.
        exclusive: One for all tiles; the prior's mean by default.
        source: Shape of what the model takes, if its sides are not those of `shape`.
    """
    height, width = image.shape[1:]
    rows = _starts(max(height, tiles.size), tiles)
    columns = _starts(max(width, tiles.size), tiles)
    made = torch.zeros(shape[0], max(height, tiles.size), max(width, tiles.size))
    places = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
    down, across = _weights(rows, tiles), _weights(columns, tiles)
    for first in range(0, len(places), BATCH):
        some = places[first : first + BATCH]
        cut = torch.stack([_cut(image, rows[i], columns[j], tiles.size) for i, j in some])
        shared = content(model, _resized(cut, (source or shape)[1:]), to)
        results = _resized(render(model, shared, to, exclusive), (tiles.size, tiles.size))
        for (i, j), result in zip(some, results.cpu(), strict=True):
            area = made[:, rows[i] : rows[i] + tiles.size, columns[j] : columns[j] + tiles.size]
            area += result * down[i][:, None] * across[j]
    return made[:, :height, :width]


def _read(place: Place, bands: int) -> Tensor:
    """Bytes of RGB, or floats in [0, 1] of other bands, `(bands, height, width)`."""
    if bands != 3:
        return torch.from_numpy(read_bands(place, bands))
    return torch.from_numpy(np.array(open_image(place))).permute(2, 0, 1)


def _cut(image: Tensor, top: int, left: int, size: int) -> Float[Tensor, "bands size size"]:
    """A tile in [-1, 1]; a smaller image is enlarged to it by repeating its edges."""
    part = image[:, top : top + size, left : left + size]
    values = part / 127.5 - 1 if part.dtype == torch.uint8 else part * 2 - 1
    missing = (0, size - part.shape[2], 0, size - part.shape[1])
    return F.pad(values[None], missing, mode="replicate")[0] if any(missing) else values


def _resized(images: Tensor, size: Sequence[int]) -> Tensor:
    if images.shape[2:] == tuple(size):
        return images
    if images.shape[2] > size[0] and images.shape[3] > size[1]:
        return F.interpolate(images, tuple(size), mode="area")
    return F.interpolate(images, tuple(size), mode="bilinear", align_corners=False)


def _starts(length: int, tiles: Tiles) -> list[int]:
    """Where tiles begin along a side; the last one ends where the side does."""
    return [*range(0, length - tiles.size, tiles.size - tiles.overlap), length - tiles.size]


def _weights(starts: Sequence[int], tiles: Tiles) -> Float[Tensor, "tiles size"]:
    """Weights of the tiles along a side, which sum to 1 at every pixel."""
    depth = ((torch.arange(tiles.size) + 0.5) / max(tiles.overlap, 0.5)).clamp(max=1)
    rise = torch.sin(depth * torch.pi / 2) ** 2
    weights = rise.minimum(rise.flip(0)).repeat(len(starts), 1)
    total = torch.zeros(starts[-1] + tiles.size)
    for start, own in zip(starts, weights, strict=True):
        total[start : start + tiles.size] += own
    return torch.stack(
        [own / total[s : s + tiles.size] for s, own in zip(starts, weights, strict=True)]
    )
