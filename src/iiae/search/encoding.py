"""Samples as latents to search by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iiae.errors import DataError
from iiae.files.decoding import Skipped, read_batches
from iiae.files.interface import Source
from iiae.run_folder import TrainedRun
from iiae.search.items import GalleryInfo, Latent, vector_faults
from iiae.types import Domain

BATCH = 64  # samples a step of the model


class Vectors(NamedTuple):
    """Posterior means of one batch: r(z_s given one domain), and its exclusive latent."""

    shared: Float[np.ndarray, "batch shared"]
    exclusive: Float[np.ndarray, "batch exclusive"]


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


class EncodedSamples(NamedTuple):
    """Latents of the samples `kept` of a source, by their numbers."""

    kept: list[int]
    vectors: Vectors


def encode_samples(
    run: TrainedRun,
    source: Source,
    numbers: Sequence[int],
    domain: Domain,
    info: GalleryInfo,
    skipped: Skipped,
    compared: Sequence[Latent] = ("shared", "exclusive"),
) -> EncodedSamples:
    """Latents of samples that can be read and have distances to others.

    Args:
        run: A trained run.
        source: The samples.
        numbers: Which of them.
        domain: Theirs.
        info: Of the gallery that the latents are for.
        skipped: Takes the samples without such latents.
        compared: Latents that must have distances.

    Raises:
        DataError: A sample has none and must not be skipped.
    """
    kept: list[int] = []
    parts: list[Vectors] = []
    for some in read_batches(source, BATCH, skipped, numbers):
        vectors = encode(run, some.values, domain, info.active_only)
        faults = [vector_faults(getattr(vectors, latent), info) for latent in compared]
        why = {int(i): fault for one in faults for fault, rows in one.items() for i in rows}
        for i in sorted(why):
            skipped.add(DataError(f"{source.path(some.numbers[i])}: {why[i]}"))
        good = [i for i in range(len(some.numbers)) if i not in why]
        kept += [some.numbers[i] for i in good]
        parts.append(Vectors(*(latent[good] for latent in vectors)))
    if not parts:
        return EncodedSamples([], Vectors(np.empty((0, 1)), np.empty((0, 1))))
    return EncodedSamples(kept, Vectors(*map(np.concatenate, zip(*parts, strict=True))))
