"""Bias of every information estimator on normal blocks of known information, and its time.

python benchmarks/information.py [--estimators gaussian ksg] [--seeds 3] [--plot bias.png]

A block has d dimensions, turned at random; the information is spread evenly over all dimensions or
lies in one of them. `RANGES` in `iiae.metrics.information` is read off this table: the largest
information up to which every run, of either kind, is within 10% or 0.05 nats of the truth.
`--family cubed` takes cubes of the latents before they are turned; `--family folded` the absolute
values of one block and random signs in the other, which leaves no correlation at all.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from iiae.metrics import bounds, information

LEVELS = (0.0, 0.03, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0)
ESTIMATORS: dict[str, Callable[..., information.Information]] = {
    "gaussian": information.gaussian_information,
    "ksg": information.ksg_information,
    "infonce": bounds.infonce_information,
    "leave_one_out": bounds.leave_one_out_information,
    "club": bounds.club_information,
}


class Run(NamedTuple):
    estimator: str
    size: int
    samples: int
    spread: str
    seed: int
    truth: float
    value: float
    seconds: float

    @property
    def fits(self) -> bool:
        return abs(self.value - self.truth) <= max(0.1 * self.truth, 0.05)


def normal_blocks(
    size: int, nats: float, samples: int, spread: str, family: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two blocks whose information is `nats`, in all dimensions alike or in one."""
    shared = np.zeros(size)
    pairs = size if spread == "even" else 1
    shared[:pairs] = correlation(nats / pairs, family)
    a = rng.normal(size=(samples, size))
    b = shared * a + np.sqrt(1 - shared**2) * rng.normal(size=(samples, size))
    if family == "cubed":
        a, b = a**3, b**3
    elif family == "folded":
        a, b = np.abs(a), b * rng.choice([-1, 1], size=b.shape)
    turns = [np.linalg.qr(rng.normal(size=(size, size)))[0] for _ in range(2)]
    return a @ turns[0], b @ turns[1]


def correlation(nats: float, family: str) -> float:
    """Of one pair of normal latents that has this information, folded or not."""
    if family != "folded":
        return float(np.sqrt(1 - np.exp(-2 * nats)))
    from scipy.optimize import brentq

    if nats == 0:
        return 0.0
    return float(brentq(lambda rho: folded_information(rho) - nats, 1e-3, 0.99999))


def folded_information(rho: float, points: int = 1500) -> float:
    """Information of |a| and |b|, for normal a and b of this correlation, by integration."""
    rest = np.sqrt(1 - rho**2)
    u = (np.arange(points) + 0.5) * 6 / points
    w = (np.arange(-points, points) + 0.5) * 7 / points  # b = rho u + rest w
    b = rho * u[:, None] + rest * w
    log_given = np.logaddexp(-0.5 * w**2, -0.5 * ((b + rho * u[:, None]) / rest) ** 2)
    log_given = log_given - np.log(rest)
    log_ratio = log_given - (np.log(2) - 0.5 * b**2)
    weight = np.exp(-0.5 * u[:, None] ** 2 - 0.5 * w**2)
    return float((weight * log_ratio).sum() / weight.sum())


def measured(
    names: list[str],
    sizes: list[int],
    samples: int,
    seeds: int,
    family: str,
    levels: list[float],
) -> list[Run]:
    """One run for every estimator, dimension, spread, level and seed; outside of ranges too."""
    runs = []
    everything = {10**9: information.Range(float("inf"), 0)}
    kept, information.RANGES = information.RANGES, dict.fromkeys(ESTIMATORS, everything)
    for name in names:
        for size in sizes:
            for spread in ("even", "one")[: 1 + (size > 1)]:
                for truth in levels:
                    for seed in range(seeds):
                        rng = np.random.default_rng([seed, size, round(100 * truth)])
                        a, b = normal_blocks(size, truth, samples, spread, family, rng)
                        start = time.perf_counter()
                        value = ESTIMATORS[name](a, b).value
                        seconds = time.perf_counter() - start
                        runs.append(Run(name, size, samples, spread, seed, truth, value, seconds))
                show([r for r in runs if (r.estimator, r.size, r.spread) == (name, size, spread)])
    information.RANGES = kept
    return runs


def show(runs: list[Run]) -> None:
    """One line: mean value at every level, with a star where a run is too far from the truth."""
    cells = []
    for truth in dict.fromkeys(r.truth for r in runs):
        here = [r for r in runs if r.truth == truth]
        star = " " if all(r.fits for r in here) else "*"
        cells.append(f"{np.mean([r.value for r in here]):7.3f}{star}")
    first, seconds = runs[0], np.mean([r.seconds for r in runs])
    print(
        f"{first.estimator:14}{first.size:4} {first.spread:5}{first.samples:6}",
        *cells,
        f"{seconds:6.2f} s",
        flush=True,
    )


def plot(runs: list[Run], path: str) -> None:
    """Mean estimate less the truth against the truth: one panel an estimator, one line a size."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(r.estimator for r in runs))
    figure, axes = plt.subplots(1, len(names), figsize=(3.2 * len(names), 3.2), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        levels = sorted({r.truth for r in runs})
        band = np.maximum(0.1 * np.array(levels), 0.05)
        axis.fill_between(levels, -band, band, alpha=0.2, label="10% or 0.05 nats")
        for size, spread in dict.fromkeys((r.size, r.spread) for r in runs if r.estimator == name):
            of = partial(
                _bias, [r for r in runs if (r.estimator, r.size, r.spread) == (name, size, spread)]
            )
            style = "-" if spread == "even" else "--"
            axis.plot(levels, [of(t) for t in levels], style, label=f"{size} {spread}")
        axis.set(title=name, xlabel="information (nats)", ylim=(-1, 1))
    axes[0, 0].set_ylabel("estimate less truth (nats)")
    axes[0, -1].legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _bias(runs: list[Run], truth: float) -> float:
    return float(np.mean([r.value - truth for r in runs if r.truth == truth]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--estimators", nargs="+", choices=ESTIMATORS, default=list(ESTIMATORS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[1, 2, 4, 8, 16])
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--family", choices=("normal", "cubed", "folded"), default="normal")
    parser.add_argument("--levels", nargs="+", type=float, default=LEVELS, help="nats")
    parser.add_argument("--plot", help="write the picture of the biases here")
    parser.add_argument("--csv", help="write every run here")
    given = parser.parse_args()
    print("estimator     size spread samples", *(f"{t:7.2f} " for t in given.levels), "mean time")
    runs = measured(
        given.estimators, given.sizes, given.samples, given.seeds, given.family, given.levels
    )
    if given.csv:
        with open(given.csv, "w", newline="") as file:
            csv.writer(file).writerows([Run._fields, *runs])
    if given.plot:
        plot(runs, given.plot)


if __name__ == "__main__":
    main()
