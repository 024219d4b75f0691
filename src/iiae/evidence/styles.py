"""Do exclusive latents make a difference? Translations with drawn ones, of any kind of data."""

from __future__ import annotations

import torch
from torch import Tensor

from iiae.data.base import PairSet, side_of
from iiae.metrics.differences import l1
from iiae.model.iiae import IIAE
from iiae.model.translation import content, draw_exclusive, render
from iiae.results import Estimate, Style
from iiae.types import DOMAINS, Domain, mapped, other

PAIRS = 500  # at most


@torch.inference_mode()
def draw_styles(
    model: IIAE, pairs: PairSet, batch: int = 100, seed: int = 0
) -> dict[Domain, Style]:
    """Two draws of every source's exclusive latent, compared with each other and the true partner.

    Args:
        model: Left in evaluation mode.
        pairs: Held-out pairs; of more than 500 a random 500.
        batch: Pairs a step.
        seed: Random seed of pairs and draws.
    """
    generator = torch.Generator().manual_seed(seed)
    rows: dict[Domain, list[tuple[Tensor, Tensor]]] = {domain: [] for domain in DOMAINS}
    for pair in pairs.batches(batch, pairs.sample(PAIRS, seed)):
        pair = mapped(pair, lambda v: v.to(model.active.device))
        for to in DOMAINS:
            source, of_source = side_of(pair, other(to))
            partner, of_partner = side_of(pair, to)
            shared = content(model, source, to, of_source)
            first, second = (
                render(
                    model,
                    *(shared, to, draw_exclusive(model, to, len(source), generator)),
                    context=of_partner,
                )
                for _ in range(2)
            )
            rows[to].append((l1(first, second), l1(first, partner)))
    return {
        to: Style(*(Estimate.of(torch.cat(column)) for column in zip(*parts, strict=True)))
        for to, parts in rows.items()
    }
