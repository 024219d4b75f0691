"""Pairs a second of one process with two threads beside two processes with one.

    OMP_NUM_THREADS=2 python benchmarks/processes.py [--family features] [--repeats 3]

Trained on pairs of noise; the first epoch of each run is left out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np

from iiae.runs import load_history
from iiae.settings import dump_settings, make_settings

KINDS = {
    "features": ((6400, 512), {"family": "features", "shared": 64, "exclusive": 64}, 100),
    "small": ((1280, 32, 32, 3), {"family": "small", "shared": 8, "exclusive": 8}, 128),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=KINDS, default="features")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    rates: dict[str, list[float]] = {}
    for _ in range(given.repeats):
        for processes in (1, 2):
            name = f"{processes} process{'es' * (processes > 1)}, {2 // processes} threads each"
            rates.setdefault(name, []).append(measure(given.family, processes))
    for name, found in rates.items():
        print(f"{name}: {median(found):.0f} pairs/s, of {', '.join(f'{r:.0f}' for r in found)}")


def measure(family: str, processes: int) -> float:
    shape, model, batch = KINDS[family]
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for side in "xy":
            values = rng.integers(0, 255, shape) if len(shape) == 4 else rng.normal(size=shape)
            kind = np.uint8 if len(shape) == 4 else np.float32
            np.save(Path(folder, f"{side}.npy"), values.astype(kind))
        settings = make_settings(
            {
                "data": {
                    "name": "arrays",
                    "x": f"{folder}/x.npy",
                    "y": f"{folder}/y.npy",
                    "validation": 1,
                    "test": 1,
                },
                "model": model,
                "training": {"epochs": 4, "batch": batch, "devices": processes},
            }
        )
        Path(folder, "s.toml").write_text(dump_settings(settings), encoding="utf-8")
        Path(folder, "iiae").write_text("from iiae.cli import main\nmain()\n", encoding="utf-8")
        subprocess.run(
            [
                sys.executable,
                f"{folder}/iiae",
                "train",
                f"{folder}/s.toml",
                "--out",
                f"{folder}/run",
            ],
            check=True,
            capture_output=True,
            env={**os.environ, "OMP_NUM_THREADS": str(2 // processes)},
        )
        rows = load_history(Path(folder, "run"))
        steps = rows[-1]["step"] - rows[0]["step"]
        return batch * steps / (rows[-1]["seconds"] - rows[0]["seconds"])


if __name__ == "__main__":
    main()
