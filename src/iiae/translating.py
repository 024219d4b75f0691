"""Translation of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from iiae.data.arrays import read_array
from iiae.data.images import image_files, read_image, to_image
from iiae.errors import DataError
from iiae.files import write_atomically
from iiae.pictures import Row, grid
from iiae.runs import Run
from iiae.tasks.translation import Domain, draw_exclusive, translate


def translate_files(
    run: Run,
    inputs: Sequence[Path],
    to: Domain,
    out: Path,
    like: Path | None = None,
    samples: int = 0,
    seed: int = 0,
) -> Path:
    """Translates files and writes a grid, a folder of images, or an array.

    Args:
        run: A trained run.
        inputs: Image files or folders of them, or one `.npy` of features.
        to: "x" or "y".
        out: A `.png` for a grid, a folder for one image a file, an `.npy` for features.
        like: Reference of domain `to`; without it the prior's mean is used.
        samples: Draws of the exclusive latent from its prior, instead.
        seed: Of the draws.

    Raises:
        DataError: A file cannot be read or does not fit the model.
        RunError: `out` cannot be written.
    """
    source_shape, target_shape = run.shapes if to == "y" else run.shapes[::-1]
    names, source = _read_all(inputs, source_shape)
    reference = None if like is None else _read(like, target_shape)
    exclusive: list[Tensor | None] = [None]
    if samples:
        generator = torch.Generator().manual_seed(seed)
        exclusive = list(draw_exclusive(run.model, to, samples, generator).split(1))
    results = [translate(run.model, source, to, like=reference, exclusive=e) for e in exclusive]
    if len(target_shape) == 1:
        return _write_array(out, torch.stack(results) if samples else results[0])
    labels = [f"draw {i + 1}" for i in range(samples)] or [f"as {to}"]
    if out.suffix:
        rows = [Row("source", source)]
        if reference is not None:
            rows.append(Row("like", reference.expand(len(source), -1, -1, -1)))
        rows += [Row(label, result) for label, result in zip(labels, results, strict=True)]
        picture = grid(f"translated to {to}", rows)
        write_atomically(out, lambda path: picture.save(path, "PNG"))
        return out
    return _write_folder(out, names, labels if samples else [""], results)


def _read_all(inputs: Sequence[Path], shape: Sequence[int]) -> tuple[list[str], Tensor]:
    if len(shape) == 1:
        arrays = [_read(path, shape) for path in inputs]
        return [path.stem for path in inputs], torch.cat(arrays)
    files = [file for path in inputs for file in (image_files(path) if path.is_dir() else [path])]
    return [file.stem for file in files], torch.cat([_read(file, shape) for file in files])


def _read(path: Path, shape: Sequence[int]) -> Tensor:
    """One image, or the rows of a feature array, `(count, *shape)`."""
    if len(shape) == 3:
        return read_image(path, shape)[None]
    values = np.atleast_2d(read_array(path))
    if values.shape[1:] != tuple(shape):
        raise DataError(f"{path}: has {values.shape[1]} features; the model takes {shape[0]}")
    if not np.isfinite(values).all():
        raise DataError(f"{path}: holds NaN or infinite values")
    return torch.from_numpy(values.astype(np.float32))


def _write_array(out: Path, values: Tensor) -> Path:
    out = out.with_suffix(".npy")

    def write(path: Path) -> None:
        with path.open("wb") as file:
            np.save(file, values.numpy())

    write_atomically(out, write)
    return out


def _write_folder(
    out: Path, names: Sequence[str], labels: Sequence[str], results: Sequence[Tensor]
) -> Path:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"two inputs are called {twice}; their outputs would clash")
    for label, images in zip(labels, results, strict=True):
        for name, values in zip(names, images, strict=True):
            file = out / (f"{name} {label}.png" if label else f"{name}.png")
            picture = to_image(values)
            write_atomically(file, lambda path, picture=picture: picture.save(path, "PNG"))
    return out
