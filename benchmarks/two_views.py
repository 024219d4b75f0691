"""Two views of handwritten digits: IIAETransformer beside CCA, retrieval and clustering.

    python benchmarks/two_views.py FOLDER --views fac fou --seeds 5

FOLDER holds UCI's Multiple Features as `mfeat-*.csv`, a header, the label last. Pairs are split
1,500 to 500 by seed; sizes and distances were chosen on 300 of the 1,500, never on the 500.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.cross_decomposition import CCA
from sklearn.metrics import normalized_mutual_info_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler, normalize

from iiae.estimator import IIAETransformer
from iiae.metrics.retrieval import partner_ranks

SIZE = 16  # of z_s, and components of CCA


def read_view(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features `(2000, size)` and digits `(2000,)`."""
    table = np.loadtxt(folder / f"mfeat-{name}.csv", delimiter=",", skiprows=1)
    return table[:, :-1], table[:, -1].astype(int)


def measure(z_x: np.ndarray, z_y: np.ndarray, digits: np.ndarray, seed: int) -> list[float]:
    """Recall@1 x to y and y to x; NMI of ten k-means clusters with the digits, of x and of y."""
    x, y = torch.from_numpy(z_x), torch.from_numpy(z_y)
    recall = [(partner_ranks(a, b) == 0).double().mean().item() for a, b in ((x, y), (y, x))]
    clusters = [KMeans(10, n_init=10, random_state=seed).fit_predict(z) for z in (z_x, z_y)]
    return [*recall, *(normalized_mutual_info_score(digits, c) for c in clusters)]


def compare(
    folder: Path, views: tuple[str, str], seed: int, epochs: int = 100
) -> dict[str, list[float]]:
    """`measure` of each method on the 500 pairs held out by `seed`."""
    X, digits = read_view(folder, views[0])
    Y, _ = read_view(folder, views[1])
    train, test = train_test_split(
        np.arange(len(X)), test_size=500, stratify=digits, random_state=seed
    )
    digits = digits[test]
    cca = CCA(SIZE, max_iter=2000).fit(X[train], Y[train])
    correlated = cca.transform(X[test], Y[test])
    model = IIAETransformer(shared=SIZE, epochs=epochs, random_state=seed)
    model.fit(X[train], Y[train])
    raw = [StandardScaler().fit(v[train]).transform(v[test]) for v in (X, Y)]
    return {
        # there is no distance between features of two views
        "standardised features": [float("nan")] * 2 + measure(raw[0], raw[0], digits, seed)[2:3]
        + measure(raw[1], raw[1], digits, seed)[2:3],
        "CCA, Euclidean": measure(*correlated, digits, seed),
        "CCA, cosine": measure(*map(normalize, correlated), digits, seed),
        "IIAETransformer": measure(
            model.transform(X[test]), model.transform_y(Y[test]), digits, seed
        ),
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--views", nargs=2, default=["fac", "fou"])
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args(arguments)
    runs = [compare(given.folder, tuple(given.views), seed) for seed in range(given.seeds)]
    print(f"{'mean ± sd, %':24}{'R@1 x to y':>14}{'R@1 y to x':>14}{'NMI x':>14}{'NMI y':>14}")
    for name in runs[0]:
        values = 100 * np.array([run[name] for run in runs])
        spread = values.std(0, ddof=1) if len(runs) > 1 else np.zeros(4)
        cells = [f"{m:.1f} ± {s:.1f}" for m, s in zip(values.mean(0), spread, strict=True)]
        print(f"{name:24}" + "".join(f"{cell:>14}" for cell in cells))


if __name__ == "__main__":
    main()
