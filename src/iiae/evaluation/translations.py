"""How good translations of images are: against the true partner, among draws, in content."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.data.base import PairSet
from iiae.evaluation.instances import ItemHashes
from iiae.metrics.kernel import kernel_distance
from iiae.metrics.retrieval import instance_retrieval
from iiae.model.iiae import IIAE
from iiae.model.translation import (
    content,
    draw_exclusive,
    draw_prior,
    exclusive_means,
    render,
)
from iiae.results import Estimate, TranslationQuality
from iiae.types import Domain, other

DRAWS = 5
SOURCES = ("partner", "prior mean", "draw", "prior draw")  # of the exclusive latent

Perceptual = Callable[[Tensor], Tensor]


@torch.inference_mode()
def translation_quality(
    model: IIAE,
    pairs: PairSet,
    to: Domain,
    batch: int,
    limit: int,
    seed: int,
    embed: Perceptual | None = None,
) -> TranslationQuality:
    """Quality of translations to one domain, over at most `limit` pairs drawn at random.

    Args:
        model: Left in evaluation mode.
        pairs: Held-out pairs of images.
        to: "x" or "y".
        batch: Pairs a step.
        limit: Number of pairs to look at, at most.
        seed: Random seed of the pairs and of the exclusive latents.
        embed: Maps images in [-1, 1] to feature vectors, for the perceptual and kernel distances.
    """
    generator = torch.Generator().manual_seed(seed)
    device = model.active.device
    rows: dict[str, list[Tensor]] = {}
    sets: dict[str, list[Tensor]] = {}  # of features
    shared: list[Tensor] = []
    again: dict[str, list[Tensor]] = {"draw": [], "prior draw": []}
    hashes = ItemHashes()
    for pair in hashes.watch(pairs.batches(batch, pairs.sample(limit, seed))):
        x, y = (v.to(device) for v in pair[:2])
        source, partner = (x, y) if to == "y" else (y, x)
        content_of = content(model, source, to)
        made = _translations(model, content_of, partner, to, generator)
        real = None if embed is None else embed(partner)
        if real is not None:
            sets.setdefault("real", []).append(real)
        for name in SOURCES:
            rows.setdefault(f"l1 {name}", []).append(l1(made[name], partner))
            rows.setdefault(f"ssim {name}", []).append(ssim(made[name], partner))
            if embed is not None and real is not None:
                sets.setdefault(name, []).append(embed(made[name]))
                far = 1 - torch.nn.functional.cosine_similarity(sets[name][-1], real)
                rows.setdefault(f"perceptual {name}", []).append(far)
        rows.setdefault("diversity", []).append(_diversity(made["draws"]))
        shared.append(content_of)
        for name, parts in again.items():
            parts.append(model.encoder(to)(made[name]).shared.mean)
    sources = getattr(hashes.identities(), other(to))
    read = {name: torch.cat(parts).cpu() for name, parts in again.items()}
    quality = _summary(rows, torch.cat(shared).cpu(), read, sources)
    return quality if quality.pairs < 2 else quality._replace(kernel=_kernel(sets) or None)


def _kernel(sets: dict[str, list[Tensor]]) -> dict[str, float]:
    """Kernel distance of each set of translations to the partners; nothing without features."""
    whole = {name: torch.cat(parts) for name, parts in sets.items()}
    return {n: kernel_distance(one, whole["real"]) for n, one in whole.items() if n != "real"}


def _translations(
    model: IIAE, shared: Tensor, partner: Tensor, to: Domain, generator: torch.Generator
) -> dict[str, Tensor]:
    drawn = draw_exclusive(model, to, DRAWS, generator)
    draws = [render(model, shared, to, one[None]) for one in drawn]
    return {
        "partner": render(model, shared, to, exclusive_means(model, partner, to)),
        "prior mean": render(model, shared, to),
        "prior draw": render(model, shared, to, draw_prior(model, to, 1, generator)),
        "draw": draws[0],
        "draws": torch.stack(draws),
    }


def l1(made: Tensor, partner: Tensor) -> Float[Tensor, " batch"]:
    """Mean absolute difference of each pair of images."""
    return (made - partner).abs().flatten(1).mean(1)


def ssim(made: Tensor, partner: Tensor) -> Float[Tensor, " batch"]:
    """SSIM of each pair of images in [-1, 1]: Wang et al. 2004, Gaussian window of 11 pixels."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    similarity = structural_similarity_index_measure(
        made.float(), partner.float(), data_range=2.0, reduction="none"
    )
    assert isinstance(similarity, Tensor)
    return similarity.reshape(-1)


def _diversity(draws: Float[Tensor, "draws batch *shape"]) -> Float[Tensor, " batch"]:
    first, second = torch.triu_indices(len(draws), len(draws), 1)
    return (draws[first] - draws[second]).abs().flatten(2).mean((0, 2))


def _summary(
    rows: dict[str, list[Tensor]], shared: Tensor, read: dict[str, Tensor], sources: Tensor
) -> TranslationQuality:
    estimates = {name: Estimate.of(torch.cat(parts)) for name, parts in rows.items()}

    def group(kind: str) -> dict[str, Estimate]:
        prefix = f"{kind} "
        return {n.removeprefix(prefix): e for n, e in estimates.items() if n.startswith(prefix)}

    found_again, by_prior = (
        instance_retrieval(one, shared, ks=(1,), gallery_ids=sources) for one in read.values()
    )
    shared, again = shared.double(), read["draw"].double()
    kept = (again - shared).square().sum(1).mean().item()
    spread = 2 * shared.var(0, correction=min(1, len(shared) - 1)).sum().item()
    return TranslationQuality(
        pairs=len(shared),
        l1=group("l1"),
        ssim=group("ssim"),
        perceptual=group("perceptual") or None,
        diversity=estimates["diversity"],
        content_recall=Estimate(*found_again.recall[1]),
        prior_content_recall=Estimate(*by_prior.recall[1]),
        content_chance=found_again.chance[1],
        content_distance=kept / spread if spread > 0 else None,
    )
