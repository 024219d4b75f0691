"""Do gains show known leaks, and what mends them? From the runs of label_free.py.

    python studies/leaks.py --out runs/label_free

A leak is known where factors are: the largest linear reading above chance, by active means, of a
factor from a latent that it does not belong to. Beside it stand gains of the same latent
(`iiae.evidence.gains`), which no factor enters. The second table compares runs that differ in one
setting alone. What was measured is kept in the run's folder as gains.json.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from iiae.data import load
from iiae.evidence.gains import leakage_gains
from iiae.evidence.measure import views
from iiae.files.atomic import write_text
from iiae.metrics.leakage import ProbeMatrix
from iiae.model.latents import embed
from iiae.results import load_results
from iiae.run_folder import load_run

VIEW = "active means"
LATENTS = {
    "shared_in_z_x": "z_x",
    "shared_in_z_y": "z_y",
    "exclusive_in_z_s_x": "z_s given x",
    "exclusive_in_z_s_y": "z_s given y",
}
FEW, MANY = 0.05, 0.2  # known leaks below and above
SETTINGS = ("objective.lam", "objective.inter", "model.exclusive")
MEASURES = {
    "retrieval": lambda row: (row["recall_x_to_y"] + row["recall_y_to_x"]) / 2,
    "leak from z_s": lambda row: _largest(row, "exclusive"),
    "leak from z_x, z_y": lambda row: _largest(row, "shared"),
}


def known_leak(matrix: ProbeMatrix, block: str) -> float | None:
    """Largest linear reading above chance from a block of a factor that is not its own."""
    found = [
        cells[block].above_chance
        for cells in (matrix.sides(factor)[1] for factor in matrix.cells)
        if block in cells
    ]
    return max(found, default=None)


def measured(folder: Path) -> dict[str, dict[str, float | None]]:
    """By gain: what it is on test pairs, its share of the possible, and the known leak."""
    path = folder / "gains.json"
    if not path.is_file():
        run = load_run(folder)
        settings = run.settings.evaluation
        pairs = load(run.settings.data).test
        found = embed(run.model, pairs.batches(settings.batch))
        latents = views(found, run.model.active_dimensions, settings.seed)
        gains = leakage_gains({VIEW: latents[VIEW]}, pairs, settings.batch)[VIEW]
        test = load_results(folder).test
        assert test
        matrix = test.readability.probes[VIEW]
        rows = {
            name: {
                "gain": gain.gain if gain else 0.0,
                "share": gain.share if gain else 0.0,
                "leak": known_leak(matrix, LATENTS[name]),
            }
            for name, gain in gains._asdict().items()
        }
        write_text(path, json.dumps(rows))
    return json.loads(path.read_text())


def read_sweep(folder: Path) -> list[dict[str, Any]]:
    """Rows of sweep.csv of finished runs, with `gains` as `measured`."""
    with (folder / "sweep.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "done"]
    for row in rows:
        row |= {k: float(v) for k, v in row.items() if k.startswith("recall_")}
        row["gains"] = measured(folder / row["run"])
    return rows


def agreement(rows: Sequence[Mapping[str, Any]], name: str) -> Iterator[tuple[str, float]]:
    """Spearman's rank correlation of gain and of share with the known leak; none if constant."""
    known = [row["gains"][name] for row in rows if row["gains"][name]["leak"] is not None]
    for measure in ("gain", "share"):
        values, leaks = [one[measure] for one in known], [one["leak"] for one in known]
        if len(set(values)) > 1 and len(set(leaks)) > 1:
            yield measure, float(spearmanr(values, leaks).statistic)


def effects(
    rows: Sequence[Mapping[str, Any]], setting: str
) -> Iterator[tuple[str, str, str, np.ndarray]]:
    """What a step of a setting changes among runs that are else alike.

    Yields both values, a measure of `MEASURES`, and what it is before and after, `(runs, 2)`.
    """
    others = [name for name in SETTINGS if name != setting]
    for before, after in pairwise(sorted({row[setting] for row in rows}, key=float)):
        for measure, of in MEASURES.items():
            first, second = (
                {tuple(row[o] for o in others): of(row) for row in rows if row[setting] == value}
                for value in (before, after)
            )
            yield before, after, measure, np.array([(first[k], second[k]) for k in first])


def _largest(row: Mapping[str, Any], which: str) -> float:
    leaks = [one["leak"] for name, one in row["gains"].items() if name.startswith(which)]
    return max((leak for leak in leaks if leak is not None), default=float("nan"))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="that of label_free.py")
    given = parser.parse_args(arguments)
    sweeps = {path.parent.name: read_sweep(path.parent) for path in given.out.glob("*/sweep.csv")}
    print(f"| set | latent | measure | correlation with the known leak | if that is < {FEW} | "
          f"if > {MANY} |\n|---|---|---|---|---|---|")  # fmt: skip
    for name, rows in sweeps.items():
        for gain, latent in LATENTS.items():
            for measure, rho in agreement(rows, gain):
                known = [row["gains"][gain] for row in rows]
                few = [one[measure] for one in known if one["leak"] < FEW]
                many = [one[measure] for one in known if one["leak"] > MANY]
                print(
                    f"| {name} | {latent} | {measure} | {rho:.2f} | {_span(few)} | {_span(many)} |"
                )
    print("\n| set | setting | measure | before | after | runs |\n|---|---|---|---|---|---|")
    for name, rows in sweeps.items():
        for setting in SETTINGS:
            for before, after, measure, both in effects(rows, setting):
                a, b = both.mean(0)
                step = f"{setting} {before} to {after}"
                print(f"| {name} | `{step}` | {measure} | {a:.3f} | {b:.3f} | {len(both)} |")


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.3f} to {max(values):.3f} ({len(values)})" if values else "-"


if __name__ == "__main__":
    main()
