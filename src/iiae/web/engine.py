"""The model and the gallery behind the server: batches in, plain results out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iiae.errors import DataError, GalleryError
from iiae.files.images import decode_image
from iiae.model.columns import NO_LATENT
from iiae.model.translation import (
    Domain,
    draw_exclusive,
    exclusive_size,
    interpolate,
    render,
    translate,
)
from iiae.run_folder import TrainedRun
from iiae.search.encoding import Space, Vectors, encode, make_space
from iiae.search.gallery import Gallery
from iiae.search.items import Hit, Latent, by_id_or_path
from iiae.web.pictures import pen_and_paper

LARGEST = float(np.finfo(np.float32).max)

J = TypeVar("J")
R = TypeVar("R")


class Sample(NamedTuple):
    """One sample to encode, of the shape that its domain has."""

    values: Tensor
    domain: Domain


class Query(NamedTuple):
    """One search: by a sample, or by the latent of an item, which is itself left out.

    `item` is the id of an item, or its path.
    """

    sample: Sample | None
    item: str | None
    by: Latent
    top: int
    where: str | None


class Translation(NamedTuple):
    """One content with several exclusive latents of the other domain, `(count, exclusive)`."""

    source: Tensor
    to: Domain
    exclusive: Tensor


class Answer(NamedTuple):
    """Hits of one query and how they were found."""

    hits: list[Hit]
    method: str


class Engine:
    """Work on batches of requests; called from one thread.

    Args:
        run: A trained run.
        gallery: Of its model, or None.
        most_pixels: Of an uploaded image.
    """

    def __init__(self, run: TrainedRun, gallery: Gallery | None, most_pixels: int):
        self.run, self.gallery, self.most_pixels = run, gallery, most_pixels
        info = gallery.info if gallery else None
        self.space = make_space(run, info.distance, info.active_only) if info else None

    def shape(self, domain: Domain) -> Sequence[int]:
        """Of one sample of a domain."""
        return self.run.shapes[0 if domain == "x" else 1]

    def read(self, data: bytes, domain: Domain, name: str) -> Sample:
        """A sample of a file's bytes: an image, or JSON of a list of features.

        Raises:
            DataError: They are neither, or do not fit the model.
        """
        shape = self.shape(domain)
        if len(shape) == 3:
            pad = self.run.settings.data.pad
            return Sample(decode_image(data, shape, name, self.most_pixels, pad), domain)
        return Sample(_features(data, shape[0], name), domain)

    def warm(self) -> None:
        """Does each kind of work once, since the first time takes a second."""
        with suppress(DataError, GalleryError):  # a request will meet it, and be answered
            self.embed([Sample(torch.zeros(*self.shape(d)), d) for d in ("x", "y")])
            if self.gallery is not None:
                sample = Sample(torch.ones(*self.shape("x")), "x")
                self.search([Query(sample, None, "shared", 1, None)])

    def colours(self, domain: Domain, draws: int = 32) -> dict[str, str]:
        """Of a pen and of the paper, as images of a domain have them: of draws."""
        model, generator = self.run.model, torch.Generator().manual_seed(0)
        shared = torch.randn(draws, len(model.active), generator=generator).to(model.active.device)
        exclusive = draw_exclusive(model, domain, draws, generator)
        images = render(model, shared, domain, exclusive).float().cpu()
        return dict(zip(("pen", "paper"), pen_and_paper(images), strict=True))

    def embed(self, samples: Sequence[Sample]) -> list[Vectors]:
        """Latents of each sample, all dimensions.

        Raises:
            DataError: A latent is not finite.
        """
        return self._encoded(samples, None)

    def search(self, queries: Sequence[Query]) -> list[Answer]:
        """Hits of each query.

        Raises:
            DataError: The latent of a sample is not finite.
            GalleryError: There is no gallery, or it has no such item.
        """
        gallery = self.open_gallery()
        samples = [query.sample for query in queries if query.sample]
        encoded = iter(self._encoded(samples, self.space))
        vectors = [
            getattr(next(encoded), q.by)[0] if q.sample else self._like_item(q) for q in queries
        ]

        def search(some: Sequence[tuple[Query, np.ndarray]]) -> list[Answer]:
            rows, first = np.stack([vector for _, vector in some]), some[0][0]
            # one more, since an item finds itself
            found = gallery.search(rows, first.top + 1, first.where, first.by)
            kept = [
                [hit for hit in hits if query.item not in (hit.id, hit.path)][: query.top]
                for (query, _), hits in zip(some, found.hits, strict=True)
            ]
            return [Answer(hits, found.method) for hits in kept]

        jobs = list(zip(queries, vectors, strict=True))
        return grouped(jobs, lambda job: (job[0].by, job[0].top, job[0].where), search)

    def translate(self, jobs: Sequence[Translation]) -> list[Tensor]:
        """Each content in the other domain, `(count, *shape)`.

        Raises:
            DataError: A translation is not finite.
        """

        def work(some: Sequence[Translation]) -> list[Tensor]:
            counts = [len(job.exclusive) for job in some]
            device = self.run.model.active.device
            sources = torch.stack([job.source for job in some])
            sources = sources.repeat_interleave(torch.tensor(counts), 0)
            exclusive = torch.cat([job.exclusive for job in some])
            out = translate(
                self.run.model, sources.to(device), some[0].to, exclusive=exclusive.to(device)
            )
            if not out.isfinite().all():
                raise DataError("the translation is not finite; the values are too large")
            return list(out.float().cpu().split(counts))

        return grouped(jobs, lambda job: job.to, work)

    def exclusive(
        self, to: Domain, likes: Sequence[Sample | str], steps: int, draws: int, seed: int
    ) -> Tensor:
        """Exclusive latents `(count, exclusive)`: of one reference, on the way from one to
        another in `steps`, drawn, or the mean of the prior. References are samples, or ids
        of items of a gallery of `to`."""
        if likes:
            found = [torch.from_numpy(self._reference(like, to)) for like in likes]
            return found[0] if len(found) == 1 else interpolate(found[0][0], found[1][0], steps)
        if draws:
            generator = torch.Generator().manual_seed(seed)
            return draw_exclusive(self.run.model, to, draws, generator).cpu()
        return torch.zeros(1, exclusive_size(self.run.model, to))

    def open_gallery(self) -> Gallery:
        """The gallery.

        Raises:
            GalleryError: The server was started without one.
        """
        if self.gallery is None:
            raise GalleryError("the server has no gallery: iiae serve RUN --gallery GALLERY")
        return self.gallery

    def _encoded(self, samples: Sequence[Sample], space: Space | None) -> list[Vectors]:
        def work(some: Sequence[Sample]) -> list[Vectors]:
            batch = torch.stack([sample.values for sample in some])
            z = encode(self.run, batch, some[0].domain, space)
            if not all(np.isfinite(latent).all() for latent in z):
                raise DataError(f"the sample: {NO_LATENT}")
            return [Vectors(z.shared[i : i + 1], z.exclusive[i : i + 1]) for i in range(len(some))]

        return grouped(samples, lambda sample: sample.domain, work)

    def _reference(self, like: Sample | str, to: Domain) -> np.ndarray:
        """Exclusive latent of a reference, in one row."""
        if isinstance(like, Sample):
            return self.embed([like])[0].exclusive
        if (held := self.open_gallery().info.domain) != to:
            raise GalleryError(f"items of the gallery are of domain {held}, not {to}")
        return self._of_item(like, "exclusive")[None]

    def _like_item(self, query: Query) -> np.ndarray:
        vector = self._of_item(query.item, query.by)
        return self.space.item_as_query(vector) if self.space and query.by == "shared" else vector

    def _of_item(self, item: str | None, latent: Latent) -> np.ndarray:
        rows = self.open_gallery().rows(by_id_or_path(item), vectors=True) if item else []
        if not rows:
            raise GalleryError("the gallery has no such item")
        return np.asarray(rows[0][latent], dtype=np.float32)


def _features(data: bytes, size: int, name: str) -> Float[Tensor, "size"]:
    """A JSON list of numbers.

    Raises:
        DataError: It is something else, of another length, or holds values beyond float32.
    """
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: not a JSON list of {size} numbers") from error
    # by type: true and false count as numbers elsewhere
    if not isinstance(values, list) or any(type(value) not in (int, float) for value in values):
        raise DataError(f"{name}: not a JSON list of {size} numbers")
    if len(values) != size:
        raise DataError(f"{name}: {len(values)} numbers given; {size} are needed")
    for place, value in enumerate(values, start=1):
        if not abs(value) <= LARGEST:  # NaN too
            raise DataError(f"{name}: number {place} is NaN or too large (at most {LARGEST:.1e})")
    return torch.tensor([float(value) for value in values], dtype=torch.float32)


def grouped(
    jobs: Sequence[J], key: Callable[[J], Hashable], work: Callable[[Sequence[J]], Sequence[R]]
) -> list[R]:
    """Results of `work` on the jobs of each key, in the order of the jobs."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for i, job in enumerate(jobs):
        groups[key(job)].append(i)
    results: dict[int, R] = {}
    for group in groups.values():
        results.update(zip(group, work([jobs[i] for i in group]), strict=True))
    return [results[i] for i in range(len(jobs))]
