"""Indexing of a user's samples with a trained run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, get_args

from iiae.errors import GalleryError
from iiae.files.decoding import OnError, Skipped
from iiae.files.interface import Source
from iiae.run_folder import TrainedRun, context_of_source, open_samples, weights_digest
from iiae.search.encoding import encode_samples, make_space
from iiae.search.gallery import Gallery
from iiae.search.items import Distance, GalleryInfo, Items
from iiae.search.lance import Value
from iiae.search.metadata import metadata_key, read_metadata, source_metadata
from iiae.search.root import choose_root
from iiae.types import Context, Domain

IMAGES_A_PART, ROWS_A_PART = 256, 8192  # samples that are committed at once


class Indexed(NamedTuple):
    """What `index_files` did.

    `failed` has a line for each sample that was skipped; `unmatched` of the `described` rows of the
    metadata name no sample that was indexed.
    """

    added: int
    replaced: int
    unchanged: int
    failed: list[str]
    total: int
    method: str
    described: int = 0
    unmatched: int = 0


def index_files(
    run: TrainedRun,
    where: str | Path,
    inputs: Sequence[str | Path],
    domain: Domain,
    distance: Distance | None = None,
    metadata: Path | None = None,
    active_only: bool = False,
    progress: bool = True,
    on_error: OnError = "stop",
    columns: str | Path | None = None,
) -> Indexed:
    """Puts samples into a gallery; creates the gallery if there is none.

    Samples whose content the gallery holds under their path are left alone, so a repeat continues
    where an earlier call stopped. Labels are the names of the folders that hold the files.

    Args:
        run: A trained run.
        where: Folder or URL of the gallery.
        inputs: As for `iiae.files.sources.open_source`.
        domain: Of the samples, "x" or "y".
        distance: "chosen" (the default): as the run chose on validation pairs; "euclidean" (the
            paper's) or "cosine" of the means; fixed when the gallery is made.
        metadata: CSV with a column `path` (relative to the CSV) and others to store; by default
            those that samples bring with them, of cells the columns of `obs`.
        active_only: Store only the active dimensions of z_s; fixed when the gallery is made.
        progress: Draw a bar.
        on_error: "skip" leaves out samples that cannot be read or have no distances to others.
        columns: `.npz`, `.csv`, `.tsv` or `.parquet` with the covariates of the samples, a row
            each, if the run takes any and the samples are no cells.

    Raises:
        DataError: A sample cannot be read, does not fit the model or has no distances to others.
        GalleryError: The gallery is of another model, domain or distance, or cannot be written.
    """
    source = open_samples(run, inputs, domain)
    known = source_metadata(source) if metadata is None else read_metadata(Path(metadata))
    context = context_of_source(run.model.covariates, source, columns)
    gallery = _gallery(run, where, inputs, domain, distance, active_only)
    skipped = Skipped(on_error)
    if known:
        _add_columns(gallery, source, known)
    added = replaced = unchanged = 0
    unmatched = set(known)
    with _bar(len(source), progress) as advance:
        for part in _parts(source, context, len(run.shapes[0]) == 3):
            done = _update(run, gallery, part, known, skipped)
            added += len(done.added)
            replaced += len(done.replaced)
            unchanged += len(done.unchanged)
            unmatched -= {metadata_key(path) for some in done for path in some} if known else set()
            advance(len(part.paths))
    skipped.check(added + replaced + unchanged)
    return Indexed(
        added,
        replaced,
        unchanged,
        skipped.reasons,
        len(gallery),
        gallery.tidy(),
        len(known),
        len(unmatched),
    )


def _add_columns(
    gallery: Gallery, source: Source, known: Mapping[str, Mapping[str, Value]]
) -> None:
    """Columns of the metadata, before any file is read: a misfit then ends no half-done work."""
    keyed = ((path, metadata_key(path)) for path in map(source.path, range(len(source))))
    gallery.add_columns({path: known[key] for path, key in keyed if key in known})


class _Part(NamedTuple):
    """Samples of a source that are committed at once, by their numbers, and their paths.

    `context` has the covariates of all samples of the source.
    """

    source: Source
    context: Context
    numbers: range
    paths: list[str]


def _parts(source: Source, context: Context, images: bool) -> Iterator[_Part]:
    size = IMAGES_A_PART if images else ROWS_A_PART
    for start in range(0, len(source), size):
        numbers = range(start, min(start + size, len(source)))
        yield _Part(source, context, numbers, [source.path(i) for i in numbers])


class _Done(NamedTuple):
    """Paths of a part: added, replaced or unchanged."""

    added: list[str]
    replaced: list[str]
    unchanged: list[str]


def _update(
    run: TrainedRun,
    gallery: Gallery,
    part: _Part,
    known: Mapping[str, Mapping[str, Value]],
    skipped: Skipped,
) -> _Done:
    """Commits those samples of a part that the gallery does not hold as they are."""
    source, info = part.source, gallery.info
    extra = [known.get(metadata_key(path), {}) if known else {} for path in part.paths]
    held = gallery.held(part.paths)
    digests = [_digest(part, i) for i in part.numbers]
    rows = list(zip(part.paths, digests, extra, strict=True))
    new = [i for i, row in zip(part.numbers, rows, strict=True) if _differs(*row, held)]
    encoded = encode_samples(
        run, source, new, info.domain, info, "item", skipped, known=part.context
    )
    if encoded.kept:
        paths, kept_digests, metadata = zip(
            *(rows[i - part.numbers.start] for i in encoded.kept), strict=True
        )
        labels = [source.label(i) for i in encoded.kept]
        gallery.put(
            Items(paths, kept_digests, labels, *encoded.vectors, metadata, encoded.thumbnails)
        )
    kept = [part.paths[i - part.numbers.start] for i in encoded.kept]
    changed = {part.paths[i - part.numbers.start] for i in new}
    return _Done(
        [path for path in kept if path not in held],
        [path for path in kept if path in held],
        [path for path in part.paths if path not in changed],
    )


def _gallery(
    run: TrainedRun,
    where: str | Path,
    inputs: Sequence[str | Path],
    domain: Domain,
    distance: Distance | None,
    active_only: bool,
) -> Gallery:
    """The gallery, created if there is none; raises GalleryError if its properties differ."""
    if distance not in (None, *get_args(Distance)):
        raise GalleryError(f"distance {distance}: must be one of {', '.join(get_args(Distance))}")
    model = weights_digest(run.folder)
    gallery = Gallery.find(where)
    if gallery is None:
        kind = distance or "chosen"
        size = make_space(run, kind, active_only).size
        own = run.model.exclusive_sizes.of(domain)
        root = choose_root(inputs, where)
        return Gallery.create(where, GalleryInfo(model, domain, kind, size, own, active_only, root))
    gallery = Gallery.open(where, model)
    if gallery.info.domain != domain:
        raise GalleryError(f"{where}: holds items of domain {gallery.info.domain}, not {domain}")
    if distance not in (None, gallery.info.distance):
        raise GalleryError(
            f"{where}: was made for {gallery.info.distance} distance, not {distance}"
        )
    if active_only and not gallery.info.active_only:
        raise GalleryError(f"{where}: was made with all dimensions of z_s, not the active ones")
    return gallery


def _digest(part: _Part, i: int) -> str:
    """Of a sample's content and covariates; empty if it cannot be read."""
    content, covariates = part.source.digest(i), part.context.covariates
    if covariates is None or not content:
        return content
    return hashlib.sha256(content.encode() + covariates[i].numpy().tobytes()).hexdigest()


def _differs(
    path: str,
    digest: str,
    extra: Mapping[str, Value],
    held: Mapping[str, Mapping[str, Value]],
) -> bool:
    """Whether a sample has other content or metadata than the gallery holds."""
    row = held.get(path)
    if row is None or digest != row["digest"]:
        return True
    return any(_as_held(value, row.get(name)) != row.get(name) for name, value in extra.items())


def _as_held(value: Value, held: Value) -> Value:
    """A value as the column would hold it: as text if the column holds text."""
    return str(value) if isinstance(held, str) and value is not None else value


@contextmanager
def _bar(total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error; yields the function that advances it."""
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
