"""Bounds on interaction information where I(X;Y) is known: linear-Gaussian pairs.

    python benchmarks/known_information.py --plot known_information.png

Trains the feature model at each level of I(X;Y) and prints the truth beside what
`iiae.evidence.information` says on held-out pairs. The lower bound holds without assumptions; the
upper one bounds I(X;Y) if z_s says all that x and y share.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from iiae.data import Splits
from iiae.data.synthetic import LinearGaussianPairs
from iiae.evidence.information import InformationTerms, information_terms
from iiae.settings import Settings, make_settings
from iiae.training import fit

LEVELS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)


def settings_for(seed: int, epochs: int, overrides: Sequence[str] = ()) -> Settings:
    likelihood = {"kind": "normal", "weight": 50.0}
    return make_settings(
        {
            "title": "linear-Gaussian pairs of known information",
            "data": {"name": "synthetic"},  # for the record: pairs are given to fit
            "model": {"family": "features", "exclusive": 8, "shared": 4, "width": 32},
            "objective": {"tau": 100.0, "x": likelihood, "y": likelihood},
            "training": {"epochs": epochs, "batch": 100, "learning_rate": 3e-3, "seed": seed},
        },
        overrides,
    )


def measure(
    level: float, seed: int = 0, epochs: int = 20, pairs: int = 8000, overrides: Sequence[str] = ()
) -> InformationTerms:
    """Trains on `pairs` pairs of this I(X;Y); the bounds on half as many others."""
    sizes = (pairs, pairs // 8, pairs // 2)
    data = Splits(*(LinearGaussianPairs(n, level, 3 * seed + i) for i, n in enumerate(sizes)))
    with tempfile.TemporaryDirectory() as folder:
        run = fit(settings_for(seed, epochs, overrides), folder, data, progress=False)
        return information_terms(run.model, data.test, seed=seed, train=data.train)


def plot(found: dict[float, list[InformationTerms]], path: Path) -> None:
    from matplotlib.figure import Figure

    axes = (figure := Figure(figsize=(6, 5), layout="constrained")).subplots()
    levels = list(found)
    drawn = {
        "interaction_upper": ("at most (if z_s says all they share)", "v", "tab:red"),
        "interaction_lower": ("at least", "^", "tab:blue"),
    }
    for name, (label, marker, colour) in drawn.items():
        rows = [[getattr(one, name).value for one in found[level]] for level in levels]
        for i, values in enumerate(zip(*rows, strict=True)):
            kept = {"label": label} if i == 0 else {}
            axes.plot(levels, values, marker=marker, color=colour, alpha=0.7, **kept)
    wyner = [LinearGaussianPairs(2, level, 0).common_information for level in levels]
    axes.plot(levels, wyner, ":", color="grey", label="Wyner's common information")
    axes.plot(levels, levels, "--", color="black", label="truth")
    axes.set(xlabel="true I(X;Y), nats", ylabel="I(X;Y;Z_s), nats", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--levels", type=float, nargs="+", default=LEVELS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--set", action="append", default=[], help="section.name=value")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args(arguments)
    columns = (
        "interaction_lower",
        "interaction_estimate",
        "interaction_upper",
        "interaction_fitted",
    )
    print(f"{'I(X;Y)':>8}{'Wyner':>8}{'seed':>6}" + "".join(f"{name:>22}" for name in columns))
    found: dict[float, list[InformationTerms]] = {}
    for level in given.levels:
        wyner = LinearGaussianPairs(2, level, 0).common_information
        for seed in given.seeds:
            one = measure(level, seed, given.epochs, overrides=given.set)
            found.setdefault(level, []).append(one)
            cells = (getattr(one, name) for name in columns)
            text = "".join(f"{f'{b.value:.2f} [{b.low:.2f}, {b.high:.2f}]':>22}" for b in cells)
            print(f"{level:8.2f}{wyner:8.2f}{seed:6}{text}", flush=True)
    if given.plot:
        plot(found, given.plot)


if __name__ == "__main__":
    main()
