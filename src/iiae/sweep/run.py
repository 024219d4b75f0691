"""Every combination of some settings, trained and measured, a run folder and a process each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from iiae.errors import MissingExtra, RunError
from iiae.files.atomic import write_text
from iiae.results import load_results
from iiae.run_folder import (
    METRICS,
    MODEL,
)
from iiae.settings import dump_settings, load_settings
from iiae.sweep.combinations import plan
from iiae.sweep.pareto import draw_pareto
from iiae.sweep.processes import WANTED, Progress, run_all
from iiae.sweep.rows import make_row, write_rows

PLAN, RESULTS, PICTURE = "sweep.json", "sweep.csv", "pareto.png"


class Sweep(NamedTuple):
    """Results of a sweep: `rows` as in sweep.csv, and the files written.

    `picture` is None where nothing was finished or no factor of the data is known.
    """

    rows: list[dict[str, Any]]
    results: Path
    picture: Path | None


def sweep(
    experiment: str | Path,
    over: str | Sequence[str],
    out: str | Path,
    seeds: Sequence[int] = (),
    processes: int = 1,
    progress: Progress | None = None,
) -> Sweep:
    """Trains and evaluates every combination; keeps finished runs and resumes others.

    A run that fails is recorded with its message and stops no other; the next call tries it again.

    Args:
        experiment: Settings file that all runs start from.
        over: `section.name=value,value`: a setting and the values that it takes, or several.
        out: Folder to write: a run folder for each combination, sweep.csv and pareto.png.
        seeds: Values of `training.seed`; that of the experiment by default.
        processes: Number of runs at a time; each has its part of the CPU's threads.
        progress: Called with the number of runs that have ended, and of all.

    Raises:
        SettingsError: A setting is unknown, a value does not fit it, or nothing is swept.
        RunError: `out` holds something else, or cannot be written to.
        MissingExtra: matplotlib is not installed.
        Interrupted: Ctrl-C; runs under way were saved.
    """
    _check_extras()
    experiment, out = Path(experiment), Path(out)
    combinations = plan([over] if isinstance(over, str) else over, seeds)
    wanted = {
        one.name: load_settings(experiment, [f"{k}={v}" for k, v in one.values.items()])
        for one in combinations
    }
    base = load_settings(experiment).model_dump(mode="json")
    _claim(out, {"experiment": base, "runs": {one.name: one.values for one in combinations}})
    for name, settings in wanted.items():
        write_text(out / name / WANTED, dump_settings(settings))
    waiting = [out / one.name for one in combinations if not _finished(out / one.name)]
    failed = run_all(waiting, len(combinations), processes, progress)
    rows = [make_row(out / one.name, one, failed.get(one.name)) for one in combinations]
    return Sweep(rows, write_rows(out / RESULTS, rows), draw_pareto(out / PICTURE, rows))


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
