"""Translation of files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from iiae.console import tracked
from iiae.data.ranges import check_values, to_float32
from iiae.errors import DataError
from iiae.files.arrays import read_array
from iiae.files.atomic import make_folder, refuse_inputs, write_atomically
from iiae.files.decoding import DecodedBatch, OnError, decode_batches, expand_files
from iiae.files.images import bytes_image, fit_image, image_bytes, read_image
from iiae.files.pictures import Row, grid, heat, picture_format, picture_formats, save_picture
from iiae.model.translation import (
    content,
    draw_exclusive,
    exclusive_means,
    interpolate,
    render,
)
from iiae.run_folder import TrainedRun
from iiae.settings import LikelihoodSettings
from iiae.types import Domain, other

BATCH, GRID_COLUMNS, GRID_ROWS = 32, 16, 16
MOST_DRAWS = 1000  # or steps
MOST_ASPECT = 16  # longer side of a translation, in sides of the model
BLOCK_BYTES = 2**28  # of translations that are held at once
ZLIB_RUN_LENGTHS = 3  # Z_RLE


class Exclusive(NamedTuple):
    """Where the exclusive latents come from.

    One reference in `like`: its own. `samples`: so many draws from the prior. `interpolate`: so
    many steps on the line between two references, or between two draws. None of these: the
    prior's mean.
    """

    like: Sequence[Path] = ()
    samples: int = 0
    interpolate: int = 0
    seed: int = 0


class Outputs(NamedTuple):
    """What is written: one image a file into `folder`, a `grid`, or both.

    Images have the model's resolution on their shorter side and the aspect of their source, but
    for the longer side: it is at most that of the source and 16 times that of the model, and at
    least the model's. With `full_size` they have the source's own size. `spread` adds the standard
    deviation over the draws at each pixel, as a heat map.
    """

    folder: Path | None = None
    grid: Path | None = None
    full_size: bool = False
    spread: bool = False


def translate_files(
    run: TrainedRun,
    inputs: Sequence[Path],
    to: Domain,
    outputs: Outputs,
    exclusive: Exclusive = Exclusive(),
    on_error: OnError = "stop",
) -> int:
    """Translates image files, decoding and writing while the model works; returns how many.

    Args:
        run: A trained run.
        inputs: Image files or folders of them.
        to: "x" or "y".
        outputs: What to write; the grid, in the format that its name ends in, shows the first
            16 files and 16 of the draws or steps.
        exclusive: Where the exclusive latents come from.
        on_error: "skip" lists files that cannot be read in the log and goes on.

    Raises:
        DataError: A file cannot be read, two have one name, an output would replace an input, or
            options do not fit.
        RunError: A file cannot be written.
    """
    source_shape, target_shape = run.shapes if to == "y" else run.shapes[::-1]
    files = expand_files(inputs)
    latents, labels = _latents(run, to, exclusive, target_shape)
    _refuse_clashes(files, exclusive.like, labels, outputs)
    if outputs.grid is not None and picture_format(outputs.grid) is None:
        raise DataError(f"{outputs.grid}: a grid is an image: {', '.join(picture_formats())}")
    if outputs.spread and len(latents) < 2:
        raise DataError("the spread is over draws: ask for at least 2 samples")
    if outputs.folder is not None:
        make_folder(outputs.folder)
    batches = decode_batches(files, source_shape, BATCH, on_error)
    likelihood = _likelihood(run, other(to))
    chosen = _evenly(len(latents), GRID_ROWS)
    shown: list[_Translated] = []
    done = 0
    with ThreadPoolExecutor(max_workers=4) as pool:
        writing: list[Future] = []
        for batch in tracked(batches, "translating", -(-len(files) // BATCH)):
            check_values(batch.images, likelihood, str(batch.files[0]))
            kept = chosen if outputs.grid is not None and done < GRID_COLUMNS else []
            made = _Translated(batch, kept, outputs.spread)
            for first, pictures in _blocks(run, batch, to, latents, target_shape):
                made.add(first, pictures)
                if outputs.folder is not None:
                    some = labels[first : first + len(pictures)]
                    writing += _submit(pool, batch, pictures, some, outputs)
                    _settle(writing, keep=2 * BATCH)
            if kept:
                shown.append(made)
            done += len(batch.files)
            if outputs.folder is not None and outputs.spread:
                writing += _submit_spread(pool, made, outputs)
        _settle(writing, keep=0)
    if outputs.grid is not None and shown:
        title = f"translated to {to}"
        if len(chosen) < len(latents):
            title += f", {len(chosen)} of {len(latents)}"
        rows = _rows(shown, [labels[i] for i in chosen], exclusive.like, target_shape)
        save_picture(grid(title, rows), outputs.grid)
    return done


def translate_array(
    run: TrainedRun,
    inputs: Sequence[Path],
    to: Domain,
    out: Path,
    exclusive: Exclusive = Exclusive(),
) -> Path:
    """Translates rows of `.npy` features; `(rows, size)`, or `(draws, rows, size)` for several.

    `.npy` is appended to a name that does not end so.

    Raises:
        DataError: A file cannot be read, does not fit the model, or would be replaced.
        RunError: `out` cannot be written.
    """
    out = out if out.suffix.lower() == ".npy" else out.with_name(f"{out.name}.npy")
    refuse_inputs([out], [*inputs, *exclusive.like])
    source_shape, target_shape = run.shapes if to == "y" else run.shapes[::-1]
    source = torch.cat([_read_rows(path, source_shape) for path in inputs])
    check_values(source, _likelihood(run, other(to)), " and ".join(map(str, inputs)))
    latents, _ = _latents(run, to, exclusive, target_shape)
    shared = content(run.model, source, to)
    several = exclusive.samples or exclusive.interpolate
    shape = (*([len(latents)] if several else []), len(source), *target_shape)

    def write(path: Path) -> None:
        with path.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for z in latents:
                file.write(render(run.model, shared, to, z).numpy().astype("<f4").tobytes())

    write_atomically(out, write)
    return out


class _Translated:
    """What the grid and the heat maps need of the translations of a batch, block by block.

    Args:
        batch: The sources.
        chosen: Which latents the grid shows, ascending.
        spread: Whether to keep the moments of the draws.
    """

    def __init__(self, batch: DecodedBatch, chosen: Sequence[int], spread: bool):
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


def _blocks(
    run: TrainedRun,
    batch: DecodedBatch,
    to: Domain,
    latents: Sequence[Tensor | None],
    shape: Sequence[int],
) -> Iterator[tuple[int, Tensor]]:
    """Translations of a batch by some latents at a time, and the number of the first of these."""
    shared = content(run.model, batch.images, to)
    at_once = max(1, BLOCK_BYTES // (4 * len(shared) * math.prod(shape)))
    for first in range(0, len(latents), at_once):
        some = latents[first : first + at_once]
        yield first, torch.stack([render(run.model, shared, to, z) for z in some])


def _evenly(count: int, most: int) -> list[int]:
    """All of `count` numbers from 0 on, or `most` of them at even steps, both ends included."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def _likelihood(run: TrainedRun, domain: Domain) -> LikelihoodSettings:
    objective = run.settings.objective
    return objective.x if domain == "x" else objective.y


