"""Probes: what can be read from a latent."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped

from iiae.errors import MissingExtra

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
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import RidgeCV
        from sklearn.metrics import r2_score
        from sklearn.model_selection import KFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise MissingExtra("sklearn", "a probe") from error
    if latent.shape[1] == 0:
        return 0.0
    probe = make_pipeline(StandardScaler(), RidgeCV(ALPHAS))
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    predicted = cross_val_predict(probe, latent.astype(np.float64), factor, cv=folds)
    return float(r2_score(factor, predicted))


def readable_class(
    latent: Float[np.ndarray, "samples size"], label: Shaped[np.ndarray, " samples"]
) -> float:
    """Accuracy of a label predicted linearly from a latent, on held-out samples.

    Ridge classifier on standardised latents, its strength chosen inside each of five folds.
    Chance is the share of the most common label.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import RidgeClassifierCV
        from sklearn.model_selection import KFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise MissingExtra("sklearn", "a probe") from error
    if latent.shape[1] == 0:
        return chance_accuracy(label)
    probe = make_pipeline(StandardScaler(), RidgeClassifierCV(ALPHAS))
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    predicted = cross_val_predict(probe, latent.astype(np.float64), label, cv=folds)
    return float(np.mean(predicted == label))


def chance_accuracy(label: Shaped[np.ndarray, " samples"]) -> float:
    """Share of the most common label: what always answering it would score."""
    return float(np.unique(label, return_counts=True)[1].max() / len(label))
