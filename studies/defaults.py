"""The suggested settings, none touched, beside CCA, deep rivals and ridge on pairs of vectors.

    python studies/defaults.py --data shared/data --out runs/defaults --seeds 0 1 2 3 4

Every row is kept in `--out`; a repeat goes on with those that are missing. The rivals' strengths
and numbers of components are chosen on validation pairs; ours are the library's defaults. A seed
draws the split (a fifth of the pairs is tested on) and, for us, the weights.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

import iiae
from iiae.data.arrays import ArrayPairs
from iiae.data.base import PairSet, Splits
from iiae.data.scaling import find_standard
from iiae.data.suggest import suggest_settings_of
from iiae.rivals.baselines import canonical_axes
from iiae.run_folder import load_comparison
from towers import Towers, Vectors, deep_cca, infonce

VIEWS = ("fou", "fac", "kar", "pix", "zer", "mor")
MFEAT = (("fou", "kar"), ("fac", "zer"), ("pix", "mor"), ("kar", "zer"))
STRENGTHS = (1e-4, 1e-3, 1e-2, 0.1, 1.0)
COMPONENTS = (10, 25, 50, 100)
MEASURES = ("recall@10 x to y", "recall@10 y to x", "foscttm x to y", "foscttm y to x", "r of y")


class Sides(NamedTuple):
    """Both domains of one part of the pairs, a row a pair."""

    x: np.ndarray
    y: np.ndarray


class Parts(NamedTuple):
    """Training, validation and test pairs, in the data's own units."""

    train: Sides
    validation: Sides
    test: Sides


class Fitted(NamedTuple):
    """Squared distances of every test x to every test y, each way, and predictions of y."""

    to_y: np.ndarray | None
    to_x: np.ndarray | None
    predicted: np.ndarray | None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name in given.sets:
        for seed in given.seeds:
            _rows(given, name, seed)
    print(table([json.loads(path.read_text()) for path in sorted(given.out.glob("*.json"))]))


def _rows(given: argparse.Namespace, name: str, seed: int) -> None:
    parts = None
    for method in given.methods:
        path = given.out / f"{name}-{method}-{seed}.json"
        if path.is_file():
            continue
        parts = parts or split(SETS[name](given.data), seed)
        began = time.perf_counter()
        fitted = METHODS[method](parts, seed)
        seconds = time.perf_counter() - began
        row = {"set": name, "method": method, "seed": seed, "seconds": seconds}
        row |= measured(fitted, parts.test)
        path.write_text(json.dumps(row))
        print(json.dumps(row), flush=True)


def split(pairs: Sides, seed: int) -> Parts:
    """A fifth to test on; a tenth of the rest to validate on."""
    rows = split_rows(len(pairs.x), seed)
    return Parts(*(Sides(pairs.x[some], pairs.y[some]) for some in rows))


