"""The model and the gallery behind the server: batches in, plain results out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from iiae.errors import DataError, GalleryError
from iiae.files.bands import decode_bands
from iiae.files.images import decode_image
from iiae.model.columns import NO_LATENT
from iiae.model.translation import (
    draw_exclusive,
    interpolate,
    translate,
)
from iiae.run_folder import TrainedRun
from iiae.search.encoding import Space, Vectors, encode, make_space
from iiae.search.gallery import Gallery
from iiae.search.items import VECTORS
from iiae.search.weights import Weights, search_weighted
from iiae.types import Domain, mapped
from iiae.web.guide import Guide, Look
from iiae.web.jobs import (
    Answer,
    Query,
    Sample,
    Translation,
    context_of_samples,
    grouped,
    other_hits,
    read_features,
)
from iiae.web.pictures import is_banded, own_file, picture


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
        self.guide = Guide(run, gallery, self.space)

    def shape(self, domain: Domain) -> Sequence[int]:
        """Of one sample of a domain."""
        return self.run.shapes.of(domain)

    def read(self, data: bytes, domain: Domain, name: str) -> Sample:
        """A sample of a file's bytes: an image, or JSON as `read_features` reads it.

        Raises:
            DataError: They are neither, or do not fit the model.
        """
        shape = self.shape(domain)
        if len(shape) == 3:
            pad = self.run.settings.data.pad
            if is_banded(shape):
                return Sample(decode_bands(data, shape, name, self.most_pixels, pad), domain)
            return Sample(decode_image(data, shape, name, self.most_pixels, pad), domain)
        values, covariates = read_features(data, shape[0], name, self.run.model.covariates)
        return Sample(values, domain, covariates)

    def warm(self) -> None:
        """Does each kind of work once, since the first time takes a second."""
        with suppress(DataError, GalleryError):  # a request will meet it, and be answered
            self.embed([self._blank(d) for d in ("x", "y")])
            if self.gallery is not None:
                self.search([Query(self._blank("x"), None, Weights(), 1, None)])
                _ = self.guide.scale, self.guide.about_gallery()
            for domain in ("x", "y"):
                self.guide.looks(domain)
            _ = self.guide.drawing

    def _blank(self, domain: Domain) -> Sample:
        width = self.run.model.covariates.width
        return Sample(
            torch.zeros(*self.shape(domain)), domain, torch.zeros(width) if width else None
        )

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
        encoded = iter(self._encoded([q.sample for q in queries if q.sample], self.space))
        vectors = [next(encoded) if q.sample else self._of_item(q.item) for q in queries]
        vectors = [self._in_look_of(q, v) for q, v in zip(queries, vectors, strict=True)]

        def search(some: Sequence[tuple[Query, Vectors]]) -> list[Answer]:
            first, (shared, exclusive) = some[0][0], zip(*(v for _, v in some), strict=True)
            rows = Vectors(np.concatenate(shared), np.concatenate(exclusive))
            weights, where, top = (
                first.weights,
                first.where,
                first.top + 2,
            )  # items are their own nearest
            if weights.alone:
                result = gallery.search(getattr(rows, weights.alone), top, where, weights.alone)
            else:
                result = search_weighted(gallery, *rows, weights, top, where)
            answers = zip(some, result.hits, strict=True)
            return [Answer(other_hits(hits, query), result.method) for (query, _), hits in answers]

        jobs = list(zip(queries, vectors, strict=True))
        return grouped(jobs, lambda job: (*job[0].weights, job[0].top, job[0].where), search)

    def translate(self, jobs: Sequence[Translation]) -> list[Tensor]:
        """Each content in the other domain, `(count, *shape)`.

        Raises:
            DataError: A translation is not finite.
        """

        def work(some: Sequence[Translation]) -> list[Tensor]:
            counts = [len(job.exclusive) for job in some]
            device = self.run.model.active.device
            samples = [job.source for job in some for _ in job.exclusive]
            known = mapped(context_of_samples(samples), lambda v: v.to(device))
            sources = torch.stack([sample.values for sample in samples]).to(device)
            exclusive = torch.cat([job.exclusive for job in some]).to(device)
            model, to = self.run.model, some[0].to
            out = translate(model, sources, to, exclusive=exclusive, context=known)
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
            ends = [torch.from_numpy(self._reference(like, to)) for like in likes]
            return ends[0] if len(ends) == 1 else interpolate(ends[0][0], ends[1][0], steps)
        if draws:
            generator = torch.Generator().manual_seed(seed)
            return draw_exclusive(self.run.model, to, draws, generator).cpu()
        return torch.zeros(1, self.run.model.exclusive_sizes.of(to))

    def looks(self, source: Sample, to: Domain, count: int) -> list[Look]:
        """Looks of samples of `to` whose content is not the source's.

        Raises:
            DataError: There are none, neither in a gallery nor kept with the run.
        """
        query = None
        if self.space is not None:
            query = self._encoded([source], self.space)[0].shared[0]
        looks = self.guide.choose_looks(to, query, count)
        if not looks:
            raise DataError(f"looks: no gallery of domain {to}, and the run keeps no examples")
        return looks

    def sample_of(self, item: str) -> Sample:
        """An item of the gallery as the model takes it, from its file or else its thumbnail.

        Raises:
            GalleryError: There is no such item, or it is no image.
        """
        gallery = self.open_gallery()
        if is_banded(self.shape(gallery.info.domain)):
            data = own_file(gallery, item)
        else:
            data = picture(gallery, item)
        if data is None:
            raise GalleryError("the item is no image, or its file is gone; send it as the source")
        return self.read(data, gallery.info.domain, "the item")

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
            known = context_of_samples(some)
            z = encode(self.run, batch, some[0].domain, space, context=known)
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
        return self._of_item(like).exclusive

    def _of_item(self, item: str | None) -> Vectors:
        """Vectors of an item as those of a query, in one row each."""
        row = self.open_gallery().item(item or "", VECTORS)
        stored = (np.asarray(row[latent], dtype=np.float32) for latent in VECTORS)
        as_query = self.guide.as_query
        return Vectors(*(as_query(v, n)[None] for v, n in zip(stored, VECTORS, strict=True)))

    def _in_look_of(self, query: Query, vectors: Vectors) -> Vectors:
        """Vectors of a query, the exclusive one that of its `like`."""
        held = self.open_gallery().info.domain
        if query.like is not None:
            return Vectors(vectors.shared, self._reference(query.like, held))
        if query.weights.alone is None and query.sample and query.sample.domain != held:
            raise GalleryError(
                f"by: the exclusive latent is of domain {held}, which the gallery holds; name one "
                "of its items as like_item"
            )
        return vectors
