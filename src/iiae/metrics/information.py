r"""Mutual information of two blocks of latents, in nats: closed form and nearest neighbours.

$I(a; b) = E[\log p(a, b) - \log p(a) - \log p(b)]$. No estimator is right everywhere, so each is
refused outside the range in which it was measured (`RANGES`, from `benchmarks/information.py`):
too many dimensions or too few samples raise `DataError`; an answer above the largest information
that was measured comes back with `in_range` false, and shows only that there is much.
`metrics.bounds` has the estimators that train a network.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Num

from iiae.errors import DataError, MissingExtra
from iiae.metrics.magnitude import rescaled

Kind = Literal["estimate", "lower bound", "upper bound if fitted"]
NORMAL_95 = 1.959964


class Information(NamedTuple):
    """Mutual information in nats with its 95% interval, which covers sampling and not bias.

    `in_range`: the value is below the largest at which the estimator was measured to be within
    10% or 0.05 nats of the truth on normal blocks; otherwise it only shows that there is much.
    An "upper bound if fitted" is one as far as a trained conditional is right. `p_value` is that of
    independence, where the estimator has a test for it.
    """

    value: float
    low: float
    high: float
    kind: Kind
    in_range: bool
    samples: int
    p_value: float | None = None


class Range(NamedTuple):
    """Up to how much information, in nats, and from how many samples an estimator was measured."""

    top: float
    samples: int


# By estimator and dimension of the larger block; a dimension between two takes the larger one's
RANGES: dict[str, dict[int, Range]] = {
    "gaussian": {64: Range(4.0, 4000)},
    "ksg": {1: Range(3.0, 4000), 2: Range(1.0, 4000), 3: Range(0.25, 4000), 4: Range(0.1, 4000)},
    "infonce": {8: Range(3.0, 5000), 16: Range(3.0, 10_000)},
    "leave_one_out": {8: Range(3.0, 5000), 16: Range(3.0, 10_000)},
    "club": {8: Range(0.02, 5000), 16: Range(0.02, 10_000)},
}
SHARE_OF_TOP = 0.9  # a value this near the top may be that of more information, underestimated


class Canonical(NamedTuple):
    """Linear maps that make both blocks white and pair their dimensions one to one.

    After them dimension i of one correlates with dimension i of the other alone: `correlation`,
    in [0, 1), largest first.
    """

    a: Float[np.ndarray, "left white_left"]
    b: Float[np.ndarray, "right white_right"]
    correlation: Float[np.ndarray, " pairs"]


def gaussian_information(
    a: Num[np.ndarray, "samples left"], b: Num[np.ndarray, "of_b right"]
) -> Information:
    r"""Information of two jointly normal blocks; of others, that of their linear dependence.

    $-\frac12 \sum_i \log(1 - \rho_i^2)$ over the canonical correlations, less its expected excess
    at this number of samples (digamma form of $E[\log|S|]$ of a Wishart matrix: Misra, Singh and
    Demchuk 2005), so independent blocks score 0 on average and may score a little below. Directions
    with less than 1e-7 of a block's largest standard deviation are left out. The p-value is
    Bartlett's test of independence.

    Raises:
        DataError: outside `RANGES["gaussian"]`, not finite, collapsed, or of unequal length.
        MissingExtra: SciPy (with scikit-learn) is not installed.
    """
    special, stats = sklearn_part("scipy.special"), sklearn_part("scipy.stats")
    a, b = checked_blocks(a, b, "gaussian")
    n, maps = len(a), canonical_maps(a, b)
    left, right, rho = maps.a.shape[1], maps.b.shape[1], maps.correlation
    logs = [special.digamma((n - 1 - np.arange(d)) / 2).sum() for d in (left, right, left + right)]
    raw = -0.5 * np.log1p(-(rho**2)).sum()
    value = raw - 0.5 * (logs[0] + logs[1] - logs[2])
    half = NORMAL_95 * np.sqrt((rho**2).sum() / n + left * right / (2 * n**2))
    chi2 = 2 * raw * (n - 1 - (left + right + 1) / 2)
    p_value = float(stats.chi2.sf(chi2, left * right))
    return information(value, half, "estimate", "gaussian", a, b)._replace(p_value=p_value)


def ksg_information(
    a: Num[np.ndarray, "samples left"], b: Num[np.ndarray, "of_b right"], k: int = 3
) -> Information:
    r"""Information from distances to the k-th nearest neighbour, whatever the distribution.

    $\psi(k) + \psi(n) - \langle \psi(n_a + 1) + \psi(n_b + 1) \rangle$, maximum norm: estimator 1
    of Kraskov, Stögbauer and Grassberger 2004. First each dimension is replaced by the normal
    scores of its ranks and both blocks by their canonical coordinates: maps that keep the
    information and make neighbourhoods rounder. Bias is downward and grows fast with dimension,
    hence the narrow range.

    Args:
        k: Neighbours; more give less variance and more bias. `RANGES` holds for 3.

    Raises:
        DataError: outside `RANGES["ksg"]`, not finite, collapsed, of unequal length, or with
            `k` equal samples (the estimator is for continuous data).
        MissingExtra: SciPy (with scikit-learn) is not installed.
    """
    special, tree = sklearn_part("scipy.special"), sklearn_part("scipy.spatial").cKDTree
    a, b = checked_blocks(a, b, "ksg")
    a, b = normal_scores(a), normal_scores(b)
    maps = canonical_maps(a, b)
    a, b = a @ maps.a, b @ maps.b
    n = len(a)
    if not 1 <= k < n:
        raise DataError(f"k is {k}; with {n} samples it can be 1 to {n - 1}")
    both = np.hstack([a, b])
    radius = tree(both).query(both, k + 1, p=np.inf)[0][:, -1]
    if not radius.all():
        raise DataError(f"{k + 1} or more samples are equal: ksg is for continuous data")
    inside = np.nextafter(radius, 0)
    # a sample counts itself, which is the formula's + 1
    near = [tree(z).query_ball_point(z, inside, p=np.inf, return_length=True) for z in (a, b)]
    each = special.digamma(k) + special.digamma(n) - sum(special.digamma(c) for c in near)
    half = NORMAL_95 * each.std() / np.sqrt(n)
    return information(each.mean(), half, "estimate", "ksg", a, b)


def canonical_maps(
    a: Float[np.ndarray, "samples left"], b: Float[np.ndarray, "samples right"]
) -> Canonical:
    """Maps of centred samples to canonical coordinates (Hotelling 1936)."""
    white_a, white_b = whitening(a), whitening(b)
    left, right = (a - a.mean(0)) @ white_a, (b - b.mean(0)) @ white_b
    u, rho, vt = np.linalg.svd(left.T @ right / len(a), full_matrices=True)
    return Canonical(white_a @ u, white_b @ vt.T, np.clip(rho, 0, 1 - 1e-12))


def whitening(z: Float[np.ndarray, "samples size"]) -> Float[np.ndarray, "size rank"]:
    """Matrix that takes centred samples to unit covariance, without directions of no variance."""
    scale = z.std(0)
    values, vectors = np.linalg.eigh(np.corrcoef(z, rowvar=False).reshape(z.shape[1], -1))
    kept = values > 1e-14 * values[-1] * len(values) + 1e-13
    return vectors[:, kept] / np.sqrt(values[kept]) / scale[:, None]


def normal_scores(z: Float[np.ndarray, "samples size"]) -> Float[np.ndarray, "samples size"]:
    """Each dimension's ranks as quantiles of a standard normal; ties share their mean rank."""
    ranks = sklearn_part("scipy.stats").rankdata(z, axis=0)
    return sklearn_part("scipy.special").ndtri((ranks - 0.5) / len(z))


