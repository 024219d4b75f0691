"""Indexing and searching of files with a trained run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iiae.errors import DataError, GalleryError
from iiae.files.arrays import read_array
from iiae.model.translation import exclusive_size
from iiae.run_folder import TrainedRun, known_digests
from iiae.search.collection import Part, collect, metadata_key, read_metadata
from iiae.search.gallery import Found, Gallery, GalleryInfo, Items, Latent
from iiae.search.items import vector_faults
from iiae.search.lance import Value, in_list
from iiae.types import Domain, other

BATCH = 64  # samples a step of the model


class Vectors(NamedTuple):
    """Posterior means of one batch: r(z_s given one domain), and its exclusive latent."""

    shared: Float[np.ndarray, "batch shared"]
    exclusive: Float[np.ndarray, "batch exclusive"]


class Indexed(NamedTuple):
    """What `index_files` did.

    `failed` has a line for each file that could not be read; `unmatched` of the `described` rows
    of the metadata name no file that was indexed.
    """

    added: int
    replaced: int
    unchanged: int
    failed: list[str]
    total: int
    method: str
    described: int = 0
    unmatched: int = 0


class Searched(NamedTuple):
    """Names of the queries, their hits, and a line for each query that could not be read."""

    names: list[str]
    results: Found
    failed: list[str]


@torch.inference_mode()
def encode(
    run: TrainedRun, batch: Float[Tensor, "batch *shape"], domain: Domain, active_only: bool = False
) -> Vectors:
    """Latents to search by, on the CPU.

    Args:
        run: A trained run.
        batch: Samples of `domain`.
        domain: "x" or "y".
        active_only: Keep only the active dimensions of z_s.
    """
    model = run.model
    q = model.encoder(domain)(batch.to(model.active.device))
    shared = q.shared.mean[:, model.active] if active_only else q.shared.mean
    return Vectors(shared.float().cpu().numpy(), q.exclusive.mean.float().cpu().numpy())


def index_files(
    run: TrainedRun,
    where: str | Path,
    inputs: Sequence[Path],
    domain: Domain,
    distance: str | None = None,
    metadata: Path | None = None,
    active_only: bool = False,
    batch: int = BATCH,
    progress: bool = True,
) -> Indexed:
    """Puts files into a gallery, which is made where there is none.

    Files whose content the gallery holds under their path are left alone, so a repeat continues
    where an earlier call stopped. Labels are the names of the folders that hold the files. Files
    that cannot be read are left out and named, unless none can.

    Args:
        run: A trained run.
        where: Folder or URL of the gallery.
        inputs: Images, folders of them (searched to any depth), `.npy` of features, or
            `.npz` with `features` (or an array named as the domain), `paths` and `labels`.
        domain: Of the files, "x" or "y".
        distance: "euclidean" (the default) or "cosine"; fixed when the gallery is made.
        metadata: CSV with a column `path` (relative to the CSV) and others to store.
        active_only: Store only the active dimensions of z_s; fixed when the gallery is made.
        batch: Samples a step of the model.
        progress: Draw a bar.

    Raises:
        DataError: No file could be read, or an array does not fit the model.
        GalleryError: The gallery is of another model, domain or distance, or cannot be written.
    """
    shape = run.shapes[0 if domain == "x" else 1]
    known = {} if metadata is None else read_metadata(metadata)
    parts, paths, failed = collect([Path(p) for p in inputs], shape, domain)
    gallery = _gallery(run, where, domain, distance, active_only)
    keys = {path: metadata_key(path) for path in paths} if known else {}
    # before any file is read, so that a value that does not fit its column ends no half-done work
    gallery.add_columns({path: known[key] for path, key in keys.items() if key in known})
    unmatched = set(known)
    added = replaced = unchanged = 0
    with _bar(len(paths), progress) as advance:
        for part in parts:
            extra = [known.get(keys.get(path, path), {}) for path in part.paths]
            held = {row["path"]: row for row in gallery.rows(in_list("path", part.paths))}
            new = [i for i in range(len(part.paths)) if _differs(part, extra, held, i)]
            kept = _put(run, gallery, part, extra, new, batch, failed)
            known_before = sum(part.paths[i] in held for i in kept)
            replaced, added = replaced + known_before, added + len(kept) - known_before
            unchanged += len(part.paths) - len(new)
            lost = set(new) - set(kept)
            unmatched -= {keys.get(p, p) for i, p in enumerate(part.paths) if i not in lost}
            advance(len(part.paths))
    if failed and not added + replaced + unchanged:
        raise DataError(f"none of {len(failed)} files could be read; the first: {failed[0]}")
    return Indexed(
        added,
        replaced,
        unchanged,
        failed,
        len(gallery),
        gallery.tidy(),
        len(known),
        len(unmatched),
    )


def search_files(
    run: TrainedRun,
    where: str | Path,
    queries: Sequence[Path],
    top: int = 10,
    domain: Domain | None = None,
    filter: str | None = None,
    by: Latent = "shared",
    vectors: bool = False,
) -> Searched:
    """What a gallery holds nearest to each query.

    Queries that cannot be read are left out and named, unless none can.

    Args:
        run: The run that indexed the gallery.
        where: Folder or URL of the gallery.
        queries: Images or folders of them, or `.npy` or `.npz` of features.
        top: Hits a query.
        domain: Of the queries; by default the one that the gallery does not hold.
        filter: SQL condition on path, label and metadata.
        by: Which latent to compare.
        vectors: The queries are `.npy` of latents, to be used as they are.

    Raises:
        DataError: No query can be read, or an array does not fit the model.
        GalleryError: There is no such gallery, it is of another model, or the filter is wrong.
    """
    gallery = Gallery.open(where, *known_digests(run.folder))
    files = [Path(query) for query in queries]
    if vectors:
        names, values = _latents(files, getattr(gallery.info, by))
        return Searched(names, gallery.search(values, top, filter, by), [])
    domain = domain or other(gallery.info.domain)
    parts, _, failed = collect(files, run.shapes[0 if domain == "x" else 1], domain)
    names: list[str] = []
    latents: list[np.ndarray] = []
    for part in parts:
        every = range(len(part.paths))
        encoded = _encoded(run, part, every, domain, gallery.info.active_only, BATCH)
        paths, some = [part.paths[i] for i in encoded.kept], getattr(encoded.vectors, by)
        good, lines = _comparable([some], gallery.info, paths)
        failed += [*encoded.failed, *lines]
        names += [path for path, keep in zip(paths, good, strict=True) if keep]
        latents += [some[good]] if good.any() else []
    if not names:
        raise DataError(f"none of {len(failed)} queries could be read; the first: {failed[0]}")
    results = gallery.search(np.concatenate(latents), top, filter, by)
    return Searched(names, results, failed)


def _latents(files: Sequence[Path], size: int) -> tuple[list[str], np.ndarray]:
    """Rows of arrays of latents, and what each is called."""
    names: list[str] = []
    rows: list[np.ndarray] = []
    for file in files:
        values = read_array(file)
        values = values[None] if values.ndim == 1 else values
        if values.ndim != 2 or values.shape[1] != size or not len(values):
            raise DataError(f"{file}: has shape {values.shape}; expected (queries, {size})")
        names += [f"{file}#{i}" for i in range(len(values))]
        rows.append(values)
    return names, np.concatenate(rows)


def _gallery(
    run: TrainedRun, where: str | Path, domain: Domain, distance: str | None, active_only: bool
) -> Gallery:
    """The gallery, made where there is none, and of these properties."""
    if distance not in (None, "euclidean", "cosine"):
        raise GalleryError(f"distance {distance}: is euclidean or cosine")
    models, active = known_digests(run.folder), int(run.model.active.sum())
    found = Gallery.find(where)
    if found is None:
        size = active if active_only else len(run.model.active)
        own = exclusive_size(run.model, domain)
        kind = "cosine" if distance == "cosine" else "euclidean"
        return Gallery.create(where, GalleryInfo(models[0], domain, kind, size, own, active_only))
    found = Gallery.open(where, *models)
    if found.info.domain != domain:
        raise GalleryError(f"{where}: holds items of domain {found.info.domain}, not {domain}")
    if distance not in (None, found.info.distance):
        raise GalleryError(f"{where}: was made for {found.info.distance} distance, not {distance}")
    if active_only and not found.info.active_only:
        raise GalleryError(f"{where}: was made with all dimensions of z_s, not the active ones")
    return found


def _differs(
    part: Part,
    extra: Sequence[Mapping[str, Value]],
    held: Mapping[str, Mapping[str, Value]],
    i: int,
) -> bool:
    """Whether sample i has other content or metadata than the gallery holds."""
    row = held.get(part.paths[i])
    if row is None or part.digests[i] != row["digest"]:
        return True
    return any(_as_held(value, row.get(name)) != row.get(name) for name, value in extra[i].items())


def _as_held(value: Value, held: Value) -> Value:
    """A value as the column would hold it, where text is held."""
    return str(value) if isinstance(held, str) and value is not None else value


def _put(
    run: TrainedRun,
    gallery: Gallery,
    part: Part,
    extra: Sequence[Mapping[str, Value]],
    new: Sequence[int],
    batch: int,
    failed: list[str],
) -> list[int]:
    """Encodes samples of a part and commits them at once: those that could be read."""
    encoded = _encoded(run, part, new, gallery.info.domain, gallery.info.active_only, batch)
    paths = [part.paths[i] for i in encoded.kept]
    good, lines = _comparable(encoded.vectors, gallery.info, paths)
    failed += [*encoded.failed, *lines]
    kept = np.array(encoded.kept, int)[good].tolist()
    if kept:
        paths, digests, labels = (
            [column[i] for i in kept] for column in (part.paths, part.digests, part.labels)
        )
        shared, exclusive = (latents[good] for latents in encoded.vectors)
        metadata = [extra[i] for i in kept]
        gallery.put(Items(paths, digests, labels, shared, exclusive, metadata))
    return kept


class _Encoded(NamedTuple):
    """Latents of samples `kept` of a part, and a line for each that could not be read."""

    kept: list[int]
    vectors: Vectors
    failed: list[str]


def _encoded(
    run: TrainedRun,
    part: Part,
    wanted: Sequence[int],
    domain: Domain,
    active_only: bool,
    batch: int,
) -> _Encoded:
    kept: list[int] = []
    failed: list[str] = []
    vectors: list[Vectors] = []
    for start in range(0, len(wanted), batch):
        samples: list[Tensor] = []
        for i in wanted[start : start + batch]:
            try:
                samples.append(part.sample(i))
                kept.append(i)
            except DataError as error:
                failed.append(str(error))
        if samples:
            vectors.append(encode(run, torch.stack(samples), domain, active_only))
    if not kept:
        return _Encoded([], Vectors(np.empty((0, 1)), np.empty((0, 1))), failed)
    columns = (np.concatenate(column) for column in zip(*vectors, strict=True))
    return _Encoded(kept, Vectors(*columns), failed)


def _comparable(
    latents: Sequence[np.ndarray], info: GalleryInfo, names: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """Which rows have distances to others, and a line for each that has none."""
    faults = [fault for some in latents for fault in vector_faults(some, info).items()]
    why = {int(i): reason for reason, rows in faults for i in rows}
    good = np.array([i not in why for i in range(len(names))], bool)
    return good, [f"{names[i]}: {why[i]}" for i in sorted(why)]


@contextmanager
def _bar(total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error; yields what moves it on."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("index"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task("index", total=total)
        yield lambda count: bar.advance(task, count)
