"""How good a run is, by pairs alone: scores to choose settings by where no factor is known."""

from __future__ import annotations

import math

import numpy as np

from iiae.data.base import PairSet, Splits
from iiae.evidence.gains import PAIRS, domain_components, held_out_r2, leakage_gains
from iiae.evidence.information import information_terms
from iiae.evidence.matching import match_held_out
from iiae.evidence.measure import FEWEST, Blocks, views
from iiae.metrics.independence import hsic_test
from iiae.metrics.probes import alive
from iiae.model.latents import embed
from iiae.results import LabelFree
from iiae.run_folder import TrainedRun
from iiae.settings import EvaluationSettings

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
    terms = information_terms(run.model, pairs, settings.batch, settings.seed, data.train)
    embeddings = embed(run.model, pairs.batches(settings.batch))
    latents = {VIEW: views(embeddings, run.model.active_dimensions, settings.seed)[VIEW]}
    gains = leakage_gains(latents, pairs, settings.batch, settings.seed)[VIEW]
    leak = max(gains.leaks.values())
    return LabelFree(
        nats=matching.nats.value,
        retrieval=matching.recall,
        interaction=terms.interaction_lower.value,
        estimate=terms.interaction_estimate.value,
        inter_kl=-(terms.only_x.value + terms.only_y.value),
        crossed=_crossed(latents[VIEW], pairs, settings),
        independent=-_dependence(latents[VIEW], settings.seed),
        kept_apart=-leak,
        nats_apart=matching.nats.value * (1 - leak),
        balance=matching.recall * (1 - leak),
    )


def _crossed(view: Blocks, pairs: PairSet, settings: EvaluationSettings) -> float:
    index = pairs.sample(PAIRS, settings.seed)
    x, y = domain_components(pairs, index, settings.batch)
    assert view.given_x is not None and view.given_y is not None
    ways = ((view.given_x, y), (view.given_y, x))
    return float(np.mean([held_out_r2(latent[index.numpy()], to) for latent, to in ways]))


def _dependence(view: Blocks, seed: int) -> float:
    """0 of a latent that holds nothing; NaN where there are too few pairs to measure it."""
    if len(view.shared) < FEWEST:
        return math.nan
    values = [0.0, 0.0]
    for i, (own, shared) in enumerate(
        ((view.exclusive_x, view.given_x), (view.exclusive_y, view.given_y))
    ):
        assert shared is not None
        if alive(own).any() and alive(shared).any():
            values[i] = hsic_test(own, shared, permutations=1, seed=seed).value
    return float(np.mean(values))
