r"""Disentanglement scores of the literature, by dimension of the latents and by block.

By dimension they ask for one factor a dimension, which nothing in this model's objective asks for;
by block they ask for what it does: each factor in the block it belongs to, and in no other. A block
score is None if a block is collapsed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from iiae.errors import DataError
from iiae.metrics.factors import BlockFactor, classes
from iiae.metrics.information import sklearn_part
from iiae.metrics.magnitude import rescaled
from iiae.metrics.probe_matrix import ProbeMatrix, checked, collapsed
from iiae.metrics.probes import alive, standardised

BINS = 20
SAMPLES = 3000
TREES = 30


class DCI(NamedTuple):
    """Disentanglement and completeness in [0, 1]; informativeness: mean R2 or accuracy.

    Nothing is read: disentanglement and completeness are None.
    """

    disentanglement: float | None
    completeness: float | None
    informativeness: float


class GapScores(NamedTuple):
    """Mean over factors of first less second, between dimensions and between blocks.

    `dimension`: the two most informative dimensions, of all blocks. `block`: the best dimension of
    the block the factor belongs to less the best of the others; negative if it is elsewhere.
    """

    dimension: float
    block: float | None
    by_dimension: dict[str, float]
    by_block: dict[str, float]
    collapsed: tuple[str, ...]


def dci_by_block(matrix: ProbeMatrix) -> DCI:
    r"""DCI (Eastwood and Williams 2018) with blocks as units, from the table of probes.

    Importance is what the better probe reads above chance. A block holds several factors by
    design, so disentanglement is over groups of factors that belong together: of block b,
    $1 - H(P_b) / \log G$ with $P_b$ the shares of G groups' mean readings, weighted by their sum.
    Completeness of a factor is $1 - H / \log B$ over the B blocks. Informativeness is what is read
    above chance from the block each factor belongs to.

    Raises:
        DataError: fewer than two blocks, or all factors belong to one.
    """
    importance = np.array([[c.above_chance for c in r.values()] for r in matrix.cells.values()]).T
    homes = np.array([matrix.home[name] for name in matrix.cells])
    groups = np.unique(homes)
    if len(importance) < 2 or len(groups) < 2:
        raise DataError("DCI by block needs two blocks, and factors that belong to different ones")
    grouped = np.stack([importance[:, homes == g].mean(1) for g in groups], 1)
    own = [row[matrix.home[name]].above_chance for name, row in matrix.cells.items()]
    return DCI(_concentration(grouped), _completeness(importance), float(np.mean(own)))


def dci(
    blocks: Mapping[str, Num[np.ndarray, "_ _"]],
    factors: Mapping[str, BlockFactor],
    seed: int = 0,
) -> DCI:
    """DCI (Eastwood and Williams 2018) with the dimensions of all blocks as units.

    Importance is that of a forest of 30 extremely randomised trees with leaves of five samples or
    more; informativeness its score on the samples each tree left out. Axes of a continuous factor
    count as factors. Beyond 3,000 samples a random 3,000 are used.

    Raises:
        DataError: as `probe_matrix`; fewer than two factors; every dimension collapsed.
        MissingExtra: scikit-learn is not installed.
    """
    total = _checked(blocks, factors)
    forests = sklearn_part("sklearn.ensemble")
    latent, _ = _dimensions(blocks)
    picked = np.random.default_rng(seed).permutation(total)[:SAMPLES]
    importance, scores = [], []
    for factor in factors.values():
        categorical = factor.kind == "categorical"
        kind = forests.ExtraTreesClassifier if categorical else forests.ExtraTreesRegressor
        for target in _axes(factor):
            forest = kind(
                TREES, min_samples_leaf=5, max_features=0.5, bootstrap=True, random_state=seed
            ).fit(latent[picked], target[picked])
            importance.append(forest.feature_importances_)
            scores.append(_left_out(forest, latent[picked], target[picked], categorical))
    if len(importance) < 2 or latent.shape[1] < 2:
        raise DataError("DCI needs two factors and two dimensions that vary")
    # what the trees do not predict has importances too; they are of noise
    table = np.array(importance).T * np.clip(scores, 0, None)
    return DCI(_concentration(table), _completeness(table), float(np.mean(scores)))


def mig(
    blocks: Mapping[str, Num[np.ndarray, "_ _"]], factors: Mapping[str, BlockFactor]
) -> GapScores:
    r"""Mutual information gap (Chen et al. 2018, Eq. 6): $(I_1 - I_2) / H(v)$, in [-1, 1].

    Dimensions and continuous factors in 20 bins of equal counts; information from the histogram
    less its expected excess $(B - 1)(C - 1) / 2n$ (Miller 1955). Axes of a continuous factor are
    averaged.

    Raises:
        DataError: as `probe_matrix`, or fewer than two dimensions that vary.
    """

    def score(latent: np.ndarray, target: np.ndarray, categorical: bool) -> np.ndarray:
        index = target if categorical else _binned(target)
        informed = np.array([histogram_information(_binned(z), index) for z in latent.T])
        return informed / _entropy(np.bincount(index) / len(index))

    return _gaps(blocks, factors, score)


def sap(
    blocks: Mapping[str, Num[np.ndarray, "_ _"]], factors: Mapping[str, BlockFactor]
) -> GapScores:
    """Separated attribute predictability (Kumar et al. 2018): gap of R2 by one dimension.

    A continuous factor: squared correlation. A category: share of the dimension's variance that
    lies between classes.

    Raises:
        DataError: as `probe_matrix`, or fewer than two dimensions that vary.
    """

    # Paper: accuracy of a linear SVM for categories. Here: a share of variance, because the gap of
    # two accuracies depends on how common the classes are, and the two kinds should be on one scale
    def score(latent: np.ndarray, target: np.ndarray, categorical: bool) -> np.ndarray:
        if not categorical:
            z, v = latent - latent.mean(0), target - target.mean()
            return (z.T @ v) ** 2 / (np.square(z).sum(0) * np.square(v).sum())
        counts = np.bincount(target)
        sums = np.stack([latent[target == c].sum(0) for c in range(len(counts))])
        between = (sums**2 / counts[:, None]).sum(0) / len(latent) - latent.mean(0) ** 2
        return between / latent.var(0)

    return _gaps(blocks, factors, score)


def histogram_information(a: Int[np.ndarray, " samples"], b: Int[np.ndarray, " samples"]) -> float:
    """Mutual information of two indices in nats, less Miller's correction."""
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1 / len(a))
    rows, columns = table.sum(1), table.sum(0)
    raw = _entropy(rows) + _entropy(columns) - _entropy(table.ravel())
    excess = ((rows > 0).sum() - 1) * ((columns > 0).sum() - 1) / (2 * len(a))
    return float(raw - excess)


