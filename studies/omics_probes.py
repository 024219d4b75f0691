"""What is read from latents of cells: clusters, batch, phase and what else is known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import (
    adjusted_rand_score,
    balanced_accuracy_score,
    normalized_mutual_info_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

FEW = 10  # labels that a subtype is told from
DRAWS = 50  # of these labels
CATEGORIES = ("batch", "phase")


class Latent(NamedTuple):
    """One latent of the training and of the test samples; samples without y follow the latter."""

    train: np.ndarray
    test: np.ndarray


def probes(
    latent: Latent, train: dict[str, np.ndarray], test: dict[str, np.ndarray], seed: int
) -> dict[str, float]:
    """All measures of one latent; labels have a value for each of its rows, or for more."""
    own = {name: values[: len(latent.test)] for name, values in test.items()}
    found = dict(zip(("ari", "nmi"), clusters(latent.test, own["type"], seed), strict=True))
    found["type of 10"] = few_labels(latent, train["type"], own["type"], seed)
    for name, values in train.items():
        if name in CATEGORIES:
            found[name] = accuracy(latent, values, own[name])
            found[f"{name} by SVM"] = accuracy(latent, values, own[name], curved=True)
        elif name != "type":
            model = RidgeCV(np.logspace(-2, 4, 13))
            fitted = make_pipeline(StandardScaler(), model).fit(latent.train, values)
            found[name] = float(fitted.score(latent.test, own[name]))
    return found


def clusters(latent: np.ndarray, kinds: np.ndarray, seed: int) -> tuple[float, float]:
    """Adjusted Rand index and normalised information of k-means, k the number of types."""
    known = kinds != ""
    count = len(np.unique(kinds[known]))
    made = KMeans(count, n_init=10, random_state=seed).fit_predict(latent[known])
    scores = (adjusted_rand_score, normalized_mutual_info_score)
    ari, nmi = (float(score(kinds[known], made)) for score in scores)
    return ari, nmi


def accuracy(latent: Latent, train: np.ndarray, test: np.ndarray, curved: bool = False) -> float:
    """Balanced accuracy of logistic regression, or an RBF SVM: chance is 1 / classes."""
    linear = LogisticRegression(max_iter=2000, class_weight="balanced")
    model = SVC(class_weight="balanced") if curved else linear
    fitted = make_pipeline(StandardScaler(), model).fit(latent.train, train)
    return float(balanced_accuracy_score(test, fitted.predict(latent.test)))


def few_labels(latent: Latent, train: np.ndarray, test: np.ndarray, seed: int) -> float:
    """Mean accuracy of logistic regression of 10 labels, over 50 draws that have two types.

    Dimensions keep their proportions; the one that varies most gets variance 1.
    """
    rng = np.random.default_rng(seed)
    scale = latent.train.std(0).max()
    rows, known = np.flatnonzero(train != ""), test != ""
    scores: list[float] = []
    while len(scores) < DRAWS:
        some = rng.choice(rows, FEW, replace=False)
        if len(np.unique(train[some])) < 2:
            continue
        model = LogisticRegression(max_iter=2000)
        model.fit(latent.train[some] / scale, train[some])
        scores.append(float(model.score(latent.test[known] / scale, test[known])))
    return float(np.mean(scores))
