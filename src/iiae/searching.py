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

from iiae.data.arrays import read_array
from iiae.data.collection import Part, collect, read_metadata
from iiae.errors import DataError, GalleryError
from iiae.gallery import Found, Gallery, GalleryInfo, Items, Latent
from iiae.lance import Value, in_list
from iiae.runs import Run, known_digests
from iiae.tasks.translation import exclusive_size
from iiae.types import Domain, other


class Vectors(NamedTuple):
    """Posterior means of one batch: r(z_s given one domain), and its exclusive latent."""

    shared: Float[np.ndarray, "batch shared"]
    exclusive: Float[np.ndarray, "batch exclusive"]


class Indexed(NamedTuple):
    """What `index_files` did; `failed` has a line for each file that could not be read."""

    added: int
    replaced: int
    unchanged: int
    failed: list[str]
    total: int
    method: str


@torch.inference_mode()
def encode(
    run: Run, batch: Float[Tensor, "batch *shape"], domain: Domain, active_only: bool = False
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
    run: Run,
    where: str | Path,
    inputs: Sequence[Path],
    domain: Domain,
    distance: str | None = None,
    metadata: Path | None = None,
    active_only: bool = False,
    batch: int = 64,
    progress: bool = True,
) -> Indexed:
    """Puts files into a gallery, which is made where there is none.

    Files whose content the gallery holds under their path are left alone, so a repeat goes on
    where an earlier call stopped. Labels are the names of the folders that hold the files.

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
    parts, total = collect([Path(p) for p in inputs], shape, domain)
    gallery = _gallery(run, where, domain, distance, active_only)
    failed: list[str] = []
    added = replaced = unchanged = 0
    with _bar(total, progress) as advance:
        for part in parts:
            extra = [known.get(path, {}) for path in part.paths]
            held = {row["path"]: row for row in gallery.rows(in_list("path", part.paths))}
            new = [i for i in range(len(part.paths)) if _differs(part, extra, held, i)]
            kept = _put(run, gallery, part, extra, new, batch, failed)
            known_before = sum(path in held for path in kept)
            replaced, added = replaced + known_before, added + len(kept) - known_before
            unchanged += len(part.paths) - len(new)
            advance(len(part.paths))
    if failed and not added + replaced + unchanged:
        raise DataError(f"none of {total} files could be read; the first: {failed[0]}")
    return Indexed(added, replaced, unchanged, failed, len(gallery), gallery.tidy())


def search_files(
    run: Run,
    where: str | Path,
    queries: Sequence[Path],
    top: int = 10,
    domain: Domain | None = None,
    filter: str | None = None,
    by: Latent = "shared",
    vectors: bool = False,
) -> tuple[list[str], Found]:
    """Names of the queries and what a gallery holds nearest to each.

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
        DataError: A query cannot be read or does not fit the model.
        GalleryError: There is no such gallery, it is of another model, or the filter is wrong.
    """
    gallery = Gallery.open(where, *known_digests(run.folder))
    files = [Path(query) for query in queries]
    if vectors:
        arrays = [np.atleast_2d(read_array(path)) for path in files]
        names = [
            f"{p}#{i}" for p, rows in zip(files, arrays, strict=True) for i in range(len(rows))
        ]
        return names, gallery.search(np.concatenate(arrays).astype(np.float32), top, filter, by)
    domain = domain or other(gallery.info.domain)
    names, found = [], []
    for part in collect(files, run.shapes[0 if domain == "x" else 1], domain)[0]:
        names += part.paths
        batch = torch.stack([part.sample(i) for i in range(len(part.paths))])
        found.append(encode(run, batch, domain, gallery.info.active_only))
    return names, gallery.search(np.concatenate([getattr(v, by) for v in found]), top, filter, by)


def _gallery(
    run: Run, where: str | Path, domain: Domain, distance: str | None, active_only: bool
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
    return row is None or {**row, **extra[i], "id": part.ids[i]} != row


def _put(
    run: Run,
    gallery: Gallery,
    part: Part,
    extra: Sequence[Mapping[str, Value]],
    new: Sequence[int],
    batch: int,
    failed: list[str],
) -> list[str]:
    """Encodes samples of a part and commits them at once: the paths that could be read."""
    kept: list[int] = []
    vectors: list[Vectors] = []
    for start in range(0, len(new), batch):
        samples: list[Tensor] = []
        for i in new[start : start + batch]:
            try:
                samples.append(part.sample(i))
                kept.append(i)
            except DataError as error:
                failed.append(str(error))
        if samples:
            info = gallery.info
            vectors.append(encode(run, torch.stack(samples), info.domain, info.active_only))
    if kept:
        paths, ids, labels = ([c[i] for i in kept] for c in (part.paths, part.ids, part.labels))
        shared = np.concatenate([v.shared for v in vectors])
        exclusive = np.concatenate([v.exclusive for v in vectors])
        gallery.put(Items(paths, ids, labels, shared, exclusive, [extra[i] for i in kept]))  # pyright: ignore[reportArgumentType]
    return [part.paths[i] for i in kept]


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
