"""Does a score without labels choose good runs? Rank correlation with what known factors say.

    python studies/label_free.py --out runs/label_free            # every set; hours
    python studies/label_free.py --out runs/label_free --quick    # one set, six short runs

Each set is a sweep (`iiae sweep`), which goes on from where it stopped. The truth is hidden from
the scores, which are of validation pairs: on test pairs, the mean retrieval of both directions
times 1 - the largest linear reading of a factor from a latent that it does not belong to, by active
means.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from iiae.data.suggest import suggest_settings_for
from iiae.files.atomic import write_text
from iiae.results import LabelFree
from iiae.settings import dump_settings, make_settings
from iiae.sweep.run import select, sweep

HELD = {"validation": 500, "test": 1000}
FEATURES = {
    "model": {"family": "features", "exclusive": 8, "shared": 8, "width": 32},
    "objective": {
        "tau": 100.0,
        "x": {"kind": "normal", "weight": 50.0},
        "y": {"kind": "normal", "weight": 50.0},
    },
    "training": {"epochs": 40, "batch": 100, "learning_rate": 3e-3},
}
IMAGES = {
    "data": {"name": "digits-cdcb", "size": 16},
    "model": {"family": "small", "exclusive": 8, "shared": 4, "width": 24},
    "objective": {
        "tau": 1000.0,
        "x": {"kind": "laplace", "weight": 2500.0},
        "y": {"kind": "laplace", "weight": 2500.0},
    },
    "training": {"epochs": 40, "batch": 64, "precision": "auto"},
}
COUNTS = {
    "data": {"name": "planted-counts", **HELD},
    "model": {"family": "features", "exclusive": 2, "shared": 2, "width": 64},
    "objective": {
        "beta": 0.5,
        "tau": 100.0,
        "x": {"kind": "negative-binomial"},
        "y": {"kind": "negative-binomial"},
    },
    "training": {"epochs": 20, "batch": 50, "adam_beta1": 0.5},
}
NEAR = 0.02  # share of the best that a choice may lose
OVER = ["objective.lam=0.1,1", "objective.inter=1,3", "model.exclusive=2,8,32"]


class Plan(NamedTuple):
    """A set: settings that all its runs start from, and what is swept."""

    settings: Mapping[str, Any]
    over: list[str]


def plans(data: Path | None, out: Path) -> dict[str, Plan]:
    """Every set that can be read; real ones from `data`, cells of digits written to `out`."""
    sets = {
        "synthetic": Plan({"data": {"name": "synthetic", **HELD}, **FEATURES}, OVER),
        "synthetic, few pairs": Plan(
            {"data": {"name": "synthetic", "limit": 300, **HELD}, **FEATURES}, OVER
        ),
        "planted-counts": Plan(COUNTS, OVER),
        "digits-cdcb": Plan(IMAGES, OVER),
    }
    if data is None:
        return sets
    cells = write_mfeat(data / "tabular" / "mfeat", out)
    section = {"name": "omics", "root": str(cells), "x": "X", "y": "obsm:zer", "test": 400}
    section["factors"] = ["digit:shared"]
    settings = suggest_settings_for(((64,), (47,)), section)
    settings["training"] = {"epochs": 30, "batch": 100, "adam_beta1": 0.5}
    return sets | {"mfeat kar, zer": Plan(settings, OVER)}


def write_mfeat(folder: Path, out: Path) -> Path:
    """Two views of the same handwritten digits as cells, so that the digit is a factor."""
    path = out / "mfeat.h5ad"
    if not path.is_file():
        kar, zer = (
            np.loadtxt(folder / f"mfeat-{view}.csv", delimiter=",", skiprows=1)
            for view in ("kar", "zer")
        )
        digit = pd.DataFrame({"digit": kar[:, -1].astype(int).astype(str)})
        out.mkdir(parents=True, exist_ok=True)
        anndata.AnnData(kar[:, :-1], obs=digit, obsm={"zer": zer[:, :-1]}).write_h5ad(path)
    return path


QUICK = {
    "quick": Plan(
        {
            "data": {"name": "synthetic", "limit": 400, "validation": 100, "test": 200},
            **FEATURES,
            "training": {"epochs": 4, "batch": 50},
        },
        ["objective.lam=0,1", "model.exclusive=1,4,16"],
    )
}


def truth(row: Mapping[str, Any]) -> float:
    """Retrieval of both directions, less what leaked, in [0, 1]; of a row of sweep.csv."""
    recall = (row["recall_x_to_y"] + row["recall_y_to_x"]) / 2
    return recall * (1 - row["largest_leak_active"])


class Agreement(NamedTuple):
    """Spearman's rank correlation of a score with the truth, its interval, and what it loses.

    `lost` is the share of the best run's truth that the run chosen by the score lacks.
    """

    correlation: float
    low: float
    high: float
    lost: float


def correlations(rows: Sequence[Mapping[str, Any]], resamples: int = 1000) -> dict[str, Agreement]:
    """By score: how its order of runs agrees with the true one, with a 95% bootstrap interval.

    A score that is the same in all runs has the correlation 0.

    Args:
        rows: Of sweep.csv.
        resamples: Number of draws of runs with replacement.
    """
    done = [row for row in rows if row["status"] == "done"]
    real = np.array([truth(row) for row in done])
    rng = np.random.default_rng(0)
    picks = [np.arange(len(done)), *rng.integers(len(done), size=(resamples, len(done)))]
    found: dict[str, Agreement] = {}
    for name in LabelFree._fields:
        values = np.array([row[f"label_free_{name}"] for row in done])
        rho, *drawn = (_rank_correlation(values[some], real[some]) for some in picks)
        low, high = np.quantile(drawn, [0.025, 0.975])
        lost = 1 - truth(select(done, name)) / real.max() if real.max() > 0 else 0.0
        found[name] = Agreement(rho, float(low), float(high), lost)
    return found


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    if len(np.unique(a)) == 1 or len(np.unique(b)) == 1:
        return 0.0
    return float(spearmanr(a, b).statistic)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder with tabular/mfeat; without it four sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--quick", action="store_true", help="one set, six short runs")
    given = parser.parse_args(arguments)
    found: dict[str, dict[str, Agreement]] = {}
    for name, one in (QUICK if given.quick else plans(given.data, given.out)).items():
        folder = given.out / name.replace(", ", "-").replace(" ", "-")
        experiment = folder.with_suffix(".toml")
        write_text(experiment, dump_settings(make_settings(one.settings)))
        found[name] = correlations(sweep(experiment, one.over, folder, given.seeds).rows)
        print(f"{name}: measured", flush=True)
    print(table(found))


def table(found: Mapping[str, Mapping[str, Agreement]]) -> str:
    """A row a score, best first, a column a set: correlation, its interval, what is lost."""
    means = {s: np.mean([one[s].correlation for one in found.values()]) for s in LabelFree._fields}
    lines = [f"| score | {' | '.join(found)} | mean | within 2% of the best |"]
    lines.append(f"|{'---|' * (len(found) + 3)}")
    for score in sorted(means, key=lambda s: -means[s]):
        each = [one[score] for one in found.values()]
        cells = [
            f"{one.correlation:.2f} [{one.low:.2f}, {one.high:.2f}], {100 * one.lost:.1f}%"
            for one in each
        ]
        near = f"{sum(one.lost <= NEAR for one in each)} of {len(each)}"
        lines.append(f"| `{score}` | {' | '.join(cells)} | {means[score]:.2f} | {near} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
