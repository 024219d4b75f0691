"""Runs of a sweep in processes of their own, some at a time.

`python -m iiae.sweep.processes FOLDER` is one of those processes: it resumes from whatever the
folder holds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from iiae.data.base import Splits
from iiae.errors import IIAEError, Interrupted, RunError
from iiae.results import load_results
from iiae.run_folder import (
    CHECKPOINT,
    MODEL,
    SETTINGS,
    load_pairs,
)
from iiae.settings import Settings, load_settings

WANTED = "wanted.toml"  # in each run folder: the settings it must have
LOG = "sweep.log"  # in each run folder: what its process printed
FEWEST_SCORED = 3  # validation pairs that label-free scores can be of
Progress = Callable[[int, int], object]


def run_one(folder: Path) -> None:
    """Trains and evaluates what wanted.toml asks for; resumes what the folder holds."""
    from iiae.data import load
    from iiae.data.classes.pairs import ClassPairs
    from iiae.evidence.label_free import label_free_scores
    from iiae.run import Run
    from iiae.run_folder import load_run, save_metrics
    from iiae.training import fit

    settings = load_settings(folder / WANTED)
    data = load(settings.data)
    _check_same_data(folder, settings, data)
    if (folder / MODEL).is_file() and load_results(folder).training:
        run = load_run(folder)
    else:
        resume = (folder / CHECKPOINT).is_file() and (folder / SETTINGS).is_file()
        run = fit(settings, folder, data, resume=resume, progress=False, overwrite=not resume)
    if not isinstance(data.validation, ClassPairs) and len(data.validation) >= FEWEST_SCORED:
        save_metrics(folder, "label_free", label_free_scores(run, data), data.validation.digest())
    Run(run, data).evaluate()  # last: a run with test results is finished


def _check_same_data(folder: Path, settings: Settings, data: Splits) -> None:
    """Refuses data that has changed since a run of the same sweep was trained on it."""
    for other in sorted(folder.parent.iterdir()):
        record = load_pairs(other)
        if record is None or load_settings(other / WANTED).data != settings.data:
            continue
        if any(part.digest() != record[name].digest for name, part in data._asdict().items()):
            raise RunError(
                f"{folder}: the data has changed since {other.name} was trained, so that results "
                "would not compare; restore the data, or sweep anew in another --out"
            )


def run_all(
    waiting: Sequence[Path], total: int, processes: int, progress: Progress | None
) -> dict[str, str]:
    """Runs every folder, `processes` at a time; messages of those that failed, by name."""
    queue, running = list(waiting), dict[Path, subprocess.Popen[bytes]]()
    failed: dict[str, str] = {}
    threads = max(1, (os.cpu_count() or 1) // processes)
    try:
        while queue or running:
            while queue and len(running) < processes:
                folder = queue.pop(0)
                running[folder] = _start(folder, threads)
            for folder in [f for f, process in running.items() if process.poll() is not None]:
                if running.pop(folder).returncode:
                    failed[folder.name] = _last_line(folder / LOG)
            if progress:
                progress(total - len(queue) - len(running), total)
            time.sleep(0.05)
    except KeyboardInterrupt:
        raise Interrupted("stopped; the same command resumes the sweep") from None
    finally:
        for process in running.values():
            process.send_signal(signal.SIGINT)
        for process in running.values():
            process.wait()
    return failed


def _start(folder: Path, threads: int) -> subprocess.Popen[bytes]:
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    environment = {**os.environ, **{name: str(value) for name, value in limits.items()}}
    with (folder / LOG).open("wb") as log:
        # in a session of its own, so that Ctrl-C reaches it once, from run_all
        return subprocess.Popen(
            [sys.executable, "-m", "iiae.sweep.processes", str(folder)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "ended without a message"


def main() -> None:
    """One run of a sweep; what failed is the last line on stderr."""
    try:
        run_one(Path(sys.argv[1]))
    except IIAEError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(130 if isinstance(error, Interrupted) else 2)


if __name__ == "__main__":
    main()
