"""Embed many files: threads decode, shards are written one by one, a stopped run resumes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.ranges import check_values
from iiae.errors import DataError, RunError, SettingsError
from iiae.files.atomic import refuse_inputs, write_atomically, write_text
from iiae.files.decoding import OnError, Skipped, ahead
from iiae.files.interface import Sample, Source, absolute
from iiae.files.vectors import WRITERS, Description, ShardRows, read_shard, write_shard
from iiae.model.columns import NO_LATENT, block_columns, block_names, check_block
from iiae.run_folder import context_of_source, load_run, open_samples, rows_of, weights_digest
from iiae.types import Domain

AHEAD = 3  # batches decoded before the model asks for them


class Job(NamedTuple):
    """What to embed, and how; plain values, so that it can go to other processes.

    `parts` is where finished shards wait, `columns` the file of covariates if a model takes any.
    """

    run: Path
    source: Source
    domain: Domain
    block: str
    batch: int
    threads: int
    parts: Path
    on_error: OnError = "stop"
    columns: Path | None = None


class Shard(NamedTuple):
    """Numbers of consecutive samples and the file that will hold their rows."""

    numbers: range
    file: Path


class Embedded(NamedTuple):
    """What `embed_files` wrote: rows in `output`, unreadable items in `failures` if there are any,
    and the number of shards that an earlier run had finished."""

    output: Path
    rows: int
    failed: int
    failures: Path
    resumed: int


class Item(NamedTuple):
    """One item: its number in the source, its name, and what was read."""

    number: int
    name: str
    value: Sample | DataError


Engine = Callable[[Job, Sequence[Shard]], Iterable[int]]


class Embedder:
    """A loaded model and the reader of its input; on a GPU if there is one."""

    def __init__(self, job: Job):
        self.job = job
        run = load_run(job.run).for_inference()
        model, self.likelihood = run.model, run.settings.objective.of(job.domain)
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu")
        self.known = context_of_source(model.covariates, job.source, job.columns)

    def write(self, shards: Sequence[Shard]) -> Iterator[int]:
        """Embeds shards and writes their rows; yields the number of samples of each.

        Samples are read by threads, a few batches ahead of the model, those of the next shard too.
        """
        size, grain = self.job.batch, self.job.source.grain
        batches = (s.numbers[i : i + size] for s in shards for i in range(0, len(s.numbers), size))
        with ThreadPoolExecutor(self.job.threads) as pool:
            parts = (_cut(numbers, grain) for numbers in batches)
            with closing(ahead(pool, self._read, parts, AHEAD)) as read:
                for shard in shards:
                    self._write(shard, islice(read, -(-len(shard.numbers) // size)))
                    yield len(shard.numbers)

    def _write(self, shard: Shard, read: Iterable[list[list[Item]]]) -> None:
        rows = [self._rows([item for part in parts for item in part]) for parts in read]
        none = np.zeros((0, len(self.columns())), np.float32)
        vectors = np.concatenate([none, *(row.vectors for row in rows)])
        names = [name for row in rows for name in row.names]
        write_shard(shard.file, ShardRows(names, vectors, [one for r in rows for one in r.failed]))

    def _rows(self, batch: Sequence[Item]) -> ShardRows:
        """Vectors of a batch; samples that cannot be read or have none are left out."""
        failed = [(one.name, str(one.value)) for one in batch if isinstance(one.value, DataError)]
        good = [(one, one.value.values) for one in batch if isinstance(one.value, Sample)]
        vectors = np.zeros((0, len(self.columns())), np.float32)
        names: list[str] = []
        if good:
            vectors = self._embed([one.number for one, _ in good], [values for _, values in good])
            finite = [bool(np.isfinite(vector).all()) for vector in vectors]
            failed += [
                (one.name, f"{one.name}: {NO_LATENT}")
                for (one, _), fits in zip(good, finite, strict=True)
                if not fits
            ]
            names = [one.name for (one, _), fits in zip(good, finite, strict=True) if fits]
            vectors = vectors[finite]
        if failed and self.job.on_error == "stop":
            raise DataError(failed[0][1])
        return ShardRows(names, vectors, failed)

    def columns(self) -> list[str]:
        """Names of the columns of a vector."""
        return block_names(self.model, self.job.domain, self.job.block)

    def _embed(self, numbers: list[int], values: list[Tensor]) -> np.ndarray:
        device, stacked, job = self.model.active.device, torch.stack(values), self.job
        check_values(stacked, self.likelihood, job.source.path(numbers[0]))
        context = rows_of(self.known, numbers, device)
        rows = block_columns(self.model, stacked.to(device), job.domain, job.block, context)
        return rows.cpu().numpy()

    def _read(self, numbers: range) -> list[Item]:
        source = self.job.source
        return [*map(Item, numbers, map(source.name, numbers), source.read(numbers))]


def _cut(numbers: range, size: int) -> list[range]:
    return [numbers[i : i + size] for i in range(0, len(numbers), size)]


def embed_here(job: Job, shards: Sequence[Shard]) -> Iterator[int]:
    """Embeds shards in this process; yields the number of items of each."""
    yield from Embedder(job).write(shards)


def embed_files(
    run: str | Path,
    source: str | Path,
    output: str | Path,
    domain: Domain,
    *,
    block: str = "shared",
    batch: int = 128,
    shard: int = 4096,
    threads: int | None = None,
    engine: Engine = embed_here,
    progress: Callable[[int, int], None] = lambda done, total: None,
    on_error: OnError = "stop",
    columns: str | Path | None = None,
) -> Embedded:
    """Writes one row, path and vector, for each item of one domain.

    Rows are in the order of their paths (relative to `source`). Shards of a stopped run are kept in
    `OUTPUT.parts` and taken up by the next call with the same model, items and block. Memory
    is that of a shard of vectors and a few batches, and of the paths.

    Args:
        run: Run folder.
        source: As for `iiae.files.sources.open_source`.
        output: `.parquet` (columns `path` and `vector`), `.npz` (arrays `path` and `vector`),
            or `.npy` of vectors with their paths in `OUTPUT.paths.txt`.
        domain: "x" or "y".
        block: shared (mean of z_s), active, exclusive or both: `iiae.model.columns`.
        batch: Items the model takes at once.
        shard: Items that are lost at most when the process is killed.
        threads: That read and decode; by default as many as there are cores.
        engine: Where the work is done: `embed_here`, or `iiae.inference.ray.embed_on_ray`.
        progress: Called with items done and items in all.
        on_error: "skip" leaves out items that cannot be read or have no finite latent; they are
            named in the log and in `OUTPUT.failed.jsonl`.
        columns: `.npz`, `.csv`, `.tsv` or `.parquet` with the covariates of the items, a row each,
            if the run takes any.

    Raises:
        SettingsError: The output's ending, the block or a size is none of the above, or the run
            takes covariates and `columns` is missing.
        DataError: There is nothing to embed, it does not fit the model or cannot be read, or
            `output` is `source`.
        MissingExtra: Parquet without the extra `data`.
        RunError: `run` is no run, or the output cannot be written.
    """
    output = Path(output)
    if output.suffix not in WRITERS:
        raise SettingsError(f"{output}: ends in none of {', '.join(WRITERS)}")
    if min(batch, shard) < 1:
        raise SettingsError(f"batch = {batch} and shard = {shard}: both are at least 1")
    check_block(block)
    refuse_inputs([output], [Path(source)])
    parts = output.with_name(output.name + ".parts")
    threads = threads or os.cpu_count() or 1
    stored = load_run(run)
    items = open_samples(stored, [absolute(source)], domain)
    known = None if columns is None else Path(columns).absolute()
    context_of_source(stored.model.covariates, items, known)
    job = Job(Path(run), items, domain, block, batch, threads, parts, on_error, known)
    writer = WRITERS[output.suffix]()
    shards = list(_shards(job, shard))
    left = [s for s in shards if not s.file.is_file()]
    total = sum(len(s.numbers) for s in shards)
    done = total - sum(len(s.numbers) for s in left)
    progress(done, total)
    for count in engine(job, left):
        done += count
        progress(done, total)
    names = block_names(stored.model, domain, block)
    return _join(output, writer, shards, job, names, len(shards) - len(left))


def _shards(job: Job, size: int) -> Iterator[Shard]:
    """Items in groups; a group's file is named by all that its rows depend on."""
    source = job.source
    known = job.columns and hashlib.sha256(job.columns.read_bytes()).hexdigest()
    shared = json.dumps([weights_digest(job.run), job.domain, job.block, job.batch, known])
    for number, start in enumerate(range(0, len(source), size)):
        part = range(start, min(start + size, len(source)))
        digest = hashlib.sha256(shared.encode())
        for i in part:
            digest.update(ascii((source.name(i), source.path(i), source.stamp(i))).encode())
        yield Shard(part, job.parts / f"{number:06d}-{digest.hexdigest()[:24]}.npz")


