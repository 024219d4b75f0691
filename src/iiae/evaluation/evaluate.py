"""Everything that is measured on held-out pairs of a trained model."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.data.base import PairSet
from iiae.data.classes.pairs import ClassPairs
from iiae.data.degrade import DegradedPairs
from iiae.errors import SettingsError
from iiae.evaluation.classes import retrieve_classes
from iiae.evaluation.instances import Identities, ItemHashes, retrieve_partners
from iiae.evaluation.readability import probe_factors
from iiae.evaluation.translations import translation_quality
from iiae.features.backbone import load_backbone
from iiae.metrics.comparison import Comparison
from iiae.model.active import latent_nats
from iiae.model.iiae import IIAE
from iiae.model.latents import embed, embed_sides
from iiae.objectives import Terms, elbo, iiae_terms, information_bound
from iiae.results import Evaluation, Nats, Readability, Retrieval, TranslationQuality
from iiae.run_folder import TrainedRun, load_comparison
from iiae.settings import imported_task
from iiae.types import mapped, plain


def evaluate(run: TrainedRun, pairs: PairSet, split: str = "test") -> Evaluation:
    """Retrieval, bound terms, reconstruction and probes of a run on held-out pairs.

    Args:
        run: A trained model.
        pairs: The set, in its fixed appearance.
        split: Its name, for the record.

    Raises:
        DataError: Latents of a pair are not finite.
    """
    settings, model = run.settings.evaluation, run.model
    hashes = ItemHashes()
    if isinstance(pairs, ClassPairs):
        embeddings = embed_sides(model, *pairs.sides(settings.batch))
        choice, comparison, same = None, None, None
        retrieval = None
        categories = retrieve_classes(
            embeddings, model.active, pairs, settings.cutoffs, settings.seed
        )
        readability, items = Readability({}, {}), {}
    else:
        embeddings = embed(model, hashes.watch(pairs.batches(settings.batch)))
        same = hashes.identities()
        choice = load_comparison(run.folder)
        comparison = choice and choice.comparison
        retrieval, categories = retrieve_partners(embeddings, model.active, same, comparison), None
        items = same.counts()
        readability = probe_factors(
            embeddings, pairs.factors(), model.active_dimensions, settings.seed
        )
    terms, errors = _reconstruct(model, pairs, settings.batch, settings.seed)
    images = len(pairs.shapes[0]) == len(pairs.shapes[1]) == 3 and settings.translations > 0
    return Evaluation(
        split=split,
        pairs=len(pairs),
        retrieval=retrieval,
        categories=categories,
        nats=Nats(
            *(each.mean().item() for each in (*terms, elbo(terms), information_bound(terms)))
        ),
        absolute_error={"x": errors[0].item(), "y": errors[1].item()},
        readability=readability,
        translation=_translate(run, pairs) if images else None,
        active_dimensions=int(model.active.sum()),
        shared_dimensions=len(model.active),
        largest_nats=latent_nats(embeddings)[0].max().item() if len(pairs) > 1 else None,
        active_nats=settings.active_nats,
        items=items,
        comparison=choice.comparison.name if choice and choice.comparison.is_another else None,
        degraded=_degraded(run, pairs, same, comparison) if settings.degrade else None,
        tasks={name: plain(imported_task(name)(run, pairs)) for name in settings.tasks},
    )


def _degraded(
    run: TrainedRun, pairs: PairSet, same: Identities | None, comparison: Comparison | None
) -> Retrieval:
    """Retrieval of degraded copies, x by y and y by x."""
    if isinstance(pairs, ClassPairs):
        raise SettingsError("evaluation.degrade: pairs of classes have no partners to find")
    embeddings = embed(run.model, DegradedPairs(pairs).batches(run.settings.evaluation.batch))
    return retrieve_partners(embeddings, run.model.active, same, comparison)


def _translate(run: TrainedRun, pairs: PairSet) -> dict[str, TranslationQuality]:
    settings = run.settings.evaluation
    embed_images = load_backbone(settings.backbone).embed if settings.backbone else None
    limits = (min(settings.batch, 64), settings.translations, settings.seed)
    return {
        f"to_{to}": translation_quality(run.model, pairs, to, *limits, embed_images)
        for to in ("x", "y")
    }


@torch.inference_mode()
def _reconstruct(
    model: IIAE, pairs: PairSet, batch: int, seed: int
) -> tuple[Terms, Float[Tensor, " two"]]:
    """Terms of every pair, with one sample of z, and mean absolute errors from means."""
    device = model.active.device
    rows: list[Terms] = []
    errors = torch.zeros(2, dtype=torch.float64)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        for pair in pairs.batches(batch):
            pair = mapped(pair, lambda v: v.to(device))
            q = model.encode(pair)
            known = model.known(pair)
            rows.append(iiae_terms(pair, q, model.decode(q.rsample(), known)))
            means = model.decode(q.mean, known)
            for i, (value, likelihood) in enumerate(zip(pair[:2], means, strict=True)):
                errors[i] += (value - likelihood.mean).abs().flatten(1).mean(1).sum().item()
    terms = Terms(*(torch.cat(parts).cpu() for parts in zip(*rows, strict=True)))
    return terms, errors / len(pairs)