def _latents(
    run: TrainedRun, to: Domain, exclusive: Exclusive, shape: Sequence[int]
) -> tuple[list[Tensor | None], list[str]]:
    """Exclusive latents, `(1, size)` each, and their names; None for the prior's mean."""
    if max(exclusive.samples, exclusive.interpolate) > MOST_DRAWS:
        raise DataError(
            f"{max(exclusive.samples, exclusive.interpolate):,} draws or steps; at most "
            f"{MOST_DRAWS:,}"
        )
    generator = torch.Generator().manual_seed(exclusive.seed)
    like = [_read(path, shape) for path in exclusive.like]
    if exclusive.interpolate:
        ends = (
            exclusive_means(run.model, torch.cat(like), to)
            if like
            else draw_exclusive(run.model, to, 2, generator)
        )
        if len(ends) != 2:
            raise DataError(
                f"{len(ends)} references to interpolate between; give two, or none for two draws"
            )
        steps = interpolate(ends[0], ends[1], exclusive.interpolate)
        return list(steps.split(1)), [f"step {i + 1}" for i in range(len(steps))]
    if exclusive.samples:
        drawn = draw_exclusive(run.model, to, exclusive.samples, generator)
        return list(drawn.split(1)), [f"draw {i + 1}" for i in range(exclusive.samples)]
    if len(like) > 1:
        raise DataError(f"{len(like)} references; give one, or --interpolate between two")
    return [exclusive_means(run.model, like[0], to) if like else None], [""]


def _refuse_clashes(
    files: Sequence[Path], like: Sequence[Path], labels: Sequence[str], outputs: Outputs
) -> None:
    planned = [outputs.grid] if outputs.grid is not None else []
    if outputs.folder is not None:
        seen: dict[str, Path] = {}
        for file in files:
            # as file systems that ignore case see it
            key = file.stem.casefold()
            if key in seen:
                raise DataError(
                    f"two inputs are called {file.stem}: {seen[key]} and {file}; their outputs "
                    "would clash"
                )
            seen[key] = file
            names = [_name(file, label) for label in (*labels, *["spread"] * outputs.spread)]
            planned += [outputs.folder / name for name in names]
    refuse_inputs(planned, [*files, *like])


