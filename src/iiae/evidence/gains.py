"""What leaked, without known factors: a latent that predicts what it should not, on held-out pairs.

z_x should hold what y does not say. If it predicts y, it holds shared content, whether z_s has that
too or not. If z_s given x predicts x beyond what z_s given y does, it holds what y does not say:
content exclusive to x, or shared content that y shows less clearly. Each is compared with what all
latents of the domain predict, so that 1 is a leak of everything.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d

from iiae.data.base import PairSet
from iiae.evidence.measure import Blocks
from iiae.metrics.factors import FOLDS
from iiae.metrics.probes import alive, held_out_ridge, standardised
from iiae.metrics.readings import RESAMPLES
from iiae.results import Gain, Gains

PAIRS = 1000  # at most
SIDE = 16  # pixels that images are averaged to
COMPONENTS = 32  # leading principal components of a domain that are predicted
PERMUTATIONS = 20


def leakage_gains(
    views: Mapping[str, Blocks], pairs: PairSet, batch: int = 500, seed: int = 0
) -> dict[str, Gains]:
    """Gains of every latent that should have none, by view.

    Ridge regression with its penalty chosen by column, five folds, of the leading 32 principal
    components of a domain: of images averaged to 16 x 16 pixels, or of standardised columns. R2 is
    of their whole variance. Of more than 1,000 pairs a random 1,000 are used.

    Args:
        views: Latents of the pairs; those without z_s given x and given y are left out.
        pairs: The pairs themselves.
        batch: Pairs a step.
        seed: Random seed of pairs, shufflings and bootstrap.
    """
    index = pairs.sample(PAIRS, seed)
    x, y = domain_components(pairs, index, batch)
    gains: dict[str, Gains] = {}
    known: dict[bytes, Gain | None] = {}  # views often share a latent

    def gain(*parts: np.ndarray) -> Gain | None:
        key = b"".join(part.tobytes() for part in parts)
        if key not in known:
            known[key] = prediction_gain(*parts, seed=seed)
        return known[key]

    for name, view in views.items():
        if view.given_x is None or view.given_y is None:
            continue
        rows = index.numpy()
        z_x, z_y = view.exclusive_x[rows], view.exclusive_y[rows]
        s_x, s_y = view.given_x[rows], view.given_y[rows]
        nothing = np.zeros((len(rows), 1))
        gains[name] = Gains(
            gain(nothing, z_x, s_x, y),
            gain(nothing, z_y, s_y, x),
            gain(s_y, s_x, z_x, x),
            gain(s_x, s_y, z_y, y),
        )
    return gains


def prediction_gain(
    first: np.ndarray,
    second: np.ndarray,
    rest: np.ndarray,
    target: np.ndarray,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> Gain | None:
    """What `second` adds to the prediction of `target` from `first`; None if it is constant.

    Args:
        first: `(pairs, size)`; may be constant.
        second: `(pairs, size)`.
        rest: `(pairs, size)`: what else could add to it; may be constant.
        target: `(pairs, columns)`, centred.
        seed: Random seed of shufflings and bootstrap.
        permutations: Number of shufflings of `second`.
    """
    base, extra, rest = (_scaled(latent) for latent in (first, second, rest))
    if not extra.shape[1]:
        return None
    rng = np.random.default_rng(seed)
    total = np.square(target).sum(1)
    alone, both = _errors(target, base), _errors(target, base, extra)
    orders = [rng.permutation(len(target)) for _ in range(permutations)]
    null = np.array([(alone - _errors(target, base, extra[o])).sum() for o in orders]) / total.sum()
    gain = float((alone - both).sum() / total.sum())
    picks = rng.integers(len(target), size=(RESAMPLES, len(target)))
    low, high = np.quantile((alone - both)[picks].sum(1) / total[picks].sum(1), [0.025, 0.975])
    return Gain(
        without=float(1 - alone.sum() / total.sum()),
        gain=gain,
        low=float(low),
        high=float(high),
        null_high=float(np.quantile(null, 0.95)),
        p_value=(1 + int((null >= gain).sum())) / (1 + permutations),
        possible=float((alone - _errors(target, base, extra, rest)).sum() / total.sum()),
    )


def held_out_r2(latent: np.ndarray, target: np.ndarray) -> float:
    """R2 of `target`, centred, by ridge regression on `latent`, of all its variance."""
    return 1 - float(_errors(target, _scaled(latent)).sum() / np.square(target).sum())


def _scaled(latent: np.ndarray) -> np.ndarray:
    kept = latent[:, alive(latent)].astype(np.float64)
    return standardised(kept) if kept.shape[1] else kept


def _errors(target: np.ndarray, *features: np.ndarray) -> np.ndarray:
    """Squared error of each pair, predicted from the other folds."""
    wide, fold = np.hstack(features), np.arange(len(target)) % FOLDS
    predicted = held_out_ridge(wide, target, fold) if wide.shape[1] else 0
    return np.square(target - predicted).sum(1)


def domain_components(
    pairs: PairSet, index: torch.Tensor, batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Leading principal components of x and of y, `(pairs, components)`, centred."""
    rows = [(_flat(pair.x), _flat(pair.y)) for pair in pairs.batches(batch, index)]
    sides = [torch.cat(column).double().numpy() for column in zip(*rows, strict=True)]
    images = [len(shape) == 3 for shape in pairs.shapes]
    x, y = (_leading(side, image) for side, image in zip(sides, images, strict=True))
    return x, y


def _flat(samples: torch.Tensor) -> torch.Tensor:
    if samples.ndim == 4 and samples.shape[-1] > SIDE:
        samples = adaptive_avg_pool2d(samples, SIDE)
    return samples.flatten(1)


def _leading(side: np.ndarray, image: bool) -> np.ndarray:
    """Columns that vary, in units of their deviation unless they are pixels."""
    kept = side[:, alive(side)]
    kept = kept - kept.mean(0) if image or not kept.shape[1] else standardised(kept)
    if not kept.shape[1]:
        return np.zeros((len(side), 1))
    u, scales, _ = np.linalg.svd(kept, full_matrices=False)
    return u[:, :COMPONENTS] * scales[:COMPONENTS]
