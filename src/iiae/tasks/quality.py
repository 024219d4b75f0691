"""How good translations of images are: against the true partner, among draws, in content."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.data.base import PairSet
from iiae.metrics.retrieval import instance_retrieval
from iiae.model import IIAE
from iiae.tasks.translation import content, draw_exclusive, exclusive_means, render
from iiae.types import Domain, Draw, Pair

DRAWS = 5

Perceptual = Callable[[Tensor], Tensor]


class Estimate(NamedTuple):
    """A mean over pairs, with its 95% interval (normal approximation)."""

    mean: float
    low: float
    high: float


class TranslationQuality(NamedTuple):
    """Figures of translations to one domain; images count as values in [-1, 1].

    `l1`, `ssim` and `perceptual` compare a translation with the true partner, by where its
    exclusive latent came from: "partner" (the partner's own), "prior mean", "prior draw".
    `perceptual` is 1 - cosine of a backbone's features, None without a backbone.
    `diversity` is the mean absolute difference between translations with two draws of the
    exclusive latent. `content_recall` is Recall@1 of each source among all sources, searched with
    the shared latent of its translation with a prior draw; `content_distance` is their mean
    squared distance over the mean squared distance of two different sources: 0 where the
    translation kept z_s, 1 where it might be anyone's.
    """

    pairs: int
    l1: dict[str, Estimate]
    ssim: dict[str, Estimate]
    perceptual: dict[str, Estimate] | None
    diversity: Estimate
    content_recall: Estimate
    content_distance: float


@torch.inference_mode()
def translation_quality(
    model: IIAE,
    pairs: PairSet,
    to: Domain,
    batch: int,
    limit: int,
    seed: int,
    features: Perceptual | None = None,
) -> TranslationQuality:
    """Quality of translations to one domain, over the first `limit` pairs.

    SSIM: Wang et al. 2004, Gaussian window of 11 pixels.

    Args:
        model: Left in evaluation mode.
        pairs: Held-out pairs of images.
        to: "x" or "y".
        batch: Pairs a step.
        limit: Pairs looked at, at most.
        seed: Of the draws.
        features: Images in [-1, 1] to feature vectors, for the perceptual distance.
    """
    generator = torch.Generator().manual_seed(seed)
    device = model.active.device
    rows: dict[str, list[Tensor]] = {}
    shared: list[Tensor] = []
    again: list[Tensor] = []
    for index in torch.arange(min(limit, len(pairs))).split(batch):
        pair = Pair(*(side.to(device) for side in pairs.pairs(Draw(index))))
        source, partner = (pair.x, pair.y) if to == "y" else (pair.y, pair.x)
        content_of = content(model, source, to)
        made = _translations(model, content_of, partner, to, generator)
        for name in ("partner", "prior mean", "prior draw"):
            rows.setdefault(f"l1 {name}", []).append(_l1(made[name], partner))
            rows.setdefault(f"ssim {name}", []).append(_ssim(made[name], partner))
            if features is not None:
                far = _perceptual(features, made[name], partner)
                rows.setdefault(f"perceptual {name}", []).append(far)
        rows.setdefault("diversity", []).append(_diversity(made["draws"]))
        shared.append(content(model, source, to))
        again.append(model.encoder(to)(made["prior draw"]).shared.mean)
    return _summary(rows, torch.cat(shared), torch.cat(again), features is not None)


def _translations(
    model: IIAE, shared: Tensor, partner: Tensor, to: Domain, generator: torch.Generator
) -> dict[str, Tensor]:
    drawn = draw_exclusive(model, to, DRAWS, generator)
    draws = [render(model, shared, to, one[None]) for one in drawn]
    return {
        "partner": render(model, shared, to, exclusive_means(model, partner, to)),
        "prior mean": render(model, shared, to),
        "prior draw": draws[0],
        "draws": torch.stack(draws),
    }


def _l1(made: Tensor, partner: Tensor) -> Tensor:
    return (made - partner).abs().flatten(1).mean(1)


def _ssim(made: Tensor, partner: Tensor) -> Tensor:
    from torchmetrics.functional.image import structural_similarity_index_measure

    found = structural_similarity_index_measure(
        made.float(), partner.float(), data_range=2.0, reduction="none"
    )
    assert isinstance(found, Tensor)
    return found.reshape(-1)


def _perceptual(features: Perceptual, made: Tensor, partner: Tensor) -> Tensor:
    return 1 - torch.nn.functional.cosine_similarity(features(made), features(partner))


def _diversity(draws: Float[Tensor, "draws batch *shape"]) -> Float[Tensor, " batch"]:
    first, second = torch.triu_indices(len(draws), len(draws), 1)
    return (draws[first] - draws[second]).abs().flatten(2).mean((0, 2))


def _summary(
    rows: dict[str, list[Tensor]], shared: Tensor, again: Tensor, perceptual: bool
) -> TranslationQuality:
    found = {name: _estimate(torch.cat(parts)) for name, parts in rows.items()}

    def group(kind: str) -> dict[str, Estimate]:
        prefix = f"{kind} "
        return {n.removeprefix(prefix): e for n, e in found.items() if n.startswith(prefix)}

    recall = instance_retrieval(again, shared, ks=(1,)).recall[1]
    kept = (again - shared).square().sum(1).mean()
    spread = 2 * shared.var(0).sum()
    return TranslationQuality(
        pairs=len(shared),
        l1=group("l1"),
        ssim=group("ssim"),
        perceptual=group("perceptual") if perceptual else None,
        diversity=found["diversity"],
        content_recall=Estimate(recall.rate, recall.low, recall.high),
        content_distance=(kept / spread).item() if spread > 0 else float("nan"),
    )


def _estimate(values: Float[Tensor, " pairs"]) -> Estimate:
    values = values.double()
    mean = values.mean().item()
    half = 1.96 * values.std().item() / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return Estimate(mean, mean - half, mean + half)
