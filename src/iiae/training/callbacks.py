"""What happens beside the steps: saving, stopping, telling."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import lightning as L

from iiae.errors import Interrupted
from iiae.objectives import Terms
from iiae.runs import BEST, CHECKPOINT, save_weights
from iiae.training.learner import Learner
from iiae.training.processes import any_process


class Keeper(L.Callback):
    """Ends each epoch; saves the state every so often, at the end, and when asked to stop.

    Args:
        learner: What trains.
        begin: Called once, in the first process, when the first step is done; None if the run is
            resumed.
    """

    def __init__(self, learner: Learner, begin: Callable[[], None] | None):
        self.learner, self.begin = learner, begin
        self.saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        learner = self.learner
        if self.begin is not None and learner.rank == 0:
            self.begin()
            self.begin = None
        # on a GPU a look at the terms waits for them, so look seldom
        look = learner.device.type == "cpu" or batch_idx % 50 == 0
        due = self._due(look)
        if due and not trainer.is_last_batch:  # the epoch's end saves
            self._save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.learner.end_epoch()
        last = len(self.learner.history) == self.learner.settings.training.epochs
        if self._due() or last or trainer.should_stop:
            self._save(trainer)

    def _due(self, look: bool = False) -> bool:
        """Whether to save now: all processes must, or none.

        Args:
            look: Stop, likewise together, where a term is no longer finite.
        """
        learner = self.learner
        late = time.monotonic() - self.saved >= learner.settings.training.checkpoint_seconds
        broken = look and not learner.finite()
        flags = any_process([late, learner.stop_asked, broken], learner.device)
        late, learner.stop_asked, broken = flags
        if broken:
            raise learner.broken()
        return late or learner.stop_asked

    def _save(self, trainer: L.Trainer) -> None:
        learner = self.learner
        learner.check_finite()
        if learner.best_weights is not None and learner.rank == 0:
            save_weights(learner.out / BEST, learner.best_weights, learner.data.train.shapes)
        learner.best_weights = None
        trainer.save_checkpoint(learner.out / CHECKPOINT)
        self.saved = time.monotonic()
        if self.learner.stop_asked:
            raise Interrupted(
                f"stopped at step {self.learner.steps} of {self.learner.total}; resume with: "
                f"iiae train --resume --out {self.learner.out}"
            )


class Bar(L.Callback):
    """A progress bar with the terms that matter; one line an epoch where there is no terminal."""

    def __init__(self, learner: Learner):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.learner = learner
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[terms]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.shown = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.bar.start()
        self.task = self.bar.add_task("training", total=self.learner.total, terms="")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if now - self.shown < 0.5:
            return
        self.shown = now
        means = Terms(*(self.learner.sums / max(1, self.learner.counted)).tolist())
        text = (
            f"nll {means.nll_x:.0f} {means.nll_y:.0f}  kl s {means.kl_s:.1f} x {means.kl_x:.1f} "
            f"y {means.kl_y:.1f}  s|x {means.kl_s_x:.1f} s|y {means.kl_s_y:.1f}"
        )
        self.bar.update(self.task, completed=self.learner.steps, terms=text)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        row = self.learner.history[-1]
        self.console.print(
            f"epoch {row['epoch']:.0f}/{self.learner.settings.training.epochs}  "
            f"{row['seconds']:.0f} s  validation loss {row['validation_loss']:.1f}  "
            f"elbo {row['validation_elbo']:.1f}  bound {row['validation_information_bound']:.1f} "
            "nats a pair"
        )

    def teardown(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        self.bar.stop()
