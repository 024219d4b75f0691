"""Exclusive latents of translations: a reference's, draws, or steps between two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from iiae.errors import DataError
from iiae.files.sources import read_all
from iiae.model.translation import draw_exclusive, exclusive_means, interpolate
from iiae.run_folder import NO_COVARIATES, TrainedRun, context_of_source, open_samples
from iiae.types import Domain

MOST_DRAWS = 1000  # or steps


class ExclusiveSource(NamedTuple):
    """Where the exclusive latents of translations come from.

    One reference in `like` gives its own latent. `samples` is a number of draws from the aggregate
    posterior, `interpolate` a number of steps on the line between two references, or between two
    draws. Without any of these, the prior's mean is used.
    """

    like: Sequence[str | Path] = ()
    samples: int = 0
    interpolate: int = 0
    seed: int = 0


def exclusive_latents(
    run: TrainedRun, to: Domain, exclusive: ExclusiveSource
) -> tuple[list[Tensor | None], list[str]]:
    """Exclusive latents, `(1, size)` each, and their names; None for the prior's mean."""
    if max(exclusive.samples, exclusive.interpolate) > MOST_DRAWS:
        raise DataError(
            f"{max(exclusive.samples, exclusive.interpolate):,} draws or steps; at most "
            f"{MOST_DRAWS:,}"
        )
    generator = torch.Generator().manual_seed(exclusive.seed)
    like = [_means(run, path, to) for path in exclusive.like]
    if exclusive.interpolate:
        ends = torch.cat(like) if like else draw_exclusive(run.model, to, 2, generator)
        if len(ends) != 2:
            raise DataError(
                f"{len(ends)} references to interpolate between; give two, or none for two draws"
            )
        steps = interpolate(ends[0], ends[1], exclusive.interpolate)
        return list(steps.split(1)), [f"step {i + 1}" for i in range(len(steps))]
    if exclusive.samples:
        drawn = draw_exclusive(run.model, to, exclusive.samples, generator)
        return list(drawn.split(1)), [f"sample {i + 1}" for i in range(exclusive.samples)]
    if len(like) > 1:
        raise DataError(f"{len(like)} references; give one, or --interpolate between two")
    return [like[0] if like else None], [""]


def _means(run: TrainedRun, reference: str | Path, domain: Domain) -> Tensor:
    """Exclusive latents of the samples of a reference, a row each."""
    source = open_samples(run, [reference], domain)
    known = context_of_source(run.model.covariates, source, None, advice=NO_COVARIATES)
    return exclusive_means(run.model, read_all(source), domain, known)
