"""Every combination of some settings, trained and measured, a run folder and a process each.

`python -m iiae.sweep.run FOLDER` is one of those processes: it goes on from whatever the folder
holds.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from iiae.data.base import Splits
from iiae.errors import IIAEError, Interrupted, MissingExtra, RunError, SettingsError
from iiae.files.atomic import write_text
from iiae.metrics.leakage import largest_leak
from iiae.results import Evaluation, LabelFree, load_results
from iiae.run_folder import (
    CHECKPOINT,
    METRICS,
    MODEL,
    SETTINGS,
    load_pairs,
)
from iiae.settings import Settings, dump_settings, load_settings
from iiae.sweep.pareto import LEAKS, MEASURES, draw_pareto
from iiae.types import plain

PLAN, RESULTS, PICTURE = "sweep.json", "sweep.csv", "pareto.png"
WANTED = "wanted.toml"  # in each run folder: the settings it is to have
VIEWS = ("means", "active means", "samples")  # of the latents, in the order of `LEAKS`
LOG = "sweep.log"  # in each run folder: what its process said
SCORE = "balance"  # of `LabelFree`, by which the best run is named: docs/studies/label_free.md
Progress = Callable[[int, int], object]


class Combination(NamedTuple):
    """One run of a sweep: its folder's name, and the swept settings as text."""

    name: str
    values: dict[str, str]


class Sweep(NamedTuple):
    """Results of a sweep: `rows` as in sweep.csv, and the files written.

    `picture` is None where nothing was finished or no factor of the data is known.
    """

    rows: list[dict[str, Any]]
    results: Path
    picture: Path | None


def sweep(
    experiment: Path,
    over: Sequence[str],
    out: Path,
    seeds: Sequence[int] = (),
    processes: int = 1,
    progress: Progress | None = None,
) -> Sweep:
    """Trains and evaluates every combination; runs of an earlier call are kept or gone on with.

    A run that fails is recorded with its message and stops no other; the next call tries it again.

    Args:
        experiment: Settings file that all runs start from.
        over: `section.name=value,value`: settings and the values that each takes.
        out: Folder to write: a run folder for each combination, sweep.csv and pareto.png.
        seeds: Values of `training.seed`; that of the experiment by default.
        processes: Runs at a time; each has its part of the CPU's threads.
        progress: Called with the runs that have ended and their number.

    Raises:
        SettingsError: A setting is unknown, a value is not one of it, or nothing is swept.
        RunError: `out` holds something else, or cannot be written to.
        MissingExtra: matplotlib is not installed.
        Interrupted: Ctrl-C; runs under way were saved.
    """
    _check_extras()
    combinations = plan(over, seeds)
    wanted = {
        one.name: load_settings(experiment, [f"{k}={v}" for k, v in one.values.items()])
        for one in combinations
    }
    base = load_settings(experiment).model_dump(mode="json")
    _claim(out, {"experiment": base, "runs": {one.name: one.values for one in combinations}})
    for name, settings in wanted.items():
        write_text(out / name / WANTED, dump_settings(settings))
    waiting = [out / one.name for one in combinations if not _finished(out / one.name)]
    failed = _run_all(waiting, len(combinations), processes, progress)
    rows = [_row(out / one.name, one, failed.get(one.name)) for one in combinations]
    return Sweep(rows, _write_rows(out / RESULTS, rows), draw_pareto(out / PICTURE, rows))


def plan(over: Sequence[str], seeds: Sequence[int] = ()) -> list[Combination]:
    """Every combination of the values of `section.name=value,value` and the seeds.

    >>> [one.name for one in plan(["objective.lam=0,1"], [3])]
    ['000-lam=0-seed=3', '001-lam=1-seed=3']

    Raises:
        SettingsError: Nothing is swept, a setting has no values or comes twice.
    """
    if not over:
        raise SettingsError("nothing to sweep: give --over, as in --over objective.lam=0,0.3,1")
    axes: dict[str, list[str]] = {}
    for text in over:
        name, values = _axis(text)
        if name in axes:
            raise SettingsError(f"--over {text}: {name} is swept already")
        axes[name] = values
    if seeds:
        if "training.seed" in axes:
            raise SettingsError("training.seed is in --over and in --seeds; give one of them")
        axes["training.seed"] = [str(seed) for seed in seeds]
    last = [name.rpartition(".")[2] for name in axes]
    short = last if len(set(last)) == len(last) else list(axes)
    found = []
    for i, values in enumerate(itertools.product(*axes.values())):
        parts = [re.sub(r"[^\w.+=-]", "_", f"{k}={v}") for k, v in zip(short, values, strict=True)]
        found.append(
            Combination("-".join([f"{i:03d}", *parts]), dict(zip(axes, values, strict=True)))
        )
    return found


