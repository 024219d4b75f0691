"""What the targets of separation come to by the threshold of active dimensions, over runs.

    python benchmarks/separation.py RUN RUN RUN --split validation --plot thresholds.png
    python benchmarks/separation.py RUN RUN RUN --thresholds 0.1

The runs are of one experiment and differ in their seeds; every figure is a mean ± sd over them.
Active dimensions are chosen anew for each threshold in nats, `evaluation.active_nats`; the row
*all* keeps all means, and *samples* has one sample of each posterior. Nothing is written into the
runs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from iiae.data import load
from iiae.data.base import Factor
from iiae.errors import DataError
from iiae.evidence.measure import Blocks, views
from iiae.files.atomic import write_atomically
from iiae.metrics.factors import BlockFactor
from iiae.metrics.independence import domain_probe
from iiae.metrics.probe_matrix import ProbeMatrix, probe_matrix
from iiae.metrics.retrieval import instance_retrieval
from iiae.model.active import select_active
from iiae.model.latents import embed
from iiae.run_folder import load_run
from iiae.training.fit import ACTIVE_PAIRS

THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0)
DIMENSIONS = ("dimensions z_s", "z_x", "z_y")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--split", choices=["validation", "test"], default="test")
    parser.add_argument("--thresholds", type=float, nargs="+", default=list(THRESHOLDS))
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--out", type=Path, help="figures of every run, as JSON")
    given = parser.parse_args()
    found = [measure(folder, given.split, given.thresholds) for folder in given.runs]
    print(f"\n{len(found)} runs, {given.split} pairs; mean ± sd over runs\n")
    print(_table(found))
    if given.out:
        given.out.write_text(json.dumps(dict(zip(map(str, given.runs), found, strict=True))))
    if given.plot:
        _draw(given.plot, found)


def measure(folder: Path, split: str, thresholds: Sequence[float]) -> dict[str, dict[str, float]]:
    """Figures of one run by threshold, and of samples."""
    run = load_run(folder)
    data, batch = load(run.settings.data), run.settings.evaluation.batch
    train = embed(run.model, islice(data.train.batches(batch), max(1, ACTIVE_PAIRS // batch)))
    pairs, seed = getattr(data, split), run.settings.evaluation.seed
    kept = embed(run.model, data.validation.batches(batch))
    held, factors = embed(run.model, pairs.batches(batch)), pairs.factors()
    by_view: dict[str, Blocks] = {}
    for threshold in thresholds:
        seen = views(held, select_active(train, kept, threshold), seed)
        by_view[f"{threshold:g}"] = seen["active means"]
        by_view |= {"all": seen["means"], "samples": seen["samples"]}
    found: dict[str, dict[str, float]] = {}
    for name, view in by_view.items():
        found[name] = _figures(view, factors)
        print(folder.name, name, _shown(found[name]), flush=True)
    return found


def _figures(view: Blocks, factors: Mapping[str, Factor]) -> dict[str, float]:
    assert view.given_x is not None
    assert view.given_y is not None
    found = {
        "dimensions z_s": float(view.given_x.shape[1]),
        "z_x": float(view.exclusive_x.shape[1]),
        "z_y": float(view.exclusive_y.shape[1]),
    }
    sides = torch.from_numpy(view.given_x), torch.from_numpy(view.given_y)
    found["R@1 x to y, %"] = 100 * instance_retrieval(*sides).recall[1].rate
    found["R@1 y to x, %"] = 100 * instance_retrieval(sides[1], sides[0]).recall[1].rate
    if factors:
        found |= _readings(view, factors)
    try:
        told = domain_probe(view.given_x, view.given_y)
        found["domain probe, %"] = 100 * max(told.linear, told.nonlinear)
    except DataError:  # no dimension is left
        found["domain probe, %"] = float("nan")
    return found


def _readings(view: Blocks, factors: Mapping[str, Factor]) -> dict[str, float]:
    """Of each factor: at home, and the largest elsewhere, by the better of the two probes."""
    blocks = {
        "z_x": view.exclusive_x,
        "z_s": view.shared,
        "z_y": view.exclusive_y,
        "z_s given x": view.given_x,
        "z_s given y": view.given_y,
    }
    known = {n: BlockFactor(f.values, f.kind, f.latent) for n, f in factors.items()}
    matrix = probe_matrix(blocks, known, permutations=1)  # pyright: ignore[reportArgumentType]
    found: dict[str, float] = {}
    for name, factor in factors.items():
        if factor.block == "shared":
            n = 4 * len(view.shared) // 5
            if factor.kind == "categorical":
                support = make_pipeline(StandardScaler(), SVC(C=10.0)).fit(
                    blocks["z_s given x"][:n], factor.values[:n]
                )
                score = support.score(blocks["z_s given x"][n:], factor.values[n:])
                found[f"{name} from z_s"] = float(score)
            for latent in ("z_x", "z_y"):
                found |= _both(matrix, name, latent)
        else:
            foreign = [b for b in blocks if b != factor.latent]
            found[f"{name} from {factor.latent}"] = _best(matrix, name, factor.latent)
            found[f"{name} elsewhere, linear"] = max(_linear(matrix, name, b) for b in foreign)
            found[f"{name} elsewhere"] = max(_best(matrix, name, b) for b in foreign)
    return found


def _both(matrix: ProbeMatrix, name: str, latent: str) -> dict[str, float]:
    return {
        f"{name} from {latent}, linear": _linear(matrix, name, latent),
        f"{name} from {latent}": _best(matrix, name, latent),
    }


def _linear(matrix: ProbeMatrix, factor: str, block: str) -> float:
    reading = matrix.cells[factor][block].linear
    return reading.score if reading else float("nan")


def _best(matrix: ProbeMatrix, factor: str, block: str) -> float:
    return max((r.score for r in matrix.cells[factor][block] if r), default=float("nan"))


def _shown(figures: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in figures.items())


def _table(found: Sequence[Mapping[str, Mapping[str, float]]]) -> str:
    names = list(next(iter(found[0].values())))
    lines = [f"| active above | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for key in found[0]:
        cells: list[str] = []
        for name in names:
            values = np.array([one[key][name] for one in found])
            digits = 2 if name.endswith("%") else 0 if name in DIMENSIONS else 3
            spread = f" ± {values.std(ddof=1):.{digits or 1}f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.{digits}f}{spread}")
        lines.append(f"| {key} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _draw(path: Path, found: Sequence[Mapping[str, Mapping[str, float]]]) -> None:
    """Dimensions, retrieval, what leaks and what is kept, by threshold: every run a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    names = list(next(iter(found[0].values())))
    panels: dict[str, tuple[list[str], str]] = {
        "Dimensions kept": (list(DIMENSIONS), "dimensions"),
        "Partners found by z_s": ([n for n in names if n.startswith("R@1")], "Recall@1, %"),
        "Read where it does not belong": (
            [n for n in names if "elsewhere" in n and "linear" not in n],
            "R2, better of two probes",
        ),
        "Shared factors": (
            [n for n in names if " from z_" in n and "colour" not in n and "linear" not in n],
            "accuracy",
        ),
    }
    for axes, (title, (shown, unit)) in zip(
        figure.subplots(2, 2).flat, panels.items(), strict=True
    ):
        for colour, name in enumerate(shown):
            _lines(axes, found, name, f"C{colour}")
        axes.set(title=title, xlabel="threshold, nats", ylabel=unit)
        axes.grid(alpha=0.3)
        if shown:
            axes.legend(fontsize=8)
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=110))


def _lines(axes: Any, found: Sequence[Mapping[str, Mapping[str, float]]], name: str, colour: str):
    keys = [key for key in found[0] if key not in ("all", "samples")]
    for i, run in enumerate(found):
        values = [run[key][name] for key in keys]
        label = name if i == 0 else None
        axes.plot([float(k) for k in keys], values, "o-", ms=3, lw=1, color=colour, label=label)
        axes.axhline(run["samples"][name], ls=":", lw=0.8, color=colour)


if __name__ == "__main__":
    main()
