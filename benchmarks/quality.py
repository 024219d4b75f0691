"""Quality of an experiment over seeds: trains, evaluates on the test set, prints mean ± sd.

    python benchmarks/quality.py experiments/mnist-cdcb.toml --seeds 0 1 2 --out runs/mnist

Each seed is a run folder OUT-seedN, as `iiae train --set training.seed=N` and `iiae evaluate`
make it; a folder that is complete is not trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean, stdev

from iiae.data import load
from iiae.evaluation.evaluate import evaluate
from iiae.results import load_results
from iiae.run_folder import METRICS, MODEL, load_run, save_metrics
from iiae.settings import load_settings
from iiae.training import fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    arguments = parser.parse_args()
    results: dict[str, list[float]] = {}
    for seed in arguments.seeds:
        overrides = [*arguments.overrides, f"training.seed={seed}"]
        found = run_seed(arguments.experiment, overrides, Path(f"{arguments.out}-seed{seed}"))
        for name, value in found.items():
            results.setdefault(name, []).append(value)
    print(f"\n{'figure':48}{'mean':>10}{'sd':>8}   seeds {arguments.seeds}")
    for name, values in results.items():
        spread = stdev(values) if len(values) > 1 else float("nan")
        each = "  ".join(f"{v:.3f}" for v in values)
        print(f"{name:48}{mean(values):10.3f}{spread:8.3f}   {each}")


def run_seed(experiment: Path, overrides: list[str], out: Path) -> dict[str, float]:
    if not (out / MODEL).is_file() or not (out / METRICS).is_file():
        fit(load_settings(experiment, overrides), out)
    run = load_run(out)
    found = evaluate(run, load(run.settings.data).test)
    save_metrics(out, "test", found)
    training = load_results(out).training
    assert training and found.retrieval
    figures = {"training, s": training.seconds, "active dimensions": found.active_dimensions}
    for way, one in found.retrieval._asdict().items():
        if one is not None:
            figures[f"Recall@1 {way}, %"] = 100 * one.recall[1].rate
    for view, matrix in found.readability.probes.items():
        for factor, row in matrix.cells.items():
            for latent, cell in row.items():
                if cell.linear:
                    name = f"{factor} ({matrix.measure[factor]}) from {latent}, {view}"
                    figures[name] = cell.linear.score
    return figures


if __name__ == "__main__":
    main()