def checked_blocks(a: np.ndarray, b: np.ndarray, estimator: str) -> tuple[np.ndarray, np.ndarray]:
    """Both blocks as float64 without constant dimensions, if the estimator may be used on them."""
    if len(a) != len(b):
        raise DataError(f"a has {len(a)} samples and b {len(b)}; they must be the same pairs")
    blocks = [varying(z, name) for z, name in ((a, "a"), (b, "b"))]
    rows, size = RANGES[estimator], max(z.shape[1] for z in blocks)
    if size > max(rows):
        raise DataError(
            f"{estimator} was measured on up to {max(rows)} dimensions per block and one has "
            f"{size}; reduce it (say, to its leading components), or use hsic_test, without limit"
        )
    needed = row(estimator, size).samples
    if len(a) < needed:
        raise DataError(
            f"{estimator} was measured on {needed} samples or more at {size} dimensions and there "
            f"are {len(a)}"
        )
    return blocks[0], blocks[1]


def varying(z: np.ndarray, name: str) -> np.ndarray:
    """The dimensions that are not constant, in float64, all divided by one power of two.

    Raises:
        DataError: a value is not finite, or no dimension varies.
    """
    if not np.isfinite(z).all():
        raise DataError(f"{name} has values that are not finite")
    z = rescaled(z)
    spread = z.std(0) if len(z) else np.zeros(z.shape[1])
    kept = spread > 1e-9 * np.abs(z).max(0, initial=0)
    if not kept.any():
        raise DataError(f"{name} is collapsed: none of its {z.shape[1]} dimensions varies")
    return z[:, kept]


def information(
    value: float, half: float, kind: Kind, estimator: str, a: np.ndarray, b: np.ndarray
) -> Information:
    """The result, checked against the largest information at which the estimator was measured."""
    limit = row(estimator, max(a.shape[1], b.shape[1])).top
    value, half = float(value), float(half)
    return Information(
        value, value - half, value + half, kind, value < SHARE_OF_TOP * limit, len(a)
    )


def row(estimator: str, size: int) -> Range:
    """Of `RANGES`, for blocks of up to this size."""
    return RANGES[estimator][min(d for d in RANGES[estimator] if d >= size)]


def sklearn_part(module: str) -> Any:
    """A module of SciPy or scikit-learn, imported where it is used."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtra("sklearn", "an information estimate or a probe") from error
