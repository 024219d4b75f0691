"""BatchNorm moments of the decoders, over latents as translation decodes them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from iiae.model.iiae import IIAE
from iiae.model.translation import draw_exclusive
from iiae.types import DOMAINS, Domain, Pair, mapped

Norm = nn.modules.batchnorm._BatchNorm


@torch.no_grad()
def recompute_moments(model: IIAE, batches: Iterator[Pair], seed: int) -> None:
    """Sets the moments of the decoders' BatchNorm to those of reconstructions and translations.

    Half of what each decoder sees are samples of its own posteriors, as in training; half are
    contents of the other domain, the mean of r, with exclusive latents of the aggregate posterior.
    Moments are means over the batches.

    Paper: moments follow whatever is decoded, of which parts are translations (authors' program).
    Here: training decodes reconstructions alone, so this is a pass of its own afterwards.

    Args:
        model: With its aggregate posterior; left in evaluation mode.
        batches: Training pairs, of several to a batch.
        seed: Random seed of samples and draws.
    """
    decoders = {"x": model.decoder_x, "y": model.decoder_y}
    norms = [m for one in decoders.values() for m in one.modules() if isinstance(m, Norm)]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # the mean of all batches
    generator = torch.Generator().manual_seed(seed)
    for pair in batches:
        for to, known in zip(DOMAINS, model.known(pair), strict=True):
            twice = mapped(known, lambda v: torch.cat([v, v]))
            model.decoder(to)(*_latents(model, pair, to, generator), twice)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def _latents(
    model: IIAE, pair: Pair, to: Domain, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """z_s and the exclusive latent of domain `to`: of reconstructions, then of translations."""
    q = model.encode(pair)
    own = q.exclusive_x if to == "x" else q.exclusive_y
    content = q.shared_given_y if to == "x" else q.shared_given_x
    drawn = draw_exclusive(model, to, len(content.loc), generator)
    shared = torch.cat([q.shared.sample(generator), content.mean])
    return shared, torch.cat([own.sample(generator), drawn])