def run_one(folder: Path) -> None:
    """Trains what wanted.toml asks for, from where the folder stands, and evaluates it."""
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
    Run(run, data).evaluate()
    if not isinstance(data.validation, ClassPairs):
        save_metrics(folder, "label_free", label_free_scores(run, data), data.validation.digest())


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


def _axis(text: str) -> tuple[str, list[str]]:
    name, found, rest = (part.strip() for part in text.partition("="))
    # a comma inside brackets belongs to the value
    values = [value.strip() for value in re.split(r",(?![^\[]*\])", rest)]
    if not found or not name or "" in values:
        raise SettingsError(f"--over {text}: write section.name=value,value, none of them empty")
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise SettingsError(f"--over {text}: {twice} comes twice")
    return name, values


def _check_extras() -> None:
    """Before hours of training, not after."""
    try:
        __import__("matplotlib")
    except ImportError as error:
        raise MissingExtra("report", "iiae sweep") from error


def _claim(out: Path, wanted: Mapping[str, Any]) -> None:
    """Makes `out` the folder of this sweep, unless it is something else already."""
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file; --out names a folder")
    path = out / PLAN
    if not path.is_file():
        if out.is_dir() and any(out.iterdir()):
            raise RunError(f"{out}: holds other files; choose another --out")
        write_text(path, json.dumps(wanted, indent=2) + "\n")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path}: damaged: {error}") from error
    if before != wanted:
        same = before.get("experiment") == wanted["experiment"]
        what = "values of --over or --seeds" if same else "settings of the experiment"
        raise RunError(f"{out}: holds another sweep, with other {what}; choose another --out")


def _finished(folder: Path) -> bool:
    """Trained and evaluated; a damaged record counts as neither."""
    try:
        return (folder / MODEL).is_file() and load_results(folder).test is not None
    except RunError:
        (folder / METRICS).unlink()
        return False


def _run_all(
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
        raise Interrupted("stopped; the same command goes on with the sweep") from None
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
        # in a session of its own, so that Ctrl-C reaches it once, from _run_all
        return subprocess.Popen(
            [sys.executable, "-m", "iiae.sweep.run", str(folder)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "ended without a message"


def _row(folder: Path, one: Combination, message: str | None) -> dict[str, Any]:
    """A row of sweep.csv; a run that failed has its message and no numbers."""
    row: dict[str, Any] = {"run": one.name, **one.values}
    if message is not None:
        return {**row, "status": "failed", "message": message}
    results = load_results(folder)
    test = results.test
    assert test and results.training
    row |= {"status": "done", "message": "", **_retrieval(test)}
    for name, view in zip(LEAKS, VIEWS, strict=True):
        matrix = test.readability.probes.get(view)
        leak = largest_leak(matrix) if matrix else None
        row |= {
            name: leak and leak.value,
            f"{name}_of": leak and f"{leak.factor} from {leak.block}",
        }
    row |= plain(test.nats)
    row |= {"active_dimensions": test.active_dimensions, "pairs": test.pairs}
    row |= {f"label_free_{k}": v for k, v in plain(results.label_free or {}).items()}
    return {**row, "seconds": results.training.seconds}


def check_score(name: str) -> None:
    """Raises SettingsError if there is no such score, before hours of training."""
    if name not in LabelFree._fields:
        raise SettingsError(
            f"--select {name}: is no score; choose one of {', '.join(LabelFree._fields)}"
        )


def select(rows: Sequence[Mapping[str, Any]], score: str) -> Mapping[str, Any]:
    """The run of a sweep that has most of a score of `LabelFree`, on its validation pairs.

    Args:
        rows: Of `Sweep`.
        score: A field of `iiae.results.LabelFree`.

    Raises:
        SettingsError: There is no such score.
        RunError: No run has it: all failed, or their pairs are made of classes.
    """
    check_score(score)
    known = [row for row in rows if row.get(f"label_free_{score}") is not None]
    if not known:
        raise RunError(f"--select {score}: no run of the sweep has this score")
    return max(known, key=lambda row: row[f"label_free_{score}"])


def _retrieval(test: Evaluation) -> dict[str, Any]:
    """Recall@1 both ways, or mAP if pairs are made of classes; `chance` is the mean of both."""
    rates = {way: rate for way, (rate, _) in test.rates.items()}
    guesses = [test.rates[f"shared_{way}"][1] for way in ("x_to_y", "y_to_x")]
    return {
        "measure": "map@all" if test.categories else "recall@1",
        **{name: rates.get(name.replace("recall", "shared")) for name in MEASURES},
        **{name: rates.get(name) for name in ("active_x_to_y", "active_y_to_x")},
        "chance": sum(guesses) / 2,
    }


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
    return path


def main() -> None:
    """One run of a sweep; what failed is the last line on stderr."""
    try:
        run_one(Path(sys.argv[1]))
    except IIAEError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(130 if isinstance(error, Interrupted) else 2)


if __name__ == "__main__":
    main()
