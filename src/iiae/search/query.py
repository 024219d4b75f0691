"""Searching a gallery with a user's samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from iiae.errors import DataError, GalleryError, SettingsError
from iiae.files.decoding import OnError, Skipped
from iiae.files.interface import Source
from iiae.files.rows import as_rows, read_rows
from iiae.run_folder import (
    NO_COVARIATES,
    TrainedRun,
    context_of_source,
    open_samples,
    weights_digest,
)
from iiae.search.encoding import EncodedSamples, encode_samples, make_space
from iiae.search.gallery import Gallery
from iiae.search.items import VECTORS, Latent, SearchResult
from iiae.search.weights import By, Weights, read_weights, search_weighted
from iiae.types import Context, Domain, other


class Searched(NamedTuple):
    """Names of the queries, their hits, and a line for each query that was skipped."""

    names: list[str]
    results: SearchResult
    failed: list[str]


def search_files(
    run: TrainedRun,
    where: str | Path,
    queries: Sequence[str | Path],
    top: int = 10,
    domain: Domain | None = None,
    filter: str | None = None,
    by: By = "shared",
    vectors: bool = False,
    on_error: OnError = "stop",
    like: str | Path | None = None,
    root: str | Path | None = None,
    columns: str | Path | None = None,
) -> Searched:
    """The items of a gallery nearest to each query.

    Args:
        run: The run that indexed the gallery.
        where: Folder or URL of the gallery.
        queries: As for `iiae.files.sources.open_source`.
        top: Hits a query.
        domain: Of the queries; by default the one that the gallery does not hold.
        filter: SQL condition on path, label and metadata.
        by: Which latent to compare, or how much each counts: see `iiae.search.weights`.
        vectors: The queries are files of latents, to be used as they are.
        on_error: "skip" leaves out queries that cannot be read or have no distances to others.
        like: A sample of the gallery's domain that lends its exclusive latent to every query; by
            default each query of that domain has its own.
        root: Where the gallery's files lie now, if they were moved.
        columns: `.npz`, `.csv`, `.tsv` or `.parquet` with the covariates of the queries, a row
            each, if the run takes any and the queries are no cells.

    Raises:
        DataError: A query cannot be read, does not fit the model or has no distances to others.
        SettingsError: The run takes covariates that nothing holds, or none are to be given.
        GalleryError: There is no such gallery, it is of another model, or the filter is wrong.
    """
    gallery, weights = Gallery.open(where, weights_digest(run.folder), root), read_weights(by)
    domain = domain or other(gallery.info.domain)
    lent = not vectors and (like is not None or domain == gallery.info.domain)
    if not lent and (weights.alone is None or (weights.alone == "exclusive" and not vectors)):
        raise GalleryError(
            f"by {by}: the exclusive latent is that of domain {gallery.info.domain}, which the "
            "gallery holds; give a sample of it to be like"
        )
    if vectors and columns is not None:
        raise SettingsError("queries that are latents already take no covariates")
    if vectors:
        names, values = _given_latents(run, gallery, queries, domain, weights.alone or "shared")
        return Searched(names, gallery.search(values, top, filter, weights.alone or "shared"), [])
    skipped = Skipped(on_error)
    source = open_samples(run, queries, domain)
    known = context_of_source(run.model.covariates, source, columns)
    encoded = _encode(run, gallery, source, known, domain, weights, skipped)
    shared, exclusive = encoded.vectors
    if like is not None:
        exclusive = np.repeat(_lent(run, gallery, like), len(shared), 0)
    if weights.alone:
        alone = shared if weights.alone == "shared" else exclusive
        results = gallery.search(alone, top, filter, weights.alone)
    else:
        results = search_weighted(gallery, shared, exclusive, weights, top, filter)
    return Searched([source.path(i) for i in encoded.kept], results, skipped.reasons)


def _lent(run: TrainedRun, gallery: Gallery, like: str | Path) -> np.ndarray:
    """The exclusive latent of a sample of the gallery's domain, in one row."""
    domain = gallery.info.domain
    source = open_samples(run, [like], domain)
    known = context_of_source(run.model.covariates, source, None, advice=NO_COVARIATES)
    encoded = _encode(run, gallery, source, known, domain, Weights(0, 1), Skipped("stop"))
    return encoded.vectors.exclusive[:1]


def _encode(
    run: TrainedRun,
    gallery: Gallery,
    source: Source,
    known: Context,
    domain: Domain,
    weights: Weights,
    skipped: Skipped,
) -> EncodedSamples:
    """Latents of queries; those that count must have distances."""
    compared: list[Latent] = [
        latent for latent, weight in zip(VECTORS, weights, strict=True) if weight
    ]
    every = range(len(source))
    encoded = encode_samples(
        run, source, every, domain, gallery.info, "query", skipped, compared, known
    )
    skipped.check(len(encoded.kept))
    return encoded


def _given_latents(
    run: TrainedRun, gallery: Gallery, files: Sequence[str | Path], domain: Domain, by: Latent
) -> tuple[list[str], np.ndarray]:
    """Queries that are given as latents."""
    names, values = _latents(
        files, len(run.model.active) if by == "shared" else gallery.info.exclusive
    )
    if by == "shared":
        space = make_space(run, gallery.info.distance, gallery.info.active_only)
        values = space.vectors(torch.from_numpy(values.astype(np.float32)), domain, "query").numpy()
    return names, values


def _latents(files: Sequence[str | Path], size: int) -> tuple[list[str], np.ndarray]:
    """Rows of files of latents, and their names."""
    names: list[str] = []
    rows: list[np.ndarray] = []
    for file in files:
        values = as_rows(read_rows(Path(file), "vector").values)
        if values.ndim != 2 or values.shape[1] != size or not len(values):
            raise DataError(f"{file}: has shape {values.shape}; expected (queries, {size})")
        names += [f"{file}#{i}" for i in range(len(values))]
        rows.append(values)
    return names, np.concatenate(rows)
