"""Is the null right? p-values of real pairs and of shuffled ones, after short trainings.

    python studies/null.py --data shared/data --out runs/null

On every set of real pairs a short training by seed; then the permutation test of
`iiae.evidence.matching` on held-out pairs: p below 0.05 in every seed is wanted. The same after
training on shuffled pairs, held-out pairs shuffled too: there p must be uniform, by the test of
Kolmogorov and Smirnov. Rows are kept in `--out`; a repeat goes on with those that are missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kstest

import iiae
from iiae.data import load
from iiae.data.arrays import ArrayPairs
from iiae.data.base import ShuffledPairs, Splits
from iiae.data.suggest import suggest_settings_for, suggest_settings_of
from iiae.evidence.matching import match_held_out
from iiae.settings import DataSettings, make_settings

sys.path.insert(0, str(Path(__file__).parent))
from defaults import SETS, split

EPOCHS = {"breast_tcga": 30, "digits-cdcb": 4}
MOST = 5  # epochs where nothing else is given
ROWS = 2000  # pairs of a set, at most
NULL_SETS = ("mfeat fou, kar", "mfeat kar, zer", "breast_tcga")
SURE = 0.05


def vectors(name: str) -> Callable[[Path, int], tuple[dict[str, Any], Splits]]:
    """A set of `studies/defaults.py` with its suggested settings; a fifth is tested on."""

    def read(data: Path, seed: int) -> tuple[dict[str, Any], Splits]:
        pairs = SETS[name](data)
        kept = np.random.default_rng(0).permutation(len(pairs.x))[:ROWS]
        parts = split(pairs._replace(x=pairs.x[kept], y=pairs.y[kept]), seed)
        splits = Splits(*(ArrayPairs(part.x, part.y) for part in parts))
        return suggest_settings_of(splits.train), splits  # pyright: ignore[reportArgumentType]

    return read


def digits(data: Path, seed: int) -> tuple[dict[str, Any], Splits]:
    """Coloured digits, with the suggested settings of images of 16 x 16."""
    section = DataSettings(name="digits-cdcb", size=16, seed=seed)
    splits = load(section)
    shapes = splits.train.shapes
    return suggest_settings_for(shapes, {"name": "digits-cdcb", "size": 16}), splits


READERS = {**{name: vectors(name) for name in SETS}, "digits-cdcb": digits}


def measured(name: str, data: Path, out: Path, seed: int, shuffled: bool) -> dict[str, Any]:
    """The row of one training; read from `out` if it is there."""
    path = out / f"{name}-{'shuffled' if shuffled else 'real'}-{seed}.json"
    if not path.is_file():
        suggested, splits = READERS[name](data, seed)
        suggested["training"] |= {"seed": seed, "epochs": EPOCHS.get(name, MOST), "patience": None}
        if shuffled:
            splits = Splits(*(ShuffledPairs(p, 3 * seed + i) for i, p in enumerate(splits)))
        settings = make_settings(suggested)
        run = iiae.fit(settings, data=splits, progress=False)
        found = match_held_out(run.model, splits, "test", settings.evaluation)
        row = {"p": found.p_value, "nats": found.nats.value, "recall": found.recall}
        out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**row, "pairs": found.pairs}))
    return json.loads(path.read_text())


def table(
    read: Callable[[str, int, bool], dict[str, Any]], sets: Sequence[str], seeds: int, null: int
) -> Iterator[str]:
    """Rows of two Markdown tables: real pairs by set, then shuffled ones."""
    yield "| set | test pairs | seeds with p < 0.05 | largest p | nats | partner first |"
    yield "|---|---|---|---|---|---|"
    for name in sets:
        rows = [read(name, seed, False) for seed in range(seeds)]
        p = np.array([row["p"] for row in rows])
        nats, recall = (np.mean([row[key] for row in rows]) for key in ("nats", "recall"))
        held = f"{(p < SURE).sum()} of {len(p)}"
        yield (
            f"| {name} | {rows[0]['pairs']} | {held} | {p.max():.3f} | {nats:.2f} "
            f"| {100 * recall:.1f}% |"
        )
    yield "\n| shuffled | trainings | p < 0.05 | Kolmogorov-Smirnov p | nats |"
    yield "|---|---|---|---|---|"
    for name in (name for name in NULL_SETS if name in sets):
        rows = [read(name, seed, True) for seed in range(null)]
        p, nats = np.array([row["p"] for row in rows]), np.mean([row["nats"] for row in rows])
        uniform = kstest(p, "uniform").pvalue
        yield f"| {name} | {null} | {(p < SURE).sum()} | {uniform:.2f} | {nats:.3f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20, help="trainings on real pairs, by set")
    parser.add_argument("--null", type=int, default=50, help="trainings on shuffled pairs, by set")
    parser.add_argument("--sets", nargs="+", default=list(READERS), choices=list(READERS))
    given = parser.parse_args(arguments)

    def read(name: str, seed: int, shuffled: bool) -> dict[str, Any]:
        return measured(name, given.data, given.out, seed, shuffled)

    for line in table(read, given.sets, given.seeds, given.null):
        print(line, flush=True)


if __name__ == "__main__":
    main()
