"""Which features of a domain its latents read, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from iiae.data.base import PairSet
from iiae.errors import DataError
from iiae.evidence.measure import FEWEST
from iiae.metrics.factors import FOLDS
from iiae.metrics.probes import alive, held_out_ridge, standardised
from iiae.model.iiae import IIAE
from iiae.types import Domain

PAIRS = 2000  # at most


class FeatureReading(NamedTuple):
    """Held-out R2 of one feature from z_s, from the exclusive latent, and what that adds to z_s."""

    name: str
    shared: float
    exclusive: float
    added: float


@torch.inference_mode()
def read_features(
    model: IIAE,
    pairs: PairSet,
    domain: Domain,
    names: Sequence[str] | None = None,
    batch: int = 500,
    seed: int = 0,
) -> list[FeatureReading]:
    """How well each column of a domain is predicted from that domain's latents.

    Ridge regression with its penalty chosen by column, five folds; columns in the units that
    encoders see (of counts log1p). Of more than 2,000 pairs a random 2,000 are used.

    Args:
        model: Left in evaluation mode.
        pairs: Of vectors that the model was not trained on.
        domain: "x" or "y".
        names: Of the columns; by default their numbers.
        batch: Number of pairs a step.
        seed: Random seed of the pairs chosen.

    Returns:
        A reading a column that varies, those first to which the exclusive latent adds most.

    Raises:
        DataError: The pairs are images, or fewer than 20.
    """
    side = "xy".index(domain)
    if len(pairs.shapes[side]) != 1 or len(pairs) < FEWEST:
        raise DataError(
            f"features are read of vectors, {FEWEST} pairs or more; {domain} has shape "
            f"{pairs.shapes[side]} and there are {len(pairs)} pairs"
        )
    values, shared, exclusive = _rows(model, pairs, domain, batch, seed)
    columns = np.flatnonzero(alive(values))
    target = standardised(values[:, columns])
    fold = np.arange(len(target)) % FOLDS
    alone, own, both = (
        _explained(latents, target, fold)
        for latents in (shared, exclusive, np.hstack([shared, exclusive]))
    )
    labels = list(names or map(str, range(values.shape[1])))
    readings = [
        FeatureReading(labels[column], float(alone[i]), float(own[i]), float(both[i] - alone[i]))
        for i, column in enumerate(columns)
    ]
    return sorted(readings, key=lambda reading: -reading.added)


def _rows(
    model: IIAE, pairs: PairSet, domain: Domain, batch: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of some pairs as the encoder sees them, z_s and the exclusive latent given them."""
    model.eval()
    side, units = "xy".index(domain), model.units_x if domain == "x" else model.units_y
    parts: list[tuple[np.ndarray, ...]] = []
    for pair in pairs.batches(batch, pairs.sample(PAIRS, seed)):
        values, context = pair[side], pair[side + 2]
        q = model.encoder(domain)(values, context)
        rows = units(values), q.shared.mean, q.exclusive.mean
        parts.append(tuple(part.double().cpu().numpy() for part in rows))
    values, shared, exclusive = (np.concatenate(each) for each in zip(*parts, strict=True))
    return values, shared, exclusive


def _explained(latents: np.ndarray, target: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Share of each column's variance that is predicted, at least 0."""
    known = latents[:, alive(latents)]
    if not known.shape[1]:
        return np.zeros(target.shape[1])
    errors = target - held_out_ridge(standardised(known), target, fold)
    return (1 - np.square(errors).sum(0) / np.square(target).sum(0)).clip(0)
