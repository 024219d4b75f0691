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

from scipy.stats import spearmanr

from iiae.files.atomic import write_text
from iiae.results import LabelFree
from iiae.settings import dump_settings, make_settings
from iiae.sweep.rows import select
from iiae.sweep.run import sweep

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
    "training": {"epochs": 60, "batch": 64, "precision": "auto"},
}
OVER = ["objective.lam=0,1,3", "objective.inter=1,3", "model.exclusive=2,8,32"]


class Plan(NamedTuple):
    """A set: settings that all its runs start from, and what is swept."""

    settings: Mapping[str, Any]
    over: list[str]


PLANS = {
    "synthetic": Plan({"data": {"name": "synthetic"}, **FEATURES}, OVER),
    "synthetic, few pairs": Plan({"data": {"name": "synthetic", "limit": 300}, **FEATURES}, OVER),
    "digits-cdcb": Plan(IMAGES, OVER),
}
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


def correlations(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """By score: Spearman's rank correlation with the truth, and what its choice loses of the best.

    A score that is the same in all runs has the correlation 0.
    """
    done = [row for row in rows if row["status"] == "done"]
    real = [truth(row) for row in done]
    best = max(real)
    found: dict[str, tuple[float, float]] = {}
    for name in LabelFree._fields:
        values = [row[f"label_free_{name}"] for row in done]
        rho = float(spearmanr(values, real).statistic) if len(set(values)) > 1 else 0.0
        chosen = truth(select(done, name))
        found[name] = (rho, 1 - chosen / best if best > 0 else 0.0)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--quick", action="store_true", help="one set, six short runs")
    given = parser.parse_args(arguments)
    print("| set | runs | score | rank correlation | lost by its choice |\n|---|---|---|---|---|")
    for name, one in (QUICK if given.quick else PLANS).items():
        folder = given.out / name.replace(", ", "-").replace(" ", "-")
        experiment = folder.with_suffix(".toml")
        write_text(experiment, dump_settings(make_settings(one.settings)))
        rows = sweep(experiment, one.over, folder, given.seeds).rows
        for score, (rho, lost) in correlations(rows).items():
            print(
                f"| {name} | {len(rows)} | `{score}` | {rho:.2f} | {100 * lost:.1f}% |", flush=True
            )


if __name__ == "__main__":
    main()
