"""Samples as latents to search by."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iiae.data.ranges import check_values
from iiae.errors import DataError
from iiae.files.decoding import Skipped, read_batches
from iiae.files.images import to_image
from iiae.files.interface import Source
from iiae.metrics.comparison import Comparison
from iiae.run_folder import TrainedRun, load_comparison, rows_of
from iiae.search.items import Distance, GalleryInfo, Latent, vector_faults
from iiae.types import Context, Domain, mapped

Role = Literal["query", "item"]
BATCH = 64  # samples per step of the model
THUMBNAIL = 96  # pixels of its longer side


class Vectors(NamedTuple):
    """Posterior means of one batch: r(z_s given one domain), and its exclusive latent."""

    shared: Float[np.ndarray, "batch shared"]
    exclusive: Float[np.ndarray, "batch exclusive"]


class Space(NamedTuple):
    """The space of a gallery's vectors of z_s: maps from the means of r to queries and items.

    `comparison` is None for means as they are; `active` marks the dimensions that are kept.
    """

    comparison: Comparison | None
    active: Tensor

    @property
    def size(self) -> int:
        """Of a vector."""
        own = int(self.active.sum())
        return own + 1 if self.comparison and self.comparison.neighbours else own

    def vectors(
        self, mean: Float[Tensor, "batch shared"], domain: Domain, role: Role
    ) -> Float[Tensor, "batch columns"]:
        """Vectors of samples of a domain, as queries or as items."""
        if self.comparison is None:
            return mean[:, self.active]
        map_ = self.comparison.queries if role == "query" else self.comparison.items
        return map_(mean[:, self.active], domain)

    def item_as_query(self, vector: np.ndarray) -> np.ndarray:
        """The vector of an item, to look for items like it."""
        if self.comparison is None or not self.comparison.neighbours:
            return vector
        return np.append(vector[:-1], np.float32(0))


def make_space(run: TrainedRun, distance: Distance, active_only: bool) -> Space:
    """The space of a gallery with these properties."""
    every = torch.ones_like(run.model.active)
    active = (run.model.active if active_only else every).cpu()
    choice = load_comparison(run.folder) if distance == "chosen" else None
    if choice is None:
        return Space(None, active)
    return Space(choice.comparison.of_dimensions(active), active)


@torch.inference_mode()
def encode(
    run: TrainedRun,
    batch: Float[Tensor, "batch *shape"],
    domain: Domain,
    space: Space | None = None,
    role: Role = "query",
    context: Context = Context(),
) -> Vectors:
    """Latents to search by, on the CPU.

    Args:
        run: A trained run.
        batch: Samples of `domain`.
        domain: "x" or "y".
        space: That of the gallery; by default the means of r as they are.
        role: What the samples are in a search.
        context: Covariates of the samples, where the model takes any.
    """
    device = run.model.active.device
    q = run.model.encoder(domain)(batch.to(device), mapped(context, lambda v: v.to(device)))
    shared, exclusive = (one.mean.float().cpu() for one in (q.shared, q.exclusive))
    shared = space.vectors(shared, domain, role) if space else shared
    return Vectors(shared.numpy(), exclusive.numpy())


class EncodedSamples(NamedTuple):
    """Latents of the samples `kept` of a source, by their numbers; thumbnails of images."""

    kept: list[int]
    vectors: Vectors
    thumbnails: list[bytes | None]


def encode_samples(
    run: TrainedRun,
    source: Source,
    numbers: Sequence[int],
    domain: Domain,
    info: GalleryInfo,
    role: Role,
    skipped: Skipped,
    compared: Sequence[Latent] = ("shared", "exclusive"),
    known: Context = Context(),
) -> EncodedSamples:
    """Latents of samples that can be read and whose latents are finite.

    Args:
        run: A trained run.
        source: The samples.
        numbers: Which of them.
        domain: Theirs.
        info: Of the gallery that the latents are for.
        role: What the samples are in a search.
        skipped: Takes the samples without such latents.
        compared: Latents that must have distances.
        known: Covariates of all samples of the source, where the model takes any.

    Raises:
        DataError: A sample has none and must not be skipped.
    """
    kept: list[int] = []
    parts: list[Vectors] = []
    thumbnails: list[bytes | None] = []
    space = make_space(run, info.distance, info.active_only)
    for some in read_batches(source, BATCH, skipped, numbers):
        likelihood = run.settings.objective.of(domain)
        check_values(some.values, likelihood, source.path(some.numbers[0]))
        context = rows_of(known, some.numbers)
        vectors = encode(run, some.values, domain, space, role, context)
        faults = [vector_faults(getattr(vectors, latent), info) for latent in compared]
        why = {int(i): fault for one in faults for fault, rows in one.items() for i in rows}
        for i in sorted(why):
            skipped.add(DataError(f"{source.path(some.numbers[i])}: {why[i]}"))
        good = [i for i in range(len(some.numbers)) if i not in why]
        kept += [some.numbers[i] for i in good]
        parts.append(Vectors(*(latent[good] for latent in vectors)))
        if role == "item":
            thumbnails += [thumbnail(some.values[i]) for i in good]
    if not parts:
        return EncodedSamples([], Vectors(np.empty((0, 1)), np.empty((0, 1))), [])
    vectors = Vectors(*map(np.concatenate, zip(*parts, strict=True)))
    return EncodedSamples(kept, vectors, thumbnails)


def thumbnail(values: Tensor) -> bytes | None:
    """A small file of an image as the model takes it, exact up to 96 pixels; None of a vector."""
    if values.ndim != 3:
        return None
    image, out = to_image(values), io.BytesIO()
    if max(image.size) <= THUMBNAIL:
        image.save(out, "PNG")
    else:
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        image.save(out, "JPEG", quality=85)
    return out.getvalue()
