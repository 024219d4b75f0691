"""Tests of whether two blocks depend on each other, and of whether a probe separates them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Num

from iiae.errors import DataError
from iiae.metrics.information import sklearn_part, varying
from iiae.metrics.probes import held_out_ridge, standardised, widened

SAMPLES = 1500


class Dependence(NamedTuple):
    """HSIC over its largest possible value, in [0, 1], and its p-value under independence.

    `chance` is the mean of the permutations: what independent blocks of these samples score.
    """

    value: float
    chance: float
    p_value: float
    permutations: int
    samples: int


class DomainProbe(NamedTuple):
    """Accuracy of telling two sets apart, on held-out pairs; one half is chance.

    `p_value` is that of guessing, with as many trials as pairs: the two halves of a pair are not
    independent, and this is the larger p-value whatever their dependence.
    """

    linear: float
    linear_p_value: float
    nonlinear: float
    nonlinear_p_value: float
    pairs: int


def hsic_test(
    a: Num[np.ndarray, "samples left"],
    b: Num[np.ndarray, "of_b right"],
    permutations: int = 200,
    seed: int = 0,
) -> Dependence:
    r"""Hilbert-Schmidt independence criterion with normal kernels, by permutation.

    $\operatorname{tr}(K H L H) / \sqrt{\operatorname{tr}(K H K H) \operatorname{tr}(L H L H)}$
    (Gretton et al. 2005; normalised as in Cortes et al. 2012), each kernel as wide as the median
    distance. The p-value counts permutations that score as high, itself included, so it is at
    least 1 / (permutations + 1). Beyond 1,500 samples a random 1,500 are used.

    Raises:
        DataError: blocks of unequal length, not finite, collapsed, of fewer than 20 samples, or
            no permutations.
        MissingExtra: SciPy (with scikit-learn) is not installed.
    """
    if len(a) != len(b):
        raise DataError(f"a has {len(a)} samples and b {len(b)}; they must be the same pairs")
    if len(a) < 20 or permutations < 1:
        raise DataError(
            f"hsic needs 20 samples and 1 permutation; given {len(a)} and {permutations}"
        )
    rng = np.random.default_rng(seed)
    picked = rng.permutation(len(a))[:SAMPLES]
    k = _centred(_kernel(varying(a, "a")[picked]))
    l = _centred(_kernel(varying(b, "b")[picked]))  # noqa: E741  (Gretton's name)
    scale = np.linalg.norm(k) * np.linalg.norm(l)
    value = float(np.vdot(k, l) / scale)
    orders = (rng.permutation(len(k)) for _ in range(permutations))
    null = np.array([np.vdot(k, l[np.ix_(o, o)]) for o in orders]) / scale
    p_value = (1 + int((null >= value).sum())) / (1 + permutations)
    return Dependence(value, float(null.mean()), p_value, permutations, len(k))


def domain_probe(
    a: Num[np.ndarray, "pairs size"], b: Num[np.ndarray, "of_b size_b"], seed: int = 0
) -> DomainProbe:
    """Does a probe separate r_x means from r_y means? A classifier two-sample test.

    Least squares on ±1, on the standardised latents and on the features of `probe_matrix`'s
    non-linear probe (Lopez-Paz and Oquab 2017 with these classifiers). Both items of a pair are in
    the same of five folds, so what identifies a pair is of no use.
    Beyond 5,000 pairs a random 5,000 are used.

    Raises:
        DataError: sets of unequal shape, not finite, both collapsed, or fewer than 20 pairs.
        MissingExtra: SciPy (with scikit-learn) is not installed.
    """
    if a.shape != b.shape or len(a) < 20:
        raise DataError(
            f"a domain probe needs two sets of at least 20 pairs; given {a.shape} and {b.shape}"
        )
    rng = np.random.default_rng(seed)
    picked = rng.permutation(len(a))[:5000]
    latent = standardised(varying(np.concatenate([a[picked], b[picked]]), "a and b"))
    n = len(picked)
    side = np.repeat([-1.0, 1.0], n)[:, None]
    fold = np.tile(np.arange(n) % 5, 2)
    binomial = sklearn_part("scipy.stats").binom
    values: list[float] = []
    for features in (latent, widened(latent, seed)):
        right = held_out_ridge(features, side, fold)[:, 0] * side[:, 0] > 0
        p_value = binomial.sf(int(right.sum()) // 2 - 1, n, 0.5)
        values += [float(right.mean()), float(p_value)]
    return DomainProbe(*values, pairs=n)


def _kernel(z: np.ndarray) -> np.ndarray:
    z = z - z.mean(0)
    norms = np.square(z).sum(1)
    square = np.maximum(norms[:, None] + norms - 2 * z @ z.T, 0)
    # over distinct samples; many equal ones must not make the kernel infinitely narrow
    off = square[np.triu_indices(len(z), 1)]
    median = np.median(off) or off.mean()
    return np.exp(-square / (2 * median)).astype(np.float32)


def _centred(kernel: np.ndarray) -> np.ndarray:
    rows = kernel.mean(0)
    return kernel - rows - rows[:, None] + rows.mean()
