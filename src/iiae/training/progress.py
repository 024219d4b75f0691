"""The output of training on a terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from iiae.data.base import Splits
from iiae.data.classes.pairs import ClassPairs
from iiae.data.names import domain_names
from iiae.training.learner import Learner
from iiae.wording import either

LINES = 10  # of epochs, at most, that stay on the terminal
WARM_STEPS = 3  # that are slower than the rest, so that the length is not estimated from them
SETTLED_SECONDS = 3.0  # of training, and an epoch, after which its length is estimated
LATEST_SECONDS = 15.0  # after which it is estimated from what there is


class Progress:
    """Prints the plan, a bar with the time left, and at most ten lines of epochs.

    A line has the validation loss and the share of validation pairs whose partner is nearest
    (Recall@1, of both directions), which is measured for these lines alone.

    Args:
        learner: What trains.
        data: All pairs.
        shown: Whether to print at all.
    """

    def __init__(self, learner: Learner, data: Splits, shown: bool):
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.learner, self.data, self.shown = learner, data, shown
        self.epochs = learner.settings.training.epochs
        self.console = Console(stderr=True, highlight=False)
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("left  {task.fields[quality]}"),
            console=self.console,
            disable=not (shown and self.console.is_terminal),
            expand=True,
        )
        self.task = self.bar.add_task(self._epoch(), total=learner.plan.total, quality="")
        self.begun, self.drawn = time.monotonic(), 0.0
        self.warm = self.begun  # when the steps that are slower were done
        self.first_step, self.estimated = learner.steps, False

    def __enter__(self) -> Progress:
        if self.shown:
            self.console.print(_plan(self.learner, self.data), soft_wrap=True)
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def step(self) -> None:
        """Draws the bar, at most twice a second; once, prints how long the run will take."""
        now, done = time.monotonic(), self.learner.steps - self.first_step
        if done <= WARM_STEPS:
            self.warm = now
        if not self.shown or now - self.drawn < 0.5:
            return
        self.drawn = now
        self.bar.update(self.task, completed=self.learner.steps, description=self._epoch())
        spent, steps = now - self.warm, done - WARM_STEPS
        settled = spent > SETTLED_SECONDS and steps >= self.learner.plan.total / self.epochs
        if steps > 0 and not self.estimated and (settled or spent > LATEST_SECONDS):
            self.estimated = True
            left = self.learner.plan.total - self.learner.steps
            seconds = now - self.begun + spent / steps * left
            most = "at most" if self.learner.settings.training.patience else "in all"
            self.console.print(
                f"about {_duration(seconds)} {most}; Ctrl-C stops, "
                f"{either('iiae train --resume', 'resume=True')} continues"
            )

    def epoch(self, row: dict[str, float]) -> None:
        """Prints the line of an epoch, if it is one of the few that are shown."""
        number = round(row["epoch"])
        if not self.shown or (number % math.ceil(self.epochs / LINES) and number != self.epochs):
            return
        quality = f"loss {row['validation_loss']:.1f}"
        if not isinstance(self.data.validation, ClassPairs):
            recall = row.get("validation_recall")
            recall = self.learner.recall(self.data.validation) if recall is None else recall
            quality = f"Recall@1 {100 * recall:.1f}%"
        self.bar.update(self.task, completed=self.learner.steps, quality=quality)
        loss = f"loss {row['validation_loss']:.1f}"
        both = loss if quality == loss else f"{loss}, {quality}"
        self.console.print(
            f"epoch {number:>{len(str(self.epochs))}}/{self.epochs}  {_duration(row['seconds'])}  "
            f"validation: {both}"
        )

    def _epoch(self) -> str:
        """The epoch that runs, as `epoch 3/20`."""
        done = self.learner.steps * self.epochs // max(1, self.learner.plan.total)
        return f"epoch {min(done + 1, self.epochs)}/{self.epochs}"


def _plan(learner: Learner, data: Splits) -> str:
    """The model and the data, in one line."""
    settings = learner.settings
    shapes = [_form(shape) for shape in data.train.shapes]
    names = domain_names(settings.data)
    each = (
        f"{names.x} and {names.y} of {shapes[0]}"
        if shapes[0] == shapes[1]
        else f"{names.x} of {shapes[0]}, {names.y} of {shapes[1]}"
    )
    train, validation, test = (f"{len(part):,}" for part in data)
    return (
        f"{train} pairs to train on, {validation} to validate, {test} to test: {each}\n"
        f"network {settings.model.family!r}, {settings.training.epochs} "
        f"epoch{'s' * (settings.training.epochs > 1)} of "
        f"{learner.plan.total // settings.training.epochs} steps, on {learner.device.type}"
    )


def _form(shape: Sequence[int]) -> str:
    return f"{shape[0]} values" if len(shape) == 1 else "x".join(map(str, shape[1:])) + " pixels"


def _duration(seconds: float) -> str:
    """A duration as people write it: 50 s, 1 min 10 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
