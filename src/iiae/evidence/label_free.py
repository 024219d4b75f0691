"""How good a run is, by pairs alone: scores to choose settings by where no factor is known."""

from __future__ import annotations

import numpy as np

from iiae.data.base import Splits
from iiae.evidence.gains import leakage_gains
from iiae.evidence.information import information_terms
from iiae.evidence.matching import match_held_out
from iiae.evidence.measure import views
from iiae.model.latents import embed
from iiae.results import Gain, LabelFree
from iiae.run_folder import TrainedRun

VIEW = "active means"


def label_free_scores(run: TrainedRun, data: Splits) -> LabelFree:
    """Every candidate on the validation pairs of a run's data; more is better.

    Args:
        run: A trained run.
        data: Its data.

    Raises:
        DataError: There are fewer than three validation pairs.
    """
    settings, pairs = run.settings.evaluation, data.validation
    matching = match_held_out(run.model, data, "validation", settings)
    terms = information_terms(run.model, pairs, settings.batch, settings.seed)
    found = embed(run.model, pairs.batches(settings.batch))
    latents = views(found, run.model.active_dimensions, settings.seed)
    gains = leakage_gains({VIEW: latents[VIEW]}, pairs, settings.batch, settings.seed)[VIEW]
    crossed = [gain.without for gain in gains[:2] if gain]
    leaks = [_sure(gain) for gain in gains]
    return LabelFree(
        nats=matching.nats.value,
        retrieval=matching.recall,
        interaction=terms.interaction_lower.value,
        inter_kl=-(terms.only_x.value + terms.only_y.value),
        crossed=float(np.mean(crossed)) if crossed else 0.0,
        kept_apart=-float(np.sum(leaks)),
        balance=matching.recall * (1 - min(1.0, float(np.sum(leaks)))),
    )


def _sure(gain: Gain | None) -> float:
    """A gain beyond what shuffled latents reach; 0 of a latent that holds nothing."""
    return 0.0 if gain is None else max(0.0, gain.gain - max(0.0, gain.null_high))
