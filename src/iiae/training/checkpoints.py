"""Checkpoints of an unfinished run: when they are written, and what they hold."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from iiae.errors import Interrupted, RunError
from iiae.files.atomic import write_atomically
from iiae.networks.interface import Shapes
from iiae.run_folder import (
    BEST,
    CHECKPOINT,
    save_history,
    save_weights,
)
from iiae.training.learner import Learner
from iiae.training.loggers import Logger, open_logger
from iiae.training.processes import any_process
from iiae.training.signals import StopRequest
from iiae.training.validation import out_of_patience
from iiae.wording import either

VECTOR_STEPS, IMAGE_STEPS = 16, 1  # optimiser steps between two looks at clock, signals and terms
STATE = ("model", "optimiser", "bf16", "steps", "history", "sums", "counted", "seconds",
         "random_state", "cuda_random_state")  # fmt: skip


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
        history = self.learner.history
        last = len(history) == training.epochs or out_of_patience(history, training)
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
                + either(
                    f"iiae train --resume --out {self.out}",
                    f"iiae.fit(..., out={str(self.out)!r}, resume=True)",
                )
            )


def _torch_save(state: dict[str, Any], path: Path) -> None:
    try:
        torch.save(state, path)
    except RuntimeError as error:
        if "PytorchStreamWriter" not in str(error):
            raise
        raise OSError(errno.ENOSPC, str(error)) from error  # which hides the system's reason


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
