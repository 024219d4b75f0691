"""Latents of a whole set of samples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from iiae.distributions import DiagonalNormal
from iiae.errors import DataError
from iiae.model.iiae import IIAE, Active
from iiae.types import Pair, mapped


class Embeddings(NamedTuple):
    """Posteriors of a whole set, on the CPU: every pair, in the set's order."""

    shared_given_x: DiagonalNormal
    shared_given_y: DiagonalNormal
    exclusive_x: DiagonalNormal
    exclusive_y: DiagonalNormal


@torch.inference_mode()
def embed(model: IIAE, batches: Iterable[Pair]) -> Embeddings:
    """One-domain posteriors of every pair; the model is left in evaluation mode.

    Raises:
        DataError: Latents of a pair are not finite, and so could not be compared with any others.
    """
    model.eval()
    device = model.active.device

    def posteriors(pair: Pair) -> tuple[DiagonalNormal, ...]:
        pair = mapped(pair, lambda v: v.to(device))
        given_x = model.encode_x(pair.x, pair.context_x)
        given_y = model.encode_y(pair.y, pair.context_y)
        return given_x.shared, given_y.shared, given_x.exclusive, given_y.exclusive

    return _finite(Embeddings(*_joined(map(posteriors, batches))))


@torch.inference_mode()
def embed_sides(model: IIAE, x: Iterable[Tensor], y: Iterable[Tensor]) -> Embeddings:
    """One-domain posteriors of two sets that need not match in number or order.

    Raises:
        DataError: As `embed`.
    """
    model.eval()
    device = model.active.device
    of_x = _joined(model.encode_x(batch.to(device)) for batch in x)
    of_y = _joined(model.encode_y(batch.to(device)) for batch in y)
    return _finite(Embeddings(of_x[0], of_y[0], of_x[1], of_y[1]))


def _finite(embeddings: Embeddings) -> Embeddings:
    """The same; a NaN compares as false with everything, which a count of nearer items would miss.

    Raises:
        DataError: A value is not finite; the message names domain and row.
    """
    for name, posterior in embeddings._asdict().items():
        sound = torch.cat(posterior, 1).isfinite().all(1)
        if not sound.all():
            domain, row = name[-1], int((~sound).nonzero()[0, 0])
            raise DataError(
                f"row {row} of {domain}: its latents are not finite ({int((~sound).sum())} of "
                f"{len(sound)} rows); look for values far outside the range of the training pairs"
            )
    return embeddings


def _joined(rows: Iterable[tuple[DiagonalNormal, ...]]) -> list[DiagonalNormal]:
    """Posteriors of batches, joined, on the CPU."""
    plain = [tuple(DiagonalNormal(*(t.cpu() for t in p)) for p in row) for row in rows]
    return [
        DiagonalNormal(*(torch.cat(parts) for parts in zip(*column, strict=True)))
        for column in zip(*plain, strict=True)
    ]


def latent_views(embeddings: Embeddings, active: Active, seed: int) -> dict[str, list[Tensor]]:
    """Mean, active mean and one sample of each posterior, in the order of `Embeddings`.

    Means can show what samples do not: a dimension whose signal lies far below its noise still
    orders its means.
    """
    generator = torch.Generator().manual_seed(seed)
    kept = (active.shared, active.shared, active.exclusive_x, active.exclusive_y)
    means = [one.mean for one in embeddings]
    return {
        "mean": means,
        "active mean": [mean[:, some] for mean, some in zip(means, kept, strict=True)],
        "sample": [one.sample(generator) for one in embeddings],
    }
