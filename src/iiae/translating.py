"""Translation of files."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from iiae.data.arrays import read_array
from iiae.data.decoding import DecodedBatch, OnError, decode_batches, expand_files
from iiae.data.images import bytes_image, fit_image, image_bytes, read_image
from iiae.errors import DataError
from iiae.files import refuse_inputs, write_atomically
from iiae.pictures import Row, grid, heat
from iiae.progress import tracked
from iiae.runs import Run
from iiae.tasks.translation import (
    Domain,
    content,
    draw_exclusive,
    exclusive_means,
    interpolate,
    render,
)

BATCH, GRID_COLUMNS = 32, 16
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

    Images have the model's resolution on their shorter side and the aspect of their source;
    with `full_size`, the source's own size. `spread` adds the standard deviation over the
    draws at each pixel, as a heat map.
    """

    folder: Path | None = None
    grid: Path | None = None
    full_size: bool = False
    spread: bool = False


def translate_files(
    run: Run,
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
        outputs: What to write; the grid shows the first 16.
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
    if outputs.spread and len(latents) < 2:
        raise DataError("the spread is over draws: ask for at least 2 samples")
    batches = decode_batches(files, source_shape, BATCH, on_error)
    shown: list[tuple[Tensor, Tensor]] = []
    done = 0
    with ThreadPoolExecutor(max_workers=4) as pool:
        writing: list[Future] = []
        for batch in tracked(batches, "translating", -(-len(files) // BATCH)):
            shared = content(run.model, batch.images, to)
            made = torch.stack([render(run.model, shared, to, z) for z in latents])
            if done < GRID_COLUMNS:
                shown.append((batch.images, made))
            done += len(batch.files)
            if outputs.folder is not None:
                _settle(writing, keep=2 * BATCH)
                writing += _submit(pool, batch, made, labels, outputs)
        _settle(writing, keep=0)
    if outputs.grid is not None and shown:
        rows = _rows(shown, labels, outputs.spread, exclusive.like, target_shape)
        picture = grid(f"translated to {to}", rows)
        write_atomically(outputs.grid, lambda path: picture.save(path, "PNG"))
    return done


def translate_array(
    run: Run, inputs: Sequence[Path], to: Domain, out: Path, exclusive: Exclusive = Exclusive()
) -> Path:
    """Translates rows of `.npy` features; `(rows, size)`, or `(draws, rows, size)` for several.

    Raises:
        DataError: A file cannot be read, does not fit the model, or would be replaced.
        RunError: `out` cannot be written.
    """
    out = out.with_suffix(".npy")
    refuse_inputs([out], [*inputs, *exclusive.like])
    source_shape, target_shape = run.shapes if to == "y" else run.shapes[::-1]
    source = torch.cat([_read_rows(path, source_shape) for path in inputs])
    latents, _ = _latents(run, to, exclusive, target_shape)
    shared = content(run.model, source, to)
    results = [render(run.model, shared, to, z) for z in latents]
    several = exclusive.samples or exclusive.interpolate
    values = (torch.stack(results) if several else results[0]).numpy()

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, values)

    write_atomically(out, write)
    return out


def _latents(
    run: Run, to: Domain, exclusive: Exclusive, shape: Sequence[int]
) -> tuple[list[Tensor | None], list[str]]:
    """Exclusive latents, `(1, size)` each, and their names; None for the prior's mean."""
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
        if outputs.spread:
            spread = heat(made[:, i].std(0).mean(0))
            path = outputs.folder / _name(file, "spread")
            jobs.append(pool.submit(_save, path, _fit(spread, size, outputs.full_size)))
    return jobs


def _write(path: Path, pixels: np.ndarray, size: tuple[int, int], full_size: bool) -> None:
    _save(path, _fit(bytes_image(pixels), size, full_size))


def _fit(image: Image.Image, size: tuple[int, int], full_size: bool) -> Image.Image:
    """The aspect, or the very size, of the source."""
    width, height = size
    if not full_size:
        scale = min(image.size) / min(width, height)
        width, height = round(width * scale), round(height * scale)
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
    shown: Sequence[tuple[Tensor, Tensor]],
    labels: Sequence[str],
    spread: bool,
    like: Sequence[Path],
    shape: Sequence[int],
) -> list[Row]:
    source = torch.cat([batch for batch, _ in shown])[:GRID_COLUMNS]
    made = torch.cat([part for _, part in shown], 1)[:, :GRID_COLUMNS]
    rows = [Row("source", source)]
    for number, path in enumerate(like):
        label = "like" if len(like) == 1 else f"from {'AB'[number]}"
        rows.append(Row(label, read_image(path, shape).expand(len(source), -1, -1, -1)))
    rows += [Row(label or "translated", part) for label, part in zip(labels, made, strict=True)]
    if spread:
        values = made.std(0).mean(1)
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
    values = np.atleast_2d(read_array(path))
    if values.shape[1:] != tuple(shape):
        raise DataError(f"{path}: has {values.shape[1]} features; the model takes {shape[0]}")
    if not np.isfinite(values).all():
        raise DataError(f"{path}: holds NaN or infinite values")
    return torch.from_numpy(values.astype(np.float32))
