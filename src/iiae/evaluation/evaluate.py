"""Everything that is measured of a trained model on held-out pairs."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.data.base import PairSet
from iiae.data.classes.pairs import ClassPairs
from iiae.errors import MissingExtra
from iiae.evaluation.classes import CategoryRetrieval, retrieve_classes
from iiae.evaluation.instances import ItemHashes, Retrieval, retrieve_partners
from iiae.evaluation.readability import Readability, probe_factors
from iiae.evaluation.translations import TranslationQuality, translation_quality
from iiae.features.backbone import load_backbone
from iiae.metrics.retrieval import InstanceRetrieval
from iiae.model.active import signal_shares
from iiae.model.iiae import IIAE
from iiae.model.latents import Embeddings, embed, embed_sides
from iiae.objectives import Terms, elbo, iiae_terms, information_bound
from iiae.run_folder import TrainedRun
from iiae.settings import imported_task
from iiae.types import Pair, plain


class Evaluation(NamedTuple):
    """Results on one set of pairs.

    `terms` are in nats per pair, means over the set with one sample of z a pair;
    `absolute_error` is the mean |x - x'| per element of reconstructions from posterior means,
    for x and for y. `readability` is None where the extra for probes is missing, and empty
    where no factor is known; `categories` is measured instead of `retrieval` where pairs are made
    of classes; `translation` is by the domain translated to, None for
    features. `items` says how many x and y are different, and how many equal to another.
    `largest_signal` is the largest signal share of a dimension of z_s on these pairs (None of one
    pair), `threshold` the one above which a dimension is active. `tasks` holds what each of
    `settings.evaluation.tasks` returned, by its name.
    """

    split: str
    pairs: int
    retrieval: Retrieval | None
    categories: CategoryRetrieval | None
    terms: Terms
    elbo: float
    information_bound: float
    absolute_error: tuple[float, float]
    readability: list[Readability] | None
    translation: dict[str, TranslationQuality] | None
    active: int
    shared: int
    largest_signal: float | None
    threshold: float
    items: dict[str, dict[str, int]]
    tasks: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for metrics.json."""
        results = {
            "pairs": self.pairs,
            "items": self.items,
            "retrieval": self.retrieval
            and {
                name: _direction(found)
                for name, found in self.retrieval._asdict().items()
                if found is not None
            },
            "categories": self.categories and self.categories.as_dict(),
            "nats": {
                **{name: float(value) for name, value in self.terms._asdict().items()},
                "elbo": self.elbo,
                "information_bound": self.information_bound,
            },
            "absolute_error": dict(zip("xy", self.absolute_error, strict=True)),
            "readability": self.readability and [row._asdict() for row in self.readability],
            "translation": self.translation
            and {f"to_{to}": found for to, found in self.translation.items()},
            "active_dimensions": self.active,
            "shared_dimensions": self.shared,
            "largest_signal_share": self.largest_signal,
            "active_threshold": self.threshold,
            "tasks": self.tasks,
        }
        return plain(results)


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
        found = embed_sides(model, *pairs.sides(settings.batch))
        retrieval = None
        categories = retrieve_classes(found, model.active, pairs, settings.cutoffs, settings.seed)
        readability: list[Readability] | None = []
        items = {}
    else:
        found = embed(model, hashes.watch(pairs.batches(settings.batch)))
        same = hashes.identities()
        retrieval, categories = retrieve_partners(found, model.active, same), None
        items = same.counts()
        readability = _probe(found, pairs, model, settings.seed)
    terms, errors = _reconstruct(model, pairs, settings.batch, settings.seed)
    images = len(pairs.shapes[0]) == len(pairs.shapes[1]) == 3 and settings.translations > 0
    return Evaluation(
        split=split,
        pairs=len(pairs),
        retrieval=retrieval,
        categories=categories,
        terms=Terms(*(term.mean() for term in terms)),
        elbo=elbo(terms).mean().item(),
        information_bound=information_bound(terms).mean().item(),
        absolute_error=(errors[0].item(), errors[1].item()),
        readability=readability,
        translation=_translate(run, pairs) if images else None,
        active=int(model.active.sum()),
        shared=len(model.active),
        largest_signal=signal_shares(found)[0].max().item() if len(pairs) > 1 else None,
        threshold=settings.active_threshold,
        items=items,
        tasks={name: imported_task(name)(run, pairs) for name in settings.tasks},
    )


def _probe(found: Embeddings, pairs: PairSet, model: IIAE, seed: int) -> list[Readability] | None:
    try:
        return probe_factors(found, pairs.factors(), model.active_dimensions, seed)
    except MissingExtra:
        return None


def _translate(run: TrainedRun, pairs: PairSet) -> dict[str, TranslationQuality]:
    settings = run.settings.evaluation
    features = load_backbone(settings.backbone).embed if settings.backbone else None
    limits = (min(settings.batch, 64), settings.translations, settings.seed)
    return {to: translation_quality(run.model, pairs, to, *limits, features) for to in ("x", "y")}


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
            pair = Pair(*(v.to(device) for v in pair))
            q = model.encode(pair)
            rows.append(iiae_terms(pair, q, model.decode(q.rsample())))
            means = model.decode(q.mean())
            for i, (value, likelihood) in enumerate(zip(pair, means, strict=True)):
                errors[i] += (value - likelihood.mean).abs().flatten(1).mean(1).sum().item()
    terms = Terms(*(torch.cat(parts).cpu() for parts in zip(*rows, strict=True)))
    return terms, errors / len(pairs)


def _direction(found: InstanceRetrieval) -> dict[str, Any]:
    return {
        f"recall@{k}": {**rate._asdict(), "chance": found.chance[k]}
        for k, rate in found.recall.items()
    }
