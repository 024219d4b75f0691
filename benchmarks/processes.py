"""Pairs a second of one process with two threads beside two processes with one.

    python benchmarks/processes.py [--family features] [--batch 100] [--repeats 3]

Trained on pairs of noise, `--steps` an epoch; the first of three epochs is left out. The machine
must be idle: whatever else runs slows two processes more than one, for each waits for the other.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from iiae.run_folder import load_history
from iiae.settings import Settings, dump_settings, make_settings

KINDS: dict[str, tuple[tuple[int, ...], dict[str, Any], int]] = {
    "features": ((512,), {"family": "features", "shared": 64, "exclusive": 64}, 100),
    "small": ((32, 32, 3), {"family": "small", "shared": 8, "exclusive": 8, "width": 16}, 128),
    "image-map": ((256, 256, 3), {"family": "image-map", "shared": 128, "exclusive": 8}, 8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=KINDS, default="features")
    parser.add_argument(
        "--batch", type=int, help="over all processes; the published one if left out"
    )
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    given = parser.parse_args()
    batch = given.batch or KINDS[given.family][2]
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pairs(folder, KINDS[given.family][0], batch * given.steps)
        for repeat in range(given.repeats):
            for processes, found in rates.items():
                settings = make_settings(
                    {
                        "data": {
                            "name": "arrays",
                            **{side: str(folder / f"{side}.npy") for side in "xy"},
                            "validation": 1,
                            "test": 1,
                        },
                        "model": KINDS[given.family][1],
                        "training": {"epochs": 3, "batch": batch, "devices": processes},
                    },
                    given.overrides,
                )
                found.append(measure(settings, folder / f"{repeat}-{processes}"))
    print(f"{given.family}, batch {batch}, {' '.join(given.overrides)}")
    for processes, found in rates.items():
        name = f"{processes} process{'es' * (processes > 1)}, {2 // processes} threads each"
        print(f"{name}: {median(found):.0f} pairs/s, of {', '.join(f'{r:.0f}' for r in found)}")
    print(f"ratio: {median(rates[2]) / median(rates[1]):.2f}")


def write_pairs(folder: Path, shape: tuple[int, ...], count: int) -> None:
    rng = np.random.default_rng(0)
    for side in "xy":
        if len(shape) == 3:
            values = rng.integers(0, 255, (count + 2, *shape), np.uint8)
        else:
            values = rng.normal(size=(count + 2, *shape)).astype(np.float32)
        np.save(folder / f"{side}.npy", values)


def measure(settings: Settings, out: Path) -> float:
    """Pairs a second of the second and third epoch."""
    settings_file, program = out.with_suffix(".toml"), out.with_suffix(".py")
    settings_file.write_text(dump_settings(settings), encoding="utf-8")
    program.write_text("from iiae.commands.app import main\nmain()\n", encoding="utf-8")
    threads = str(2 // settings.training.devices)
    subprocess.run(
        [sys.executable, program, "train", settings_file, "--out", out],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": threads},
    )
    rows = load_history(out)
    steps = rows[-1]["step"] - rows[0]["step"]
    return settings.training.batch * steps / (rows[-1]["seconds"] - rows[0]["seconds"])


if __name__ == "__main__":
    main()