def _join(
    output: Path,
    write: Callable[[Path, Description, Iterable[ShardRows]], None],
    shards: Sequence[Shard],
    job: Job,
    columns: list[str],
    resumed: int,
) -> Embedded:
    """One file of all shards, read one at a time."""
    rows, longest, failed, skipped = 0, 1, [], Skipped(job.on_error)
    for shard in shards:
        if not shard.file.is_file():
            raise RunError(f"{shard.file}: was not written; repeat the command to resume")
        read = read_shard(shard.file)
        rows, failed = rows + len(read.names), failed + read.failed
        longest = max([longest, *map(len, read.names)])
    for _, reason in failed:
        skipped.add(DataError(reason))
    skipped.check(rows)
    described = Description(rows, longest, columns, job.domain, job.block)
    write_atomically(
        output, lambda path: write(path, described, (read_shard(s.file) for s in shards))
    )
    if output.suffix == ".npy":
        named = (name + "\n" for s in shards for name in read_shard(s.file).names)
        paths = output.with_name(output.name + ".paths.txt")
        write_atomically(paths, lambda path: _write_lines(path, named))
    failures = output.with_name(output.name + ".failed.jsonl")
    failures.unlink(missing_ok=True)
    if failed:
        lines = (json.dumps({"path": name, "error": error}) for name, error in failed)
        write_text(failures, "\n".join(lines) + "\n")
    shutil.rmtree(job.parts, ignore_errors=True)
    return Embedded(output, rows, len(failed), failures, resumed)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
