"""How a run was trained, and how each section of metrics.json came about."""

from __future__ import annotations

from typing import NamedTuple

from iiae.types import Measured


class Provenance(NamedTuple):
    """How a section came about; the commit is None outside a source tree."""

    command: str
    commit: str | None
    python: str
    versions: dict[str, str]
    hardware: str


class SetSizes(NamedTuple):
    """Number of pairs of each set."""

    train: int
    validation: int
    test: int


class LatentSize(NamedTuple):
    """Dimensions of a latent, the active ones, and the most nats that any holds."""

    dimensions: int
    active: int
    largest_nats: Measured


class Training(NamedTuple):
    """How a run was trained; `latents` is by name: z_s, z_x, z_y."""

    seed: int
    precision: str
    epochs: int
    kept_epoch: int
    validation_loss: Measured
    seconds: float
    pairs_per_second: float
    pairs: SetSizes
    parameters: int
    active_dimensions: int
    shared_dimensions: int
    latents: dict[str, LatentSize]
    made_with: Provenance