def split_rows(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows to train, to validate and to test on."""
    order = np.random.default_rng(seed).permutation(count)
    test = count // 5
    held = test + (count - test) // 10
    return order[held:], order[test:held], order[:test]


def measured(fitted: Fitted, test: Sides) -> dict[str, float | None]:
    """The measures of a row; None where a method has none."""
    values = [
        None if distance is None else measure(distance)
        for measure in (recall_at_10, foscttm)
        for distance in (fitted.to_y, fitted.to_x)
    ]
    values.append(None if fitted.predicted is None else correlation(fitted.predicted, test.y))
    return dict(zip(MEASURES, values, strict=True))


def recall_at_10(distance: np.ndarray) -> float:
    """Share of queries (rows) whose partner, on the diagonal, is among the 10 nearest."""
    return float(((distance < distance.diagonal()[:, None]).sum(1) < 10).mean())


def foscttm(distance: np.ndarray) -> float:
    """Mean share of items that are nearer than the partner."""
    return float((distance < distance.diagonal()[:, None]).mean())


def correlation(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean Pearson correlation over the columns that vary; 0 for a constant prediction."""
    a, b = predicted - predicted.mean(0), truth - truth.mean(0)
    norms = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    varying = np.linalg.norm(b, axis=0) > 0
    r = np.divide((a * b).sum(0), norms, out=np.zeros(len(norms)), where=norms > 1e-12)
    return float(r[varying].mean())


def ours(parts: Parts, seed: int) -> Fitted:
    """The suggested settings, and the comparison that the run chose."""
    return suggested(ArrayPairs(*parts.train), parts, seed)


def suggested(train: PairSet, parts: Parts, seed: int, overrides: Sequence[str] = ()) -> Fitted:
    """The settings suggested for training pairs, some of them replaced."""
    data = Splits(train, ArrayPairs(*parts.validation), ArrayPairs(*parts.test))
    settings = suggest_settings_of(train)  # pyright: ignore[reportArgumentType]
    settings["training"]["seed"] = seed
    run = iiae.fit(iiae.make_settings(settings, overrides), data=data, progress=False)
    shared = run.embed(x=parts.test.x).shared, run.embed(y=parts.test.y).shared
    return Fitted(*distances(run, *shared), run.translate(parts.test.x, to="y"))


def distances(run: iiae.Run, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each z_s given x to each given y, as the run chose to compare them, and back."""
    choice = load_comparison(run.folder)
    assert choice is not None
    how, x, y = choice.comparison, torch.from_numpy(x), torch.from_numpy(y)
    to_y = torch.cdist(how.queries(x, "x"), how.items(y, "y")).numpy()
    return to_y, torch.cdist(how.queries(y, "y"), how.items(x, "x")).numpy()


class Units(NamedTuple):
    """Principal components of standardised columns, from training rows."""

    mean: np.ndarray
    deviation: np.ndarray
    pca: PCA

    @classmethod
    def of(cls, rows: np.ndarray) -> Units:
        mean, deviation = rows.mean(0), rows.std(0)
        deviation = np.where(deviation > 1e-12 * np.abs(mean), deviation, np.inf)
        count = min(max(COMPONENTS), len(rows) - 1, rows.shape[1])
        scaled = np.clip((rows - mean) / deviation, -10, 10)
        return cls(mean, deviation, PCA(count, random_state=0).fit(scaled))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        return self.pca.transform(np.clip((rows - self.mean) / self.deviation, -10, 10))


class Canonical(NamedTuple):
    """Maps of both domains from their components to canonical variates."""

    units: tuple[Units, Units]
    maps: tuple[np.ndarray, np.ndarray]

    def __call__(self, side: int, rows: np.ndarray) -> np.ndarray:
        """Variates of rows of x (0) or y (1), each of length 1."""
        one = self.maps[side]
        z = self.units[side](rows)[:, : len(one)] @ one
        return z / np.linalg.norm(z, axis=1, keepdims=True)


def cca(parts: Parts, seed: int) -> Fitted:
    """Distances between canonical variates, see `fit_cca`."""
    best = fit_cca(parts)
    distance = -(best(0, parts.test.x) @ best(1, parts.test.y).T)
    return Fitted(distance, distance.T, None)


def fit_cca(parts: Parts) -> Canonical:
    """Ridge CCA on principal components; strength and components chosen on validation pairs."""
    units = Units.of(parts.train.x), Units.of(parts.train.y)
    train, held, _ = (Sides(units[0](p.x), units[1](p.y)) for p in parts)
    tried = [
        _canonical(train, components, strength)
        for components in COMPONENTS
        for strength in STRENGTHS
    ]
    return Canonical(units, max(tried, key=lambda maps: _quality(_distance(maps, held))))


def _canonical(train: Sides, components: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Maps of both domains to canonical variates, each times its correlation."""
    # in units in which the mean variance is 1, so that the ridge is a share of it
    scales = [np.sqrt(np.square(side[:, :components]).mean()) for side in train]
    x, y = (torch.from_numpy(z[:, :components] / s) for z, s in zip(train, scales, strict=True))
    cov_x, cov_y, cross = (a.T @ b / len(a) for a, b in ((x, x), (y, y), (x, y)))
    size = min(x.shape[1], y.shape[1])
    a, b = canonical_axes(cov_x, cov_y, cross, size, strength)
    weights = ((cross.T @ a) * b).sum(0)
    return (a * weights / scales[0]).numpy(), (b * weights / scales[1]).numpy()


def _distance(maps: tuple[np.ndarray, np.ndarray], sides: Sides) -> np.ndarray:
    x, y = (side[:, : len(one)] @ one for side, one in zip(sides, maps, strict=True))
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    return -(x @ y.T)


def _quality(distance: np.ndarray) -> float:
    """Mean reciprocal rank both ways."""
    ranks = [(d < d.diagonal()[:, None]).sum(1) for d in (distance, distance.T)]
    return float(np.mean([1 / (1 + r) for r in ranks]))


def towers_of(learn: Callable[[Vectors, Vectors, int], Towers]) -> Callable[[Parts, int], Fitted]:
    """Two towers on standardised columns, compared by cosine."""

    def fit(parts: Parts, seed: int) -> Fitted:
        scales = [find_standard(side) for side in parts.train]
        train, held, test = (
            Vectors(*(s.apply(side).clamp(-10, 10) for s, side in zip(scales, part, strict=True)))
            for part in parts
        )
        found = learn(train, held, seed)(test)
        distance = _cosine(found.x.numpy(), found.y.numpy())
        return Fitted(distance, distance.T, None)

    return fit


def pls(parts: Parts, seed: int) -> Fitted:
    """PLS of principal components; the number of its components chosen on validation pairs."""
    units = Units.of(parts.train.x), Units.of(parts.train.y)
    train, held, test = (Sides(units[0](p.x), units[1](p.y)) for p in parts)
    most = min(train.x.shape[1], train.y.shape[1])
    best, quality = None, -1.0
    for count in sorted({min(n, most) for n in (2, 5, *COMPONENTS)}):
        model = PLSRegression(count, scale=False).fit(*train)
        now = _quality(_cosine(*model.transform(*held)))
        if now > quality:
            best, quality = model, now
    assert best is not None
    distance = _cosine(*best.transform(*test))
    return Fitted(distance, distance.T, None)


def _cosine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (
        -(x / np.linalg.norm(x, axis=1, keepdims=True))
        @ (y / np.linalg.norm(y, axis=1, keepdims=True)).T
    )


def ridge(parts: Parts, seed: int) -> Fitted:
    """Ridge regression of y on principal components of x, both chosen on validation pairs."""
    return Fitted(None, None, fit_ridge(parts)(parts.test.x))


def fit_ridge(parts: Parts) -> Callable[[np.ndarray], np.ndarray]:
    """The prediction of y that `ridge` chooses."""
    units = Units.of(parts.train.x)
    train, held = units(parts.train.x), units(parts.validation.x)
    mean, deviation = parts.train.y.mean(0), parts.train.y.std(0).clip(1e-12)
    target = (parts.train.y - mean) / deviation
    tried = [
        (components, Ridge(strength * len(train)).fit(train[:, :components], target))
        for components in COMPONENTS
        for strength in STRENGTHS
    ]
    count, model = max(
        tried, key=lambda one: correlation(one[1].predict(held[:, : one[0]]), parts.validation.y)
    )
    return lambda x: model.predict(units(x)[:, :count]) * deviation + mean


def table(rows: list[dict[str, float]]) -> str:
    """Mean and 95% interval over seeds of every set, method and measure, in Markdown."""
    lines = [f"| set | method | {' | '.join(MEASURES)} | seconds |", "|---" * 8 + "|"]
    for name, method in dict.fromkeys((row["set"], row["method"]) for row in rows):
        some = [row for row in rows if (row["set"], row["method"]) == (name, method)]
        cells = [cell([row[m] for row in some]) for m in MEASURES]
        seconds = np.mean([row["seconds"] for row in some])
        lines.append(f"| {name} | {method} | {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join(lines)


def cell(values: list[float]) -> str:
    """Mean and half a 95% interval over seeds; "-" where a method has no such measure."""
    if any(value is None for value in values):
        return "-"
    if len(values) == 1:
        return f"{values[0]:.3f} (one seed)"
    return f"{np.mean(values):.3f} ± {1.96 * np.std(values, ddof=1) / len(values) ** 0.5:.3f}"


def mfeat(x: str, y: str) -> Callable[[Path], Sides]:
    """Two of the six views of 2,000 handwritten digits."""

    def load(data: Path) -> Sides:
        folder = data / "tabular" / "mfeat"
        views = (np.loadtxt(folder / f"mfeat-{v}.csv", delimiter=",", skiprows=1) for v in (x, y))
        return Sides(*(view[:, :-1] for view in views))

    return load


def pbmc(data: Path) -> Sides:
    """log1p counts of 4,000 genes and 14 proteins of 6,855 cells."""
    import h5py
    from scipy.sparse import csr_matrix

    with h5py.File(data / "omics" / "pbmc10k_cite" / "pbmc10k_cite.h5mu") as file:
        sides = []
        for name in ("rna", "protein"):
            held = file["mod"][name]["X"]
            if isinstance(held, h5py.Group):
                parts = (held[key][:] for key in ("data", "indices", "indptr"))
                held = csr_matrix(tuple(parts), shape=tuple(held.attrs["shape"])).toarray()
            sides.append(np.log1p(np.asarray(held, dtype=np.float64)))
    return Sides(*sides)


def breast(data: Path) -> Sides:
    """mRNA and protein of 150 tumours."""
    folder = data / "omics" / "breast_tcga"
    mrna, protein = (_named_rows(folder / f"{name}.csv.gz") for name in ("mrna", "protein"))
    both = sorted(mrna.keys() & protein.keys())
    return Sides(*(np.array([side[name] for name in both]) for side in (mrna, protein)))


def _named_rows(path: Path) -> dict[str, list[float]]:
    with gzip.open(path, "rt") as file:
        return {row[0]: [float(v) for v in row[1:]] for row in _after_head(csv.reader(file))}


def _after_head(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    next(rows)
    yield from rows


SETS: dict[str, Callable[[Path], Sides]] = {
    **{f"mfeat {x}, {y}": mfeat(x, y) for x, y in MFEAT},
    "breast_tcga": breast,
    "pbmc10k_cite": pbmc,
}
METHODS: dict[str, Callable[[Parts, int], Fitted]] = {
    "iiae": ours,
    "CCA": cca,
    "deep CCA": towers_of(deep_cca),
    "InfoNCE": towers_of(infonce),
    "PLS": pls,
    "ridge": ridge,
}

if __name__ == "__main__":
    main()
