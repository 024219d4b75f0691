"""The model and the gallery behind the server: batches in, plain results out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from iiae.data.images import decode_image
from iiae.errors import DataError, GalleryError
from iiae.gallery import Gallery, Hit, Latent
from iiae.lance import equals
from iiae.runs import Run
from iiae.searching import Vectors, encode
from iiae.tasks.translation import Domain, draw_exclusive, exclusive_size, translate

J = TypeVar("J")
R = TypeVar("R")


class Sample(NamedTuple):
    """One sample to encode, of the shape that its domain has."""

    values: Tensor
    domain: Domain


class Query(NamedTuple):
    """One search: by a sample, or by the latent of an item, which is itself left out."""

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

    def __init__(self, run: Run, gallery: Gallery | None, most_pixels: int):
        self.run, self.gallery, self.most_pixels = run, gallery, most_pixels

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
            return Sample(decode_image(data, shape, name, self.most_pixels), domain)
        try:
            values = torch.tensor(json.loads(data), dtype=torch.float32)
        except (ValueError, TypeError, RuntimeError, RecursionError, OverflowError) as error:
            raise DataError(f"{name}: not a JSON list of {shape[0]} numbers") from error
        if values.shape != tuple(shape) or not values.isfinite().all():
            raise DataError(f"{name}: a list of {shape[0]} finite numbers is needed")
        return Sample(values, domain)

    def embed(self, samples: Sequence[Sample]) -> list[Vectors]:
        """Latents of each sample, all dimensions."""
        return self._encoded(samples, False)

    def search(self, queries: Sequence[Query]) -> list[Answer]:
        """Hits of each query.

        Raises:
            GalleryError: There is no gallery, or it has no such item.
        """
        gallery = self.open_gallery()
        sampled = iter(
            self._encoded([q.sample for q in queries if q.sample], gallery.info.active_only)
        )
        vectors = [
            getattr(next(sampled), query.by)[0] if query.sample else self._of_item(query)
            for query in queries
        ]
        jobs = list(zip(queries, vectors, strict=True))

        def search(some: Sequence[tuple[Query, np.ndarray]]) -> list[Answer]:
            first = some[0][0]
            rows = np.stack([vector for _, vector in some])
            # one more, since an item finds itself
            found = gallery.search(rows, first.top + 1, first.where, first.by)
            return [
                Answer([h for h in hits if h.id != query.item][: query.top], found.method)
                for (query, _), hits in zip(some, found.hits, strict=True)
            ]

        return grouped(jobs, lambda job: (job[0].by, job[0].top, job[0].where), search)

    def translate(self, jobs: Sequence[Translation]) -> list[Tensor]:
        """Each content in the other domain, `(count, *shape)`."""

        def work(some: Sequence[Translation]) -> list[Tensor]:
            counts = [len(job.exclusive) for job in some]
            device = self.run.model.active.device
            sources = torch.stack([job.source for job in some])
            sources = sources.repeat_interleave(torch.tensor(counts), 0)
            exclusive = torch.cat([job.exclusive for job in some])
            out = translate(
                self.run.model, sources.to(device), some[0].to, exclusive=exclusive.to(device)
            )
            return list(out.float().cpu().split(counts))

        return grouped(jobs, lambda job: job.to, work)

    def exclusive(
        self, to: Domain, likes: Sequence[Sample], steps: int, draws: int, seed: int
    ) -> Tensor:
        """Exclusive latents `(count, exclusive)`: of one reference, on the way from one to
        another in `steps`, drawn from the prior, or its mean."""
        if likes:
            found = [torch.from_numpy(v.exclusive) for v in self.embed(likes)]
            if len(found) == 1:
                return found[0]
            way = torch.linspace(0, 1, max(steps, 2)).unsqueeze(1)
            return found[0] * (1 - way) + found[1] * way
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

    def _encoded(self, samples: Sequence[Sample], active_only: bool) -> list[Vectors]:
        def work(some: Sequence[Sample]) -> list[Vectors]:
            batch = torch.stack([sample.values for sample in some])
            z = encode(self.run, batch, some[0].domain, active_only)
            return [Vectors(z.shared[i : i + 1], z.exclusive[i : i + 1]) for i in range(len(some))]

        return grouped(samples, lambda sample: sample.domain, work)

    def _of_item(self, query: Query) -> np.ndarray:
        rows = self.open_gallery().rows(equals("id", query.item), vectors=True)
        if not rows:
            raise GalleryError("the gallery has no such item")
        return np.asarray(rows[0][query.by], dtype=np.float32)


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
