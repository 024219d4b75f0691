"""What covariates take out of z_s: pairs measured at three sites, each with its own offsets.

    python studies/covariates.py --data shared/data --out runs/covariates --seeds 0 1 2

A site is drawn for each pair, and adds a vector of its own to x and to y, as large as a column's
deviation. Only the training pairs of a set are used, split again: a fifth is tested on, a tenth of
the rest validates. Rows are kept in `--out`; a repeat goes on with those that are missing.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import defaults
import iiae
from defaults import Fitted, Sides
from few_pairs import SETS
from iiae.data.arrays import ArrayPairs
from iiae.data.base import Splits
from iiae.data.suggest import suggest_settings_of
from omics_probes import Latent, accuracy

SITES = 3
METHODS = ("without covariates", "site as covariate")
MEASURES = (
    "recall@10 x to y", "recall@10 y to x", "foscttm within sites", "r of y", "site from z_s of x",
    "site from z_s of y",
)  # fmt: skip


class Part(NamedTuple):
    """Pairs, and the site of each."""

    pairs: Sides
    site: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, nargs="+", default=[300, 1000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    sets = {name: SETS[name](given.data) for name in given.sets}
    for seed, name, count, method in product(given.seeds, sets, given.pairs, METHODS):
        path = given.out / f"{name}-{count}-{method}-{seed}.json"
        if not path.is_file():
            parts = at_sites(sets[name], seed, count)
            row = {"set": name, "pairs": count, "method": method, "seed": seed}
            row |= measured(parts, method != METHODS[0], seed)
            path.write_text(json.dumps(row))
            print(json.dumps(row), flush=True)
    print(table([json.loads(path.read_text()) for path in sorted(given.out.glob("*.json"))]))


def at_sites(everything: Sides, seed: int, count: int) -> list[Part]:
    """So many pairs, to train, to validate and to test on, as three sites measured them."""
    train, validation, _ = defaults.split_rows(len(everything.x), 0)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.concatenate([train, validation]))[:count]
    site = rng.integers(SITES, size=len(rows))
    moved = Sides(
        *(
            side[rows] + (rng.normal(size=(SITES, side.shape[1])) * side.std(0))[site]
            for side in everything
        )
    )
    order = defaults.split_rows(len(rows), seed)
    return [Part(Sides(moved.x[some], moved.y[some]), site[some].astype(str)) for some in order]


def measured(parts: list[Part], given: bool, seed: int) -> dict[str, float]:
    """All measures of a run with the suggested settings; the site is `given` to it or not."""
    known = [{"covariates": {"site": part.site}} if given else {} for part in parts]
    run = fitted(parts, given, seed)
    train, _, test = parts
    latents = {
        side: Latent(
            *(
                run.embed(**{side: getattr(part.pairs, side)}, **also).shared
                for part, also in ((train, known[0]), (test, known[2]))
            )
        )
        for side in "xy"
    }
    to_y, to_x = defaults.distances(run, latents["x"].test, latents["y"].test)
    predicted = run.translate(test.pairs.x, to="y", **known[2])
    every = defaults.measured(Fitted(to_y, to_x, predicted), test.pairs)
    found = {name: every[name] for name in MEASURES if name in every}
    found["foscttm within sites"] = np.mean([within(d, test.site) for d in (to_y, to_x)])
    for side, latent in latents.items():
        by_both = (accuracy(latent, train.site, test.site, curved) for curved in (False, True))
        found[f"site from z_s of {side}"] = max(by_both)
    return {name: float(value) for name, value in found.items() if value is not None}


def fitted(parts: list[Part], given: bool, seed: int) -> iiae.Run:
    """A run with the suggested settings."""
    sets = (ArrayPairs(*part.pairs, columns={"site": part.site} if given else {}) for part in parts)
    data = Splits(*sets)
    settings: dict[str, Any] = suggest_settings_of(data.train)  # pyright: ignore[reportArgumentType]
    settings["training"]["seed"] = seed
    if given:
        settings["data"] = {**settings["data"], "covariates": ["site"]}
    return iiae.fit(iiae.make_settings(settings), data=data, progress=False)


def within(distance: np.ndarray, site: np.ndarray) -> float:
    """Mean share of the items of a query's site that are nearer than its partner."""
    same = site[:, None] == site
    nearer = (distance < distance.diagonal()[:, None]) & same
    return float((nearer.sum(1) / same.sum(1)).mean())


def table(rows: list[dict]) -> str:
    """Means over seeds with 95% intervals, in Markdown."""
    lines = [f"| set | pairs | method | {' | '.join(MEASURES)} |", "|---" * 9 + "|"]
    keys = dict.fromkeys((r["set"], r["pairs"], r["method"]) for r in rows)
    for key in sorted(keys, key=lambda k: (list(SETS).index(k[0]), k[1], METHODS.index(k[2]))):
        some = [r for r in rows if (r["set"], r["pairs"], r["method"]) == key]
        cells = [defaults.cell([r[m] for r in some]) for m in MEASURES]
        lines.append(f"| {key[0]} | {key[1]:,} | {key[2]} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