def _checked(blocks: Mapping[str, np.ndarray], factors: Mapping[str, BlockFactor]) -> int:
    """As `checked`; the best of many dimensions on few samples would be luck.

    Raises:
        DataError: A block has more dimensions than samples; or as `checked`.
    """
    n = checked(blocks, factors)
    for name, latent in blocks.items():
        if latent.shape[1] > n:
            raise DataError(
                f"block {name} has {latent.shape[1]} dimensions and there are {n} samples: give "
                "more samples or fewer dimensions"
            )
    return n


def _gaps(
    blocks: Mapping[str, np.ndarray],
    factors: Mapping[str, BlockFactor],
    score: Callable[[np.ndarray, np.ndarray, bool], np.ndarray],
) -> GapScores:
    _checked(blocks, factors)
    latent, owner = _dimensions(blocks)
    if latent.shape[1] < 2:
        raise DataError("a gap needs two dimensions that vary")
    by_dimension, by_block = {}, {}
    for name, factor in factors.items():
        gaps = []
        for target in _axes(factor):
            scores = score(latent, target, factor.kind == "categorical")
            second, first = np.sort(scores)[-2:]
            home = owner == factor.block
            gaps.append(
                (first - second, scores[home].max(initial=0) - scores[~home].max(initial=0))
            )
        by_dimension[name], by_block[name] = (float(g) for g in np.mean(gaps, 0))
    empty = collapsed(blocks)
    block = None if empty else float(np.mean(list(by_block.values())))
    return GapScores(
        float(np.mean(list(by_dimension.values()))), block, by_dimension, by_block, empty
    )


def _dimensions(blocks: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """All dimensions that vary, standardised and side by side, and the block of each."""
    # on one scale, as trees take float32
    kept = {name: standardised(latent[:, alive(latent)]) for name, latent in blocks.items()}
    owner = np.repeat(list(kept), [z.shape[1] for z in kept.values()])
    return np.hstack(list(kept.values())), owner


def _axes(factor: BlockFactor) -> list[np.ndarray]:
    if factor.kind == "categorical":
        return [classes(factor)]
    return list(rescaled(np.asarray(factor.values).reshape(len(factor.values), -1)).T)


def _binned(values: Float[np.ndarray, " samples"]) -> Int[np.ndarray, " samples"]:
    edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS))
    return np.searchsorted(edges, values, side="right")


def _entropy(shares: np.ndarray) -> float:
    return float(-(shares * np.log(np.where(shares > 0, shares, 1))).sum())


def _left_out(forest: object, latent: np.ndarray, target: np.ndarray, categorical: bool) -> float:
    """R2 or accuracy of the mean over the trees that were not grown on a sample."""
    trees, samples = forest.estimators_, forest.estimators_samples_  # type: ignore[attr-defined]
    total, count = 0.0, np.zeros(len(latent))
    for tree, used in zip(trees, samples, strict=True):
        out = ~np.isin(np.arange(len(latent)), used)
        predicted = tree.predict_proba(latent) if categorical else tree.predict(latent)[:, None]
        total = total + predicted * out[:, None]
        count += out
    seen = count > 0
    mean = (total / count.clip(min=1)[:, None])[seen]  # type: ignore[operator]
    if categorical:
        return float(np.mean(forest.classes_[mean.argmax(1)] == target[seen]))  # type: ignore[attr-defined]
    return float(1 - np.square(mean[:, 0] - target[seen]).mean() / target[seen].var())


def _concentration(table: Float[np.ndarray, "units factors"]) -> float | None:
    """Mean over units of one less the entropy of their shares, weighted by their sums."""
    sums = table.sum(1)
    if sums.sum() <= 0:
        return None
    shares = table / np.where(sums > 0, sums, 1)[:, None]
    each = [1 - _entropy(row) / np.log(table.shape[1]) for row in shares]
    return float(np.average(each, weights=sums))


def _completeness(table: Float[np.ndarray, "units factors"]) -> float | None:
    """Mean over the factors that are read at all of one less the entropy of their shares."""
    read = table[:, table.sum(0) > 0]
    if not read.shape[1]:
        return None
    shares = read / read.sum(0)
    return float(np.mean([1 - _entropy(s) / np.log(len(table)) for s in shares.T]))
