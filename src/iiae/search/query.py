"""Searching a gallery with a user's samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from iiae.errors import DataError
from iiae.files.decoding import OnError, Skipped
from iiae.files.rows import as_rows, read_rows
from iiae.files.sources import open_source
from iiae.run_folder import TrainedRun, weights_digest
from iiae.search.encoding import encode_samples, make_space
from iiae.search.gallery import Gallery
from iiae.search.items import Found, Latent
from iiae.types import Domain, other


class Searched(NamedTuple):
    """Names of the queries, their hits, and a line for each query that was skipped."""

    names: list[str]
    results: Found
    failed: list[str]


def search_files(
    run: TrainedRun,
    where: str | Path,
    queries: Sequence[str | Path],
    top: int = 10,
    domain: Domain | None = None,
    filter: str | None = None,
    by: Latent = "shared",
    vectors: bool = False,
    on_error: OnError = "stop",
) -> Searched:
    """What a gallery holds nearest to each query.

    Args:
        run: The run that indexed the gallery.
        where: Folder or URL of the gallery.
        queries: As for `iiae.files.sources.open_source`.
        top: Hits a query.
        domain: Of the queries; by default the one that the gallery does not hold.
        filter: SQL condition on path, label and metadata.
        by: Which latent to compare.
        vectors: The queries are files of latents, to be used as they are.
        on_error: "skip" leaves out queries that cannot be read or have no distances to others.

    Raises:
        DataError: A query cannot be read, does not fit the model or has no distances to others.
        GalleryError: There is no such gallery, it is of another model, or the filter is wrong.
    """
    gallery = Gallery.open(where, weights_digest(run.folder))
    if vectors:
        latents = len(run.model.active) if by == "shared" else gallery.info.exclusive
        names, values = _latents(queries, latents)
        if by == "shared":
            space = make_space(run, gallery.info.distance, gallery.info.active_only)
            means = torch.from_numpy(values.astype(np.float32))
            values = space.vectors(means, domain or other(gallery.info.domain), "query").numpy()
        return Searched(names, gallery.search(values, top, filter, by), [])
    domain = domain or other(gallery.info.domain)
    source = open_source(
        queries, run.shapes[0 if domain == "x" else 1], domain, run.settings.data.pad
    )
    skipped = Skipped(on_error)
    every = range(len(source))
    encoded = encode_samples(run, source, every, domain, gallery.info, "query", skipped, (by,))
    skipped.check(len(encoded.kept))
    results = gallery.search(getattr(encoded.vectors, by), top, filter, by)
    return Searched([source.path(i) for i in encoded.kept], results, skipped.reasons)


def _latents(files: Sequence[str | Path], size: int) -> tuple[list[str], np.ndarray]:
    """Rows of files of latents, and what each is called."""
    names: list[str] = []
    rows: list[np.ndarray] = []
    for file in files:
        values = as_rows(read_rows(Path(file), "vector").values)
        if values.ndim != 2 or values.shape[1] != size or not len(values):
            raise DataError(f"{file}: has shape {values.shape}; expected (queries, {size})")
        names += [f"{file}#{i}" for i in range(len(values))]
        rows.append(values)
    return names, np.concatenate(rows)
