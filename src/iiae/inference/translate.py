"""Translation of a user's samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from iiae.console import tracked
from iiae.data.names import domain_names
from iiae.data.ranges import check_values
from iiae.errors import DataError
from iiae.files.atomic import (
    make_folder,
    refuse_inputs,
    table_ending,
    write_atomically,
    write_table,
)
from iiae.files.decoding import Batch, OnError, Skipped, read_batches
from iiae.files.pictures import picture_format, picture_formats
from iiae.files.sources import read_all
from iiae.inference.exclusive import ExclusiveSource, exclusive_latents
from iiae.inference.picture_files import (
    GRID_COLUMNS,
    GRID_ROWS,
    Translated,
    TranslationOutputs,
    Writer,
    evenly,
    output_endings,
    output_names,
    save_grid,
)
from iiae.model.translation import content, render
from iiae.run_folder import (
    TrainedRun,
    context_of_source,
    load_features,
    open_samples,
    rows_of,
)
from iiae.types import Domain, other

BATCH, ROWS = 32, 8192  # images, vectors that are read at once
BLOCK_BYTES = 2**28  # of translations that are held at once
# endings that promise what a file of vectors, or a folder of images, would not be
OTHER_FORMATS = (".npz", ".parquet", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pdf")
NO_FOLDERS = (".npy", ".npz", ".csv", ".tsv", ".parquet", ".pdf", ".svg", ".eps", ".zip")


def translate_files(
    run: TrainedRun,
    inputs: Sequence[str | Path],
    to: Domain,
    outputs: TranslationOutputs,
    exclusive: ExclusiveSource = ExclusiveSource(),
    on_error: OnError = "stop",
) -> int:
    """Translates images, reading and writing while the model works; returns their number.

    Args:
        run: A trained run.
        inputs: As for `iiae.files.sources.open_source`.
        to: "x" or "y".
        outputs: What to write; the grid, in the format that its name ends in, shows the first
            16 samples and 16 of the draws or steps.
        exclusive: Where the exclusive latents come from.
        on_error: "skip" leaves out samples that cannot be read and names them in the log.

    Raises:
        DataError: A sample cannot be read, two have one name, an output would replace an input, or
            options do not fit.
        RunError: A file cannot be written.
    """
    source, shape = open_samples(run, inputs, other(to)), run.shapes.of(to)
    latents, labels = exclusive_latents(run, to, exclusive)
    endings = output_endings(source, shape[0])
    names = output_names(source, exclusive.like, labels, outputs, endings)
    _check_outputs(outputs, len(latents), {shape[0] for shape in run.shapes})
    skipped, likelihood = Skipped(on_error), run.settings.objective.of(other(to))
    chosen, shown, done = evenly(len(latents), GRID_ROWS), list[Translated](), 0
    steps = -(-len(source) // BATCH)
    with ThreadPoolExecutor(max_workers=4) as pool:
        writer = Writer(pool, names, outputs, endings, run.settings.data.pad)
        for batch in tracked(read_batches(source, BATCH, skipped), "translating", steps):
            check_values(batch.values, likelihood, source.path(batch.numbers[0]))
            kept = chosen if outputs.grid is not None and done < GRID_COLUMNS else []
            made = Translated(batch, kept, outputs.spread)
            for first, pictures in _blocks(run, batch, to, latents, shape):
                made.add(first, pictures)
                if outputs.folder is not None:
                    writer.write(batch, pictures, labels[first : first + len(pictures)])
            if kept:
                shown.append(made)
            if outputs.folder is not None and outputs.spread:
                writer.write_spread(made)
            done += len(batch.numbers)
        writer.settle()
    skipped.check(done)
    if outputs.grid is not None:
        rows, like = [labels[i] for i in chosen], _references(run, exclusive.like, to)
        save_grid(_title(run, to, len(rows), len(latents)), shown, rows, like, outputs.grid)
    return done


def _references(run: TrainedRun, like: Sequence[str | Path], to: Domain) -> torch.Tensor:
    source = open_samples(run, like, to)
    return read_all(source) if len(source) else torch.zeros(0)


def _title(run: TrainedRun, to: Domain, shown: int, latents: int) -> str:
    some = f", {shown} of {latents}" if shown < latents else ""
    return f"translated to {domain_names(run.settings.data).of(to)}{some}"


def _check_outputs(outputs: TranslationOutputs, latents: int, bands: set[int]) -> None:
    """Raises DataError if outputs cannot be made, before the model works."""
    if outputs.grid is not None and picture_format(outputs.grid) is None:
        raise DataError(f"{outputs.grid}: a grid is an image: {', '.join(picture_formats())}")
    if outputs.grid is not None and not bands <= {1, 3}:
        raise DataError("a grid shows images of one band or three; give a folder, --out FOLDER")
    if outputs.spread and latents < 2:
        raise DataError("the spread is over draws: ask for at least 2 samples")
    if outputs.folder is not None:
        ending = outputs.folder.suffix.lower()
        if ending in NO_FOLDERS and not outputs.folder.is_dir():
            raise DataError(
                f"{outputs.folder}: translated images are written into a folder, or as one "
                f"picture: {', '.join(picture_formats())}"
            )
        make_folder(outputs.folder)


def translate_array(
    run: TrainedRun,
    inputs: Sequence[str | Path],
    to: Domain,
    out: Path,
    exclusive: ExclusiveSource = ExclusiveSource(),
    on_error: OnError = "stop",
    columns: str | Path | None = None,
    as_if: Mapping[str, Any] | None = None,
) -> Path:
    """Translates vectors; `(rows, size)`, or `(draws, rows, size)` for several, as `.npy`.

    `.csv` and `.tsv` hold one translation per row, with names of rows and of columns; `.npy` is
    appended to any other ending.

    Args:
        run: A trained run.
        inputs: As for `iiae.files.sources.open_source`.
        to: "x" or "y".
        out: The file to write.
        exclusive: Where the exclusive latents come from.
        on_error: "skip" leaves out samples that cannot be read and names them in the log.
        columns: `.npz`, `.csv`, `.tsv` or `.parquet` with the covariates of the samples, a row
            each, if the run takes any and the samples are no cells.
        as_if: Covariates of the translations that are not those of their sources.

    Raises:
        SettingsError: The run takes covariates that nothing holds, or none.
        DataError: A file cannot be read, does not fit the model, or would be replaced; several
            draws are to be written into a table.
        RunError: `out` cannot be written.
    """
    table = table_ending(out) in (".csv", ".tsv")
    if out.suffix.lower() in OTHER_FORMATS:
        raise DataError(f"{out}: translated vectors are written to .npy, .csv or .tsv")
    out = out if table or out.suffix.lower() == ".npy" else out.with_name(f"{out.name}.npy")
    refuse_inputs([out], map(Path, (*inputs, *exclusive.like)))
    samples, skipped = open_samples(run, inputs, other(to)), Skipped(on_error)
    covariates = run.model.covariates
    known = context_of_source(covariates, samples, columns)
    target = context_of_source(covariates, samples, columns, as_if) if as_if else known
    batches = list(read_batches(samples, ROWS, skipped))
    numbers = [i for batch in batches for i in batch.numbers]
    skipped.check(len(numbers))
    source = torch.cat([batch.values for batch in batches])
    check_values(source, run.settings.objective.of(other(to)), " and ".join(map(str, inputs)))
    latents, _ = exclusive_latents(run, to, exclusive)
    several = bool(exclusive.samples or exclusive.interpolate)
    if table and several:
        raise DataError(f"{out}: a table holds one translation per row; write draws as .npy")
    shared = content(run.model, source, to, rows_of(known, numbers))
    wanted = rows_of(target, numbers)
    made = (render(run.model, shared, to, z, wanted).numpy() for z in latents)
    if table:
        write_table(
            out, next(made), list(map(samples.name, numbers)), load_features(run.folder).of(to)
        )
    else:
        shape = (len(source), *run.shapes.of(to))
        _write_array(out, (len(latents), *shape) if several else shape, made)
    return out


def _write_array(out: Path, shape: Sequence[int], parts: Iterable[np.ndarray]) -> None:
    """Parts of an array one after the other, so that one is held at a time."""

    def write(path: Path) -> None:
        with path.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(part.astype("<f4").tobytes())

    write_atomically(out, write)


def _blocks(
    run: TrainedRun,
    batch: Batch,
    to: Domain,
    latents: Sequence[Tensor | None],
    shape: Sequence[int],
) -> Iterator[tuple[int, Tensor]]:
    """Translations of a batch by some latents at a time, and the number of the first of these."""
    shared = content(run.model, batch.values, to)
    at_once = max(1, BLOCK_BYTES // (4 * len(shared) * math.prod(shape)))
    for first in range(0, len(latents), at_once):
        some = latents[first : first + at_once]
        yield first, torch.stack([render(run.model, shared, to, z) for z in some])
