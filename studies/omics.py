"""iiae beside CCA, ridge, principal components and totalVI on paired omics.

    python studies/omics.py --data shared/data --out runs/omics --seeds 0 1 2

Every row is kept in `--out`; a repeat adds those that are missing, and prints both tables. Each
row is measured in a process of its own. A seed draws the split (a fifth of the pairs is tested
on, a tenth of the rest validates) and the weights.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from defaults import Parts, Sides, cell, correlation, foscttm, recall_at_10, split_rows
from omics_methods import METHODS, Given, Made, total_vi
from omics_probes import CATEGORIES, Latent, probes
from omics_sets import SETS, Omics

PAIRS = ("foscttm x to y", "foscttm y to x", "recall@10 x to y", "recall@10 y to x", "r of y",
         "in 90%", "seconds", "MiB")  # fmt: skip
READ = ("ari", "nmi", "type of 10", "batch", "batch by SVM", "phase", "mitochondrial", "isotypes")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--totalvi", help="a Python that has scvi-tools: adds totalVI")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    methods = given.methods + ["totalVI"] * bool(given.totalvi)
    for method in methods:
        for name in given.sets:
            for seed in given.seeds:
                path = given.out / f"{name}-{method}-{seed}.json"
                if not path.is_file() and applies(method, name):
                    words = (name, method, seed, given.data, given.totalvi)
                    with multiprocessing.get_context("spawn").Pool(1) as pool:
                        path.write_text(json.dumps(pool.apply(row, words)))
                    print(path, flush=True)
    rows = [json.loads(path.read_text()) for path in sorted(given.out.glob("*.json"))]
    print(table(rows, "pairs", PAIRS), table(rows, "latents", READ), sep="\n\n")


def applies(method: str, name: str) -> bool:
    """Batches are known of one set; tumours have no counts."""
    if method in ("iiae, batch", "totalVI"):
        return name == {"iiae, batch": "bmmc_cite_starter", "totalVI": "pbmc10k_cite"}[method]
    return method != "iiae, counts" or name != "breast_tcga"


def row(name: str, method: str, seed: int, data: Path, python: str | None = None) -> dict[str, Any]:
    """All measures of one method on one set."""
    omics = SETS[name](data)
    parts = split_rows(len(omics.x), seed)
    began = time.perf_counter()
    made = ({**METHODS, "totalVI": total_vi(python or "")}[method])(given_of(omics, parts, seed))
    seconds = time.perf_counter() - began
    peak = sum(resource.getrusage(who).ru_maxrss for who in
               (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024  # fmt: skip
    train, test = ({k: v[rows] for k, v in omics.labels.items()} for rows in (parts[0], parts[2]))
    if omics.lone is not None:
        test = {k: np.concatenate([v, omics.lone.labels[k]]) for k, v in test.items()}
    truth = _log(omics, omics.y[parts[2]])
    pairs = {**measured(made, truth), "seconds": seconds, "MiB": peak}
    read_from = made.latents | (
        types_alone(train, test) if method == "components" and "batch" in train else {}
    )
    latents = {key: probes(z, train, test, seed) for key, z in read_from.items()}
    chance = {k: 1 / len(np.unique(v)) for k, v in test.items() if k in CATEGORIES}
    return {"set": name, "method": method, "seed": seed, "pairs": {"": pairs},
            "latents": latents, "chance": chance}  # fmt: skip


def types_alone(
    train: Mapping[str, np.ndarray], test: Mapping[str, np.ndarray]
) -> dict[str, Latent]:
    """The known type as a latent: what batches differ in by their cells, not by measurement."""
    kinds = np.unique(train["type"])
    return {"types": Latent(*((part["type"][:, None] == kinds) * 1.0 for part in (train, test)))}


def given_of(omics: Omics, rows: Sequence[np.ndarray], seed: int) -> Given:
    """What methods are given of a set."""

    def parts(x: np.ndarray, y: np.ndarray) -> Parts:
        return Parts(*(Sides(x[some], y[some]) for some in rows))

    x, y, lone = _log(omics, omics.x), _log(omics, omics.y), omics.lone
    raw = parts(omics.x, omics.y) if omics.counts else None
    column = omics.labels["batch"][:, None] if "batch" in omics.labels else None
    batch = None if column is None else parts(column, column)
    return Given(parts(x, y), raw, batch, None if lone is None else lone.x, seed)


def _log(omics: Omics, values: np.ndarray) -> np.ndarray:
    return np.log1p(values) if omics.counts else values


def measured(made: Made, truth: np.ndarray) -> dict[str, float | None]:
    """Measures of pairs; None where a method has none."""
    found: dict[str, float | None] = {}
    for name, distance in (("x to y", made.to_y), ("y to x", made.to_x)):
        found[f"foscttm {name}"] = None if distance is None else foscttm(distance)
        found[f"recall@10 {name}"] = None if distance is None else recall_at_10(distance)
    predicted, low, high = made.predicted, made.low, made.high
    found["r of y"] = None if predicted is None else correlation(predicted, truth)
    known = low is not None and high is not None
    found["in 90%"] = float(((truth >= low) & (truth <= high)).mean()) if known else None
    return found


def table(rows: Sequence[Mapping[str, Any]], what: str, measures: Sequence[str]) -> str:
    """Means and 95% intervals over seeds, in Markdown."""
    lines = [f"| set | method | {' | '.join(measures)} |", "|---" * (2 + len(measures)) + "|"]
    groups: dict[tuple[str, str, str], list[Mapping[str, float | None]]] = {}
    for one in rows:
        for latent, values in one[what].items():
            groups.setdefault((one["set"], one["method"], latent), []).append(values)
    for (name, method, latent), some in groups.items():
        label = f"{method}: {latent}" if latent else method
        cells = [_cell([values.get(m) for values in some], m) for m in measures]
        lines.append(f"| {name} | {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: Sequence[float | None], measure: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    if measure in ("seconds", "MiB"):
        return f"{np.mean(known):.0f}"
    return cell(known)


if __name__ == "__main__":
    main()
