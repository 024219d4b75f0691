"""Time and memory as data grows: an epoch from Parquet shards, and `embed_files`, at 1x, 10x, 100x.

    OMP_NUM_THREADS=1 python benchmarks/growth.py [--pairs 20000] [--plot docs/growth.png]

Vectors of 16 values and a small network, so that it is the program's own cost that shows. Each
size is measured in a process of its own, the smallest three times (their median), after a warm-up
on a tenth of the smallest. Memory is the peak of what the process has allocated for itself, sampled
every 20 ms; pages of files that are only mapped are left out, for the system drops them at need.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from iiae.inference.embed import embed_files
from iiae.settings import make_settings
from iiae.training import fit

WIDTH, SHARD, GROUP = 16, 20_000, 1000
TASKS = ("train", "embed")


class Cost(NamedTuple):
    """Of one task on so many pairs or rows: wall and CPU seconds, peak MiB."""

    items: int
    wall: float
    cpu: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20_000, help="at 1x")
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)  # task, folder
    given = parser.parse_args()
    if given.measure:
        task, folder = given.measure
        print(json.dumps(measure(task, Path(folder))))
        return
    costs: dict[str, list[Cost]] = {task: [] for task in TASKS}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write(root / "warm", given.pairs // 10)
        fit(settings_of(root / "warm"), root / "run", progress=False)
        for factor in given.factors:
            folder = root / str(factor)
            write(folder, factor * given.pairs)
            (folder / "run").symlink_to(root / "run")
            for task in TASKS:
                repeats = 3 if factor == given.factors[0] else 1
                found = [in_a_process(task, folder) for _ in range(repeats)]
                costs[task].append(Cost(*(median(values) for values in zip(*found, strict=True))))
    report(costs)
    if given.plot:
        draw(costs, given.plot)


def write(folder: Path, pairs: int) -> None:
    """Shards to train on, two small sets beside them, and x once more as an array."""
    rng = np.random.default_rng(0)
    for part, count in (("train", pairs), ("validation", 2000), ("test", 2000)):
        (folder / part).mkdir(parents=True)
        for start in range(0, count, SHARD):
            size = min(SHARD, count - start)
            sides = {
                side: pa.FixedSizeListArray.from_arrays(
                    pa.array(rng.random(size * WIDTH, dtype=np.float32)), WIDTH
                )
                for side in "xy"
            }
            file = folder / part / f"{start // SHARD:06d}.parquet"
            pq.write_table(pa.table(sides), file, row_group_size=GROUP)
    np.save(folder / "x.npy", rng.random((pairs, WIDTH), dtype=np.float32))


def settings_of(folder: Path):
    return make_settings(
        {
            "data": {"name": "parquet-shards", "root": str(folder)},
            "model": {"family": "features", "width": 64, "shared": 8, "exclusive": 8},
            "training": {"epochs": 1, "batch": 500},
        }
    )


def in_a_process(task: str, folder: Path) -> Cost:
    done = subprocess.run(
        [sys.executable, __file__, "--measure", task, folder],
        check=True,
        capture_output=True,
        text=True,
    )
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def measure(task: str, folder: Path) -> Cost:
    def train(where: Path) -> None:
        with tempfile.TemporaryDirectory() as out:
            fit(settings_of(where), Path(out) / "run", progress=False)

    def embed(where: Path) -> None:
        with tempfile.TemporaryDirectory() as out:
            embed_files(folder / "run", where / "x.npy", Path(out) / "z.parquet", "x", batch=1024)

    run: Callable[[Path], None] = {"train": train, "embed": embed}[task]
    run(folder.parent / "warm")  # imports and caches
    items = len(np.load(folder / "x.npy", mmap_mode="r"))
    with Peak() as peak:
        wall, cpu = time.perf_counter(), time.process_time()
        run(folder)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Cost(items, wall, cpu, peak.mebibytes)


class Peak:
    """The largest memory of its own that this process has while it is open."""

    def __enter__(self) -> Peak:
        self.mebibytes, self.done = 0.0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.done.wait(0.02):
            status = Path("/proc/self/status").read_text()
            (line,) = (line for line in status.splitlines() if line.startswith("RssAnon"))
            self.mebibytes = max(self.mebibytes, int(line.split()[1]) / 1024)


def report(costs: dict[str, list[Cost]]) -> None:
    print("| | pairs or rows | seconds | CPU seconds | CPU us each | to the largest | peak MiB |")
    print("|---|---|---|---|---|---|---|")
    for task, found in costs.items():
        largest = found[-1].cpu / found[-1].items
        for cost in found:
            each = cost.cpu / cost.items
            print(
                f"| {task} | {cost.items:,} | {cost.wall:.2f} | {cost.cpu:.2f} | {1e6 * each:.1f} "
                f"| {each / largest:.2f} | {cost.memory:.0f} |"
            )


def draw(costs: dict[str, list[Cost]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for (task, found), colour in zip(costs.items(), ("tab:blue", "tab:orange"), strict=True):
        items = [cost.items for cost in found]
        last = found[-1]
        left.loglog(items, [cost.cpu for cost in found], "o", color=colour, label=task)
        left.loglog(items, [last.cpu / last.items * n for n in items], "-", color=colour, lw=0.8)
        right.semilogx(items, [cost.memory for cost in found], "o-", color=colour, label=task)
    left.set(xlabel="pairs or rows", ylabel="CPU seconds", title="lines: proportional to data")
    right.set(xlabel="pairs or rows", ylabel="MiB", title="peak memory", ylim=(0, None))
    left.legend()
    right.legend()
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
