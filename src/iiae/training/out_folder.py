"""The folder that training writes to: whether its run may be begun, resumed or replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iiae.data.base import PairSet, Splits
from iiae.errors import RunError, SettingsError
from iiae.files.atomic import folder_errors, make_folder
from iiae.run_folder import (
    CHECKPOINT,
    MODEL,
    REPLACED,
    SETTINGS,
    PairRecord,
    load_pairs,
    save_features,
    save_pairs,
    save_settings,
)
from iiae.settings import Settings, load_settings
from iiae.training.checkpoints import saved_state
from iiae.training.validation import out_of_patience
from iiae.wording import argument, setting

MAY_CHANGE = (
    *(
        f"data.{name}" for name in ("root", "x", "y", "names", "columns")
    ),  # the pairs themselves are compared
    *(
        f"training.{name}"
        for name in (
            "epochs",
            "patience",
            "checkpoint_seconds",
            "workers",
            "devices",
            "nodes",
            "strategy",
            "logger",
        )
    ),
)


def check_folder(out: Path, settings: Settings, resume: bool, overwrite: bool) -> Path | None:
    """The checkpoint to resume from, if any; changes nothing.

    Raises:
        RunError: The folder is that of the pairs; it holds a run that nobody asked to resume or to
            overwrite, nothing to resume, or more epochs than are asked for; or it cannot be written
            to.
        SettingsError: The run to resume has other settings.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file; {argument('out')} names a folder")
    places = (settings.data.x, settings.data.y, settings.data.root)
    if out.is_dir() and out.resolve() in [Path(place).resolve() for place in places if place]:
        raise RunError(f"{out}: is the folder of the pairs; choose another {argument('out')}")
    checkpoint = out / CHECKPOINT
    if resume:
        if not checkpoint.is_file():
            raise RunError(f"{out}: nothing to resume: it has no {CHECKPOINT}")
        _check_same(load_settings(out / SETTINGS), settings, out)
        _check_epochs(checkpoint, settings, out)
        return checkpoint
    if not overwrite and (out / MODEL).is_file():
        raise RunError(
            f"{out}: holds a finished run; choose another {argument('out')}, train it further with "
            f"{argument('resume', 'True')} and {setting('training.epochs', 'N')}, or replace it "
            f"with {argument('overwrite', 'True')}"
        )
    if not overwrite and checkpoint.is_file():
        raise RunError(
            f"{out}: holds a run that has not finished; resume it with "
            f"{argument('resume', 'True')}, choose another {argument('out')}, or replace it with "
            f"{argument('overwrite', 'True')}"
        )
    make_folder(out)
    return None


def begin(out: Path, settings: Settings, data: Splits, started: float) -> None:
    """Makes the folder this run's, once its first step is done: files of an earlier run go.

    Args:
        out: Run folder.
        settings: To write into it.
        data: Pairs, to record which train, validate and test.
        started: Time from which on files in `out` are this run's, seconds since the epoch.
    """
    earlier = [out / name for name in REPLACED if name != SETTINGS]
    earlier += [file for file in (out / "tensorboard").glob("*") if _older(file, started)]
    with folder_errors(out):
        for path in earlier:
            path.unlink(missing_ok=True)
    save_settings(out, settings)
    save_pairs(out, data)
    save_features(out, data.train.features)


def _older(file: Path, moment: float) -> bool:
    return file.is_file() and file.stat().st_mtime < moment


def check_same_pairs(out: Path, data: Splits) -> None:
    """Refuses to resume a run on other pairs than it began with.

    Raises:
        RunError: A set differs from the one that the run recorded.
    """
    for name, record in (load_pairs(out) or {}).items():
        pairs: PairSet = getattr(data, name)
        if pairs.digest() != record.digest:
            raise RunError(
                f"{out}: the data has changed since training began: the {name} set had "
                f"{record.pairs:,} pairs and has {len(pairs):,}{_same_number(record, pairs)}; "
                f"restore the data, or train anew in another {argument('out')}"
            )


def _same_number(record: PairRecord, pairs: PairSet) -> str:
    return ", of other content" if record.pairs == len(pairs) else ""


def _check_epochs(checkpoint: Path, settings: Settings, out: Path) -> None:
    history, training = saved_state(checkpoint)["history"], settings.training
    if len(history) > training.epochs:
        raise RunError(
            f"{out}: {len(history)} epochs are done; give at least so many, as in "
            f"{setting('training.epochs', 2 * len(history))}"
        )
    stopped = out_of_patience(history, training) and len(history) < training.epochs
    if stopped and (out / MODEL).is_file():
        raise RunError(
            f"{out}: stopped early after epoch {len(history)}, as training.patience = "
            f"{training.patience} asks; raise training.patience to train further"
        )


def _check_same(before: Settings, now: Settings, out: Path) -> None:
    old, new = (_flat(s.model_dump()) for s in (before, now))
    for name in old.keys() | new.keys():
        if name != "title" and name not in MAY_CHANGE and old.get(name) != new.get(name):
            raise SettingsError(
                f"{out} was trained with {name} = {old.get(name)}, not {new.get(name)}; resume it "
                f"with its own settings (leave the file out), or choose another {argument('out')}"
            )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else None
        flat |= inner if inner is not None else {prefix + key: value}
    return flat
