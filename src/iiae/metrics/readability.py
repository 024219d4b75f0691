"""Probes: what can be read from a latent."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from iiae.errors import DataError, MissingExtra
from iiae.metrics.magnitude import rescaled

FOLDS = 5
ALPHAS = np.logspace(-1, 5, 7)


def readable_linearly(
    latent: Float[np.ndarray, "samples size"], factor: Shaped[np.ndarray, "samples axes"]
) -> float:
    """R2 of a continuous factor predicted linearly from a latent, on held-out samples.

    Ridge regression on standardised latents, its strength chosen inside each of five folds;
    the axes of the factor count alike. 1: read without error; 0 or below: no better than
    the mean.

    Raises:
        DataError: Fewer samples than folds.
        MissingExtra: scikit-learn is not installed.
    """
    _check_samples(len(factor))
    if latent.shape[1] == 0:
        return 0.0
    factor = rescaled(factor)
    models = _sklearn("linear_model")
    predicted = _held_out(models.RidgeCV(ALPHAS), latent, factor)
    return float(_sklearn("metrics").r2_score(factor, predicted))


def readable_class(
    latent: Float[np.ndarray, "samples size"], label: Shaped[np.ndarray, " samples"]
) -> float:
    """Accuracy of a label predicted linearly from a latent, on held-out samples.

    Ridge classifier on standardised latents, its strength chosen inside each of five folds.
    Chance is the share of the most common label.

    Raises:
        DataError: Fewer samples than folds.
        MissingExtra: scikit-learn is not installed.
    """
    _check_samples(len(label))
    if latent.shape[1] == 0:
        return chance_accuracy(label)
    predicted = _held_out(_sklearn("linear_model").RidgeClassifierCV(ALPHAS), latent, label)
    return float(np.mean(predicted == label))


def chance_accuracy(label: Shaped[np.ndarray, " samples"]) -> float:
    """Share of the most common label: what always answering it would score."""
    return float(np.unique(label, return_counts=True)[1].max() / len(label))


def _held_out(probe: Any, latent: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Predictions of every sample by a probe that was not fitted on it."""
    selection, pipeline = _sklearn("model_selection"), _sklearn("pipeline")
    whole = pipeline.make_pipeline(_sklearn("preprocessing").StandardScaler(), probe)
    folds = selection.KFold(FOLDS, shuffle=True, random_state=0)
    return selection.cross_val_predict(whole, rescaled(latent), target, cv=folds)


def _check_samples(samples: int) -> None:
    if samples < FOLDS:
        raise DataError(f"{samples} samples; probes on {FOLDS} folds need at least {FOLDS}")


def _sklearn(part: str) -> Any:
    try:
        return import_module(f"sklearn.{part}")
    except ImportError as error:
        raise MissingExtra("sklearn", "a probe") from error
