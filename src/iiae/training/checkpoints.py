"""Checkpoints of an unfinished run, and whether it can be resumed or replaced."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from iiae.data.base import PairSet, Splits
from iiae.errors import Interrupted, RunError, SettingsError
from iiae.examples import EXAMPLES
from iiae.files.atomic import folder_errors, make_folder, write_atomically
from iiae.run_folder import (
    BEST,
    CHECKPOINT,
    COMPARISON,
    ESTIMATOR,
    FEATURES,
    HISTORY,
    METRICS,
    MODEL,
    PAIRS,
    SETTINGS,
    PairRecord,
    Shapes,
    load_pairs,
    save_features,
    save_history,
    save_pairs,
    save_settings,
    save_weights,
)
from iiae.settings import Settings, load_settings
from iiae.training.learner import Learner, out_of_patience
from iiae.training.loggers import Logger, open_logger
from iiae.training.processes import any_process
from iiae.training.signals import StopRequest

VECTOR_STEPS, IMAGE_STEPS = 16, 1  # optimiser steps between two looks at clock, signals and terms
STATE = ("model", "optimiser", "bf16", "steps", "history", "sums", "counted", "seconds",
         "random_state", "cuda_random_state")  # fmt: skip
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


DERIVED = ("report.html", ESTIMATOR)  # made from the weights of an earlier run


class Keeper:
    """Writes what must outlive the process: state, history and best weights, in a run's folder.

    Args:
        out: Run folder.
        learner: What trains.
        shapes: Of one x and one y.
        stop: Whether training has been asked to stop.
        first: Called in the first process when the first step is done; None if the run is resumed.
    """

    def __init__(
        self,
        out: Path,
        learner: Learner,
        shapes: Shapes,
        stop: StopRequest,
        first: Callable[[], None] | None,
    ):
        self.out, self.learner, self.shapes = out, learner, shapes
        self.stop, self.first = stop, first
        self.writes = learner.plan.group.rank == 0
        self.saved = time.monotonic()
        self.best: dict[str, Tensor] | None = None  # not yet written
        self.every = IMAGE_STEPS if learner.plan.images else VECTOR_STEPS
        self.logger: Logger | None = None

    def after_step(self, last: bool) -> None:
        """Saves now and then, and when asked to stop; `last`: the end of the epoch saves instead.

        Raises:
            RunError: A term of the objective is no longer finite.
            Interrupted: Training was asked to stop; the state is saved.
        """
        if self.first is not None and self.writes:
            self.first()
        self.first = None
        if self.learner.steps % self.every == 0 and self._due() and not last:
            self._save()

    def after_epoch(self, row: Mapping[str, float]) -> None:
        """Writes the history, keeps the weights if they are the best so far, saves if due."""
        training = self.learner.settings.training
        if self.writes:
            save_history(self.out, self.learner.history)
            self.logger = self.logger or open_logger(self.learner.settings, self.out)
            if self.logger:
                self.logger.log(row, self.learner.steps)
        if self.learner.improved():
            weights = self.learner.model.state_dict()
            self.best = {name: value.detach().clone() for name, value in weights.items()}
        losses = [row["validation_loss"] for row in self.learner.history]
        last = len(losses) == training.epochs or out_of_patience(losses, training.patience)
        if self._due() or last:
            self._save()

    def close(self) -> None:
        """Ends what the logger writes."""
        if self.logger:
            self.logger.close()

    def check_finite(self) -> None:
        """Raises RunError, in every process, if any term of this epoch is NaN or infinite."""
        if any_process([not self.learner.finite()], self.learner.device)[0]:
            raise RunError(
                f"the loss became NaN or infinite at step {self.learner.steps}; "
                f"{self.out / CHECKPOINT} holds the last sound state if there is one. It usually "
                "helps to lower training.learning_rate, to set training.gradient_clip=1, or "
                "training.precision=32"
            )

    def _due(self) -> bool:
        """Whether to save now: all processes must, or none."""
        learner = self.learner
        late = time.monotonic() - self.saved >= learner.settings.training.checkpoint_seconds
        # on a GPU a look at the terms waits for them, so look seldom
        if learner.device.type == "cpu" or learner.steps % 50 == 0:
            self.check_finite()
        late, asked = any_process([late, self.stop.asked], learner.device)
        if asked:  # in another process; a signal that arrives meanwhile is not lost
            self.stop.asked = True
        return late or asked

    def _save(self) -> None:
        self.check_finite()
        if self.writes:
            if self.best is not None:
                save_weights(self.out / BEST, self.best, self.shapes)
            state = {"iiae": self.learner.state()}
            write_atomically(self.out / CHECKPOINT, lambda path: _torch_save(state, path))
        self.best = None
        self.saved = time.monotonic()
        if self.stop.asked:
            raise Interrupted(
                f"stopped at step {self.learner.steps} of {self.learner.plan.total}; resume with: "
                f"iiae train --resume --out {self.out}"
            )


def _torch_save(state: dict[str, Any], path: Path) -> None:
    try:
        torch.save(state, path)
    except RuntimeError as error:
        if "PytorchStreamWriter" not in str(error):
            raise
        raise OSError(errno.ENOSPC, str(error)) from error  # which hides the system's reason


def check_folder(out: Path, settings: Settings, resume: bool, overwrite: bool) -> Path | None:
    """The checkpoint to resume from, if any; changes nothing.

    Raises:
        RunError: The folder holds a run that nobody asked to resume or to overwrite, nothing to
            resume, or more epochs than are asked for; or it cannot be written to.
        SettingsError: The run to resume has other settings.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file; --out names a folder")
    checkpoint = out / CHECKPOINT
    if resume:
        if not checkpoint.is_file():
            raise RunError(f"{out}: nothing to resume: it has no {CHECKPOINT}")
        _check_same(load_settings(out / SETTINGS), settings, out)
        _check_epochs(checkpoint, settings, out)
        return checkpoint
    if not overwrite and (out / MODEL).is_file():
        raise RunError(
            f"{out}: holds a finished run; choose another --out, train it further with --resume "
            "--set training.epochs=N, or replace it with --overwrite"
        )
    if not overwrite and checkpoint.is_file():
        raise RunError(
            f"{out}: holds a run that has not finished; resume it with --resume, choose another "
            "--out, or replace it with --overwrite"
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
    earlier = [
        out / name
        for name in (
            *(MODEL, COMPARISON, EXAMPLES, FEATURES, HISTORY, METRICS, PAIRS),
            *(CHECKPOINT, BEST, *DERIVED),
        )
    ]
    earlier += [file for file in (out / "tensorboard").glob("*") if _older(file, started)]
    with folder_errors(out):
        for path in earlier:
            path.unlink(missing_ok=True)
    save_settings(out, settings)
    save_pairs(out, data)
    save_features(out, data.train.features)


def _older(file: Path, moment: float) -> bool:
    return file.is_file() and file.stat().st_mtime < moment


def saved_state(checkpoint: Path) -> dict[str, Any]:
    """`Learner.state` of an unfinished run.

    Raises:
        RunError: The file is damaged, or of another program.
    """
    try:
        state = torch.load(checkpoint, weights_only=True, map_location="cpu")["iiae"]
        return {name: state[name] for name in STATE}
    except (RuntimeError, UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise RunError(f"{checkpoint}: damaged, or not written by iiae train") from error


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
                "restore the data, or train anew in another --out"
            )


def _same_number(record: PairRecord, pairs: PairSet) -> str:
    return ", of other content" if record.pairs == len(pairs) else ""


def _check_epochs(checkpoint: Path, settings: Settings, out: Path) -> None:
    history, training = saved_state(checkpoint)["history"], settings.training
    if len(history) > training.epochs:
        raise RunError(
            f"{out}: {len(history)} epochs are done; give at least so many, as in --set "
            f"training.epochs={2 * len(history)}"
        )
    losses = [row["validation_loss"] for row in history]
    stopped = out_of_patience(losses, training.patience) and len(losses) < training.epochs
    if stopped and (out / MODEL).is_file():
        raise RunError(
            f"{out}: stopped early after epoch {len(losses)}, as training.patience = "
            f"{training.patience} asks; raise training.patience to train further"
        )


def _check_same(before: Settings, now: Settings, out: Path) -> None:
    old, new = (_flat(s.model_dump()) for s in (before, now))
    for name in old.keys() | new.keys():
        if name != "title" and name not in MAY_CHANGE and old.get(name) != new.get(name):
            raise SettingsError(
                f"{out} was trained with {name} = {old.get(name)}, not {new.get(name)}; resume it "
                "with its own settings (leave the file out), or choose another --out"
            )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else None
        flat |= inner if inner is not None else {prefix + key: value}
    return flat
