"""Retrieval as pairs grow few: suggested settings, with and without unpaired samples, beside CCA.

    python studies/few_pairs.py --data shared/data --out runs/few-pairs --picture few-pairs.png

A fifth of the pairs is tested on. Of the others `--pairs` are known as pairs, a tenth of which (at
least 5) validates; of the rest, half have lost y and half x. Rows are kept in `--out`, and a repeat
goes on with those that are missing. `--set` gives settings to try instead of the suggested ones,
with `--measure held` on pairs that are neither trained nor tested on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np

import defaults
from defaults import Fitted, Parts, Sides
from iiae.data.arrays import ArrayPairs
from iiae.data.base import PairSet
from iiae.data.missing import PartialPairs
from iiae.data.missing import Sides as Has

GENES = 1000
HELD = 300  # of the rest, at most, to measure tried settings on
METHODS = ("iiae", "iiae, unpaired too", "CCA")


def genes(data: Path) -> Sides:
    """The 1,000 most variable genes, and proteins, of pbmc10k_cite."""
    rna, protein = defaults.pbmc(data)
    return Sides(rna[:, np.sort(np.argsort(rna.var(0))[-GENES:])], protein)


SETS: dict[str, Callable[[Path], Sides]] = {
    "mfeat fou, kar": defaults.mfeat("fou", "kar"),
    "mfeat pix, mor": defaults.mfeat("pix", "mor"),
    "pbmc10k_cite": genes,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pairs", type=int, nargs="+", default=[30, 100, 300, 1000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.NAME=VALUE")
    parser.add_argument("--measure", choices=["test", "held"], default="test")
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    sets = {name: SETS[name](given.data) for name in given.sets}
    for seed, name, count, method in product(given.seeds, sets, given.pairs, given.methods):
        _row(given, name, sets[name], seed, count, method)
    rows = [json.loads(path.read_text()) for path in sorted(given.out.glob("*.json"))]
    print(table(rows))
    if given.picture:
        draw(rows, given.picture)


def _row(
    given: argparse.Namespace, name: str, everything: Sides, seed: int, count: int, method: str
) -> None:
    tried = " ".join(sorted(given.set)) if method != "CCA" else ""
    words = [name, method, str(count), str(seed), tried, given.measure]
    path = given.out / f"{'-'.join(filter(None, words)).replace('/', '|')}.json"
    if path.is_file():
        return
    parts, rest = few(everything, seed, count)
    if given.measure == "held":
        parts = parts._replace(test=Sides(rest.x[:HELD], rest.y[:HELD]))
    began = time.perf_counter()
    fitted = learned(method, parts, rest, seed, given.set)
    seconds = time.perf_counter() - began
    row = {"set": name, "method": method, "pairs": count, "seed": seed, "tried": tried}
    row |= {"seconds": seconds, **defaults.measured(fitted, parts.test)}
    path.write_text(json.dumps(row))
    print(json.dumps(row), flush=True)


def few(everything: Sides, seed: int, count: int) -> tuple[Parts, Sides]:
    """So many pairs to train and validate on, the test pairs, and the rest."""
    order = np.random.default_rng(seed).permutation(len(everything.x))
    test, order = np.split(order, [len(order) // 5])
    held = max(5, count // 10)
    rows = order[held:count], order[:held], test, order[count:]
    *parts, rest = (Sides(everything.x[some], everything.y[some]) for some in rows)
    return Parts(*parts), rest


def learned(method: str, parts: Parts, rest: Sides, seed: int, tried: Sequence[str]) -> Fitted:
    if method == "CCA":
        return defaults.cca(parts, seed)
    train = partial_pairs(parts.train, rest) if "unpaired" in method else ArrayPairs(*parts.train)
    return defaults.suggested(train, parts, seed, tried)


def partial_pairs(pairs: Sides, rest: Sides) -> PairSet:
    """The pairs, and the rest as x without y and y without x in turn."""
    sides = np.full(len(pairs.x) + len(rest.x), int(Has.BOTH))
    sides[len(pairs.x) :: 2], sides[len(pairs.x) + 1 :: 2] = Has.X, Has.Y
    rows = ArrayPairs(*(np.concatenate(both) for both in zip(pairs, rest, strict=True)))
    return PartialPairs(rows, sides)


def table(rows: list[dict]) -> str:
    """Means over seeds of both directions, in Markdown, with the 95% interval."""
    lines = [
        "| set | pairs | method | recall@10 | foscttm | seconds |",
        "|---|---|---|---|---|---|",
    ]
    keys = dict.fromkeys((r["set"], r["pairs"], r["method"], r["tried"]) for r in rows)
    order = {name: i for i, name in enumerate([*SETS, *METHODS])}
    for key in sorted(keys, key=lambda k: (order[k[0]], k[1], order[k[2]], k[3])):
        some = [r for r in rows if (r["set"], r["pairs"], r["method"], r["tried"]) == key]
        cells = [defaults.cell([both_ways(r, m) for r in some]) for m in ("recall@10", "foscttm")]
        seconds = np.mean([r["seconds"] for r in some])
        method = f"{key[2]} ({key[3]})" if key[3] else key[2]
        lines.append(f"| {key[0]} | {key[1]:,} | {method} | {' | '.join(cells)} | {seconds:.0f} |")
    return "\n".join(lines)


def both_ways(row: dict, measure: str) -> float:
    """The mean of both directions."""
    return (row[f"{measure} x to y"] + row[f"{measure} y to x"]) / 2


def draw(rows: list[dict], path: Path) -> None:
    """Recall@10 and FOSCTTM against the number of pairs; a line a method, bars of 95%."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(SETS), figsize=(10, 5.6), sharex=True, squeeze=False)
    for column, name in enumerate(SETS):
        for line, measure in zip(axes[:, column], ("recall@10", "foscttm"), strict=True):
            for method in METHODS:
                some = [
                    r for r in rows if (r["set"], r["method"], r["tried"]) == (name, method, "")
                ]
                counts = sorted({r["pairs"] for r in some})
                values = [[both_ways(r, measure) for r in some if r["pairs"] == n] for n in counts]
                error = [1.96 * np.std(v, ddof=1) / len(v) ** 0.5 if v[1:] else 0 for v in values]
                line.errorbar(
                    counts, [np.mean(v) for v in values], error,
                    label=method, marker="o", markersize=4, capsize=2,
                )  # fmt: skip
            line.set(xscale="log", ylim=(0, None))
        axes[0, column].set_title(name, fontsize=10)
        axes[1, column].set(xlabel="pairs", xticks=[30, 100, 300, 1000])
        axes[1, column].set_xticklabels(["30", "100", "300", "1,000"])
        axes[1, column].minorticks_off()
    axes[0, 0].set_ylabel("Recall@10, more is better")
    axes[1, 0].set_ylabel("FOSCTTM, less is better")
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
