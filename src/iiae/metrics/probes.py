"""The regressions under the block metrics: many targets at once, held out, nothing trained."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from iiae.metrics.magnitude import rescaled

STRENGTHS = np.logspace(-3, 5, 9)
KNOTS = 5
UNITS = 256
PRODUCTS_UP_TO = 32


def held_out_ridge(
    features: Float[np.ndarray, "samples size"],
    targets: Float[np.ndarray, "samples columns"],
    fold: Int[np.ndarray, " samples"],
) -> Float[np.ndarray, "samples columns"]:
    r"""Ridge predictions of every sample from a fit on the other folds.

    $w = (X^T X + \alpha I)^{-1} X^T y$ on centred data, with $\alpha$ from 1e-3 to 1e5 times the
    samples / 1000 and chosen for each column on a fifth of the samples to fit on.
    """
    predicted = np.empty_like(targets)
    for held in np.unique(fold):
        rest = np.flatnonzero(fold != held)
        choose = rest[np.arange(len(rest)) % 5 == 0]
        fit = rest[np.arange(len(rest)) % 5 != 0]
        candidates = _ridge_path(features, targets, fit, choose)
        best = np.square(candidates - targets[choose]).sum(1).argmin(0)
        alphas = STRENGTHS[best] * len(rest) / 1000
        predicted[fold == held] = _ridge(features, targets, rest, fold == held, alphas)
    return predicted


def _ridge_path(x: np.ndarray, y: np.ndarray, fit: np.ndarray, at: np.ndarray) -> np.ndarray:
    values, left, right, mean = _decomposed(x, y, fit, at)
    alphas = STRENGTHS * len(fit) / 1000
    return np.stack([(left / (values + alpha)) @ right + mean for alpha in alphas])


def _ridge(
    x: np.ndarray, y: np.ndarray, fit: np.ndarray, at: np.ndarray, alphas: np.ndarray
) -> np.ndarray:
    values, left, right, mean = _decomposed(x, y, fit, at)
    return left @ (right / (values[:, None] + alphas)) + mean


def _decomposed(x: np.ndarray, y: np.ndarray, fit: np.ndarray, at: np.ndarray) -> tuple:
    """Eigenvalues of the fit's Gram matrix; features there and targets in its eigenvectors."""
    centre, mean = x[fit].mean(0), y[fit].mean(0)
    inside = x[fit] - centre
    if inside.shape[1] > len(fit):  # the rows span fewer directions than there are columns
        values, rows = np.linalg.eigh(inside @ inside.T)
        kept = values > 1e-12 * values[-1]
        values, rows = values[kept], rows[:, kept]
        vectors = inside.T @ (rows / np.sqrt(values))
    else:
        values, vectors = np.linalg.eigh(inside.T @ inside)
    right = vectors.T @ (inside.T @ (y[fit] - mean))
    return values.clip(min=0), (x[at] - centre) @ vectors, right, mean


def alive(latent: Num[np.ndarray, "samples size"]) -> Bool[np.ndarray, " size"]:
    """Which dimensions vary beyond rounding."""
    latent = rescaled(latent)
    return latent.std(0) > 1e-6 * np.abs(latent).max(0, initial=1e-30)


def standardised(latent: Num[np.ndarray, "samples size"]) -> Float[np.ndarray, "samples size"]:
    """Zero mean and unit variance by dimension; none may be constant."""
    latent = rescaled(latent)
    return (latent - latent.mean(0)) / latent.std(0)


def widened(
    latent: Float[np.ndarray, "samples size"], seed: int
) -> Float[np.ndarray, "samples features"]:
    """Features in which least squares sees what is not linear.

    The standardised latent; of each dimension, hinges at five quantiles (any curve of it, and sums
    of them); 256 random rectified projections of three dimensions each (how they act together).
    No feature looks at a target.
    """
    rng = np.random.default_rng(seed)
    size = latent.shape[1]
    knots = np.quantile(latent, (np.arange(KNOTS) + 0.5) / KNOTS, axis=0)
    hinges = [np.maximum(latent - knot, 0) for knot in knots]
    directions = np.zeros((size, UNITS))
    for column in directions.T:
        chosen = rng.permutation(size)[:3]
        column[chosen] = rng.normal(size=len(chosen))
    projected = latent @ (directions / np.linalg.norm(directions, axis=0))
    rectified = np.maximum(projected - rng.normal(size=UNITS), 0)
    left, right = np.triu_indices(size, 1) if size <= PRODUCTS_UP_TO else ([], [])
    wide = np.hstack([latent, *hinges, rectified, latent[:, left] * latent[:, right]])
    spread = wide.std(0)
    return (wide[:, spread > 1e-9] - wide[:, spread > 1e-9].mean(0)) / spread[spread > 1e-9]