def _name(file: Path, label: str) -> str:
    """What the translation of a file is called."""
    return f"{file.stem} {label}.png" if label else f"{file.stem}.png"


def _submit(
    pool: ThreadPoolExecutor,
    batch: DecodedBatch,
    made: Tensor,
    labels: Sequence[str],
    outputs: Outputs,
) -> list[Future]:
    assert outputs.folder is not None
    jobs: list[Future] = []
    pixels = image_bytes(made)
    for i, (file, size) in enumerate(zip(batch.files, batch.sizes, strict=True)):
        pictures = {label: pixels[j, i] for j, label in enumerate(labels)}
        for label, values in pictures.items():
            path = outputs.folder / _name(file, label)
            jobs.append(pool.submit(_write, path, values, size, outputs.full_size))
    return jobs


def _submit_spread(pool: ThreadPoolExecutor, made: _Translated, outputs: Outputs) -> list[Future]:
    assert outputs.folder is not None
    jobs: list[Future] = []
    for file, size, values in zip(made.batch.files, made.batch.sizes, made.spread, strict=True):
        image = _fit(heat(values), size, outputs.full_size)
        jobs.append(pool.submit(_save, outputs.folder / _name(file, "spread"), image))
    return jobs


def _write(path: Path, pixels: np.ndarray, size: tuple[int, int], full_size: bool) -> None:
    _save(path, _fit(bytes_image(pixels), size, full_size))


def _fit(image: Image.Image, size: tuple[int, int], full_size: bool) -> Image.Image:
    """The aspect, or the very size, of the source: see `Outputs`."""
    width, height = size
    if not full_size:
        side, longer, shorter = min(image.size), max(size), min(size)
        most = max(side, min(longer, MOST_ASPECT * side))
        scale = min(side / shorter, most / longer)
        width, height = (max(1, round(length * scale)) for length in size)
    return image if image.size == (width, height) else fit_image(image, width, height)


def _save(path: Path, image: Image.Image) -> None:
    """As PNG; run lengths alone make pictures no larger than zlib's lowest level, and faster."""
    held = BytesIO()
    image.save(held, "PNG", compress_level=1, compress_type=ZLIB_RUN_LENGTHS)
    write_atomically(path, lambda temporary: temporary.write_bytes(held.getbuffer()), durable=False)


def _settle(writing: list[Future], keep: int) -> None:
    """Waits until at most `keep` files are still being written; their errors are raised here."""
    while len(writing) > keep:
        writing.pop(0).result()


def _rows(
    shown: Sequence[_Translated], labels: Sequence[str], like: Sequence[Path], shape: Sequence[int]
) -> list[Row]:
    source = torch.cat([one.batch.images for one in shown])[:GRID_COLUMNS]
    made = torch.cat([torch.stack(one.shown) for one in shown], 1)[:, :GRID_COLUMNS]
    rows = [Row("source", source)]
    for number, path in enumerate(like):
        label = "like" if len(like) == 1 else f"from {'AB'[number]}"
        rows.append(Row(label, read_image(path, shape).expand(len(source), -1, -1, -1)))
    rows += [Row(label or "translated", part) for label, part in zip(labels, made, strict=True)]
    if shown[0].keeps_spread:
        values = torch.cat([one.spread for one in shown])[:GRID_COLUMNS]
        top = values.max().item()
        heats = torch.stack([heat_tensor(one, top) for one in values])
        rows.append(Row(f"spread, white {top:.2f}", heats))
    return rows


def heat_tensor(values: Tensor, top: float) -> Tensor:
    """A heat map as an image tensor in [-1, 1]."""
    pixels = torch.from_numpy(np.array(heat(values, top))).permute(2, 0, 1)
    return pixels.float() / 127.5 - 1


def _read(path: Path, shape: Sequence[int]) -> Tensor:
    """One image, or the rows of a feature array, `(count, *shape)`."""
    return read_image(path, shape)[None] if len(shape) == 3 else _read_rows(path, shape)


def _read_rows(path: Path, shape: Sequence[int]) -> Tensor:
    values = read_array(path)
    if values.ndim == 1:
        values = values[None]
    if values.ndim != 2 or len(values) == 0:
        raise DataError(f"{path}: has shape {values.shape}; expected rows of {shape[0]} features")
    if values.shape[1:] != tuple(shape):
        raise DataError(f"{path}: has {values.shape[1]} features; the model takes {shape[0]}")
    return torch.from_numpy(to_float32(values, str(path)))
