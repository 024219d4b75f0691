"""Latents of one domain as columns with names, for `transform` and `iiae embed`."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.errors import SettingsError
from iiae.model.iiae import IIAE, DomainPosteriors
from iiae.types import Context, Domain

NO_LATENT = "its latent is not finite; the values are too large for the model"
BLOCKS = ("shared", "active", "exclusive", "both")


def check_block(block: str) -> None:
    """Raises SettingsError if there is no such block."""
    if block not in BLOCKS:
        raise SettingsError(f"block = {block!r}: must be one of {', '.join(BLOCKS)}")


@torch.inference_mode()
def block_columns(
    model: IIAE,
    values: Float[Tensor, "batch *shape"],
    domain: Domain,
    block: str,
    context: Context = Context(),
) -> Float[Tensor, "batch columns"]:
    """Posterior means of a block of latents given one domain; the model's mode is kept.

    "shared" is z_s, "active" its dimensions whose signal exceeds their noise, "exclusive"
    z_x or z_y, "both" z_s and then the exclusive latent.
    """
    return _pick(model, model.encoder(domain)(values, context), block)


def _pick(model: IIAE, q: DomainPosteriors, block: str) -> Tensor:
    if block == "both":
        return torch.cat([q.shared.mean, q.exclusive.mean], 1)
    if block == "exclusive":
        return q.exclusive.mean
    return q.shared.mean[:, model.active] if block == "active" else q.shared.mean


def block_names(model: IIAE, domain: Domain, block: str) -> list[str]:
    """Names of those columns: z_s0, z_s1, ... and z_x0 or z_y0, ..."""
    shared = [f"z_s{i}" for i in range(len(model.active))]
    exclusive = [f"z_{domain}{i}" for i in range(model.exclusive_sizes["xy".index(domain)])]
    active = [f"z_s{i}" for i in model.active.nonzero().flatten().tolist()]
    return {
        "shared": shared,
        "active": active,
        "exclusive": exclusive,
        "both": [*shared, *exclusive],
    }[block]
