"""What training shows on a terminal, and writes for TensorBoard."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from iiae.objectives import Terms
from iiae.training.learner import Learner


class Progress:
    """A progress bar with the terms that matter; one line per epoch without a terminal.

    Args:
        learner: What trains.
        shown: Whether to print at all.
    """

    def __init__(self, learner: Learner, shown: bool):
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.learner, self.shown = learner, shown
        self.console = Console(stderr=True)
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[terms]}"),
            console=self.console,
            disable=not (shown and self.console.is_terminal),
        )
        self.task = self.bar.add_task("training", total=learner.plan.total, terms="")
        self.drawn = 0.0

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def step(self) -> None:
        """Draws the bar, at most twice a second."""
        now = time.monotonic()
        if self.bar.disable or now - self.drawn < 0.5:
            return
        self.drawn = now
        means = Terms(*(self.learner.sums / max(1, self.learner.counted)).tolist())
        text = (
            f"nll {means.nll_x:.0f} {means.nll_y:.0f}  kl s {means.kl_s:.1f} x {means.kl_x:.1f} "
            f"y {means.kl_y:.1f}  s|x {means.kl_s_x:.1f} s|y {means.kl_s_y:.1f}"
        )
        self.bar.update(self.task, completed=self.learner.steps, terms=text)

    def epoch(self, row: dict[str, float]) -> None:
        """Prints the line of an epoch."""
        if self.shown:
            self.console.print(
                f"epoch {row['epoch']:.0f}/{self.learner.settings.training.epochs}  "
                f"{row['seconds']:.0f} s  validation loss {row['validation_loss']:.1f}  "
                f"elbo {row['validation_elbo']:.1f}  bound "
                f"{row['validation_information_bound']:.1f} nats per pair"
            )


def tensorboard(out: Path) -> Any:
    """A writer of TensorBoard's files in a run folder; None if it is not installed."""
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(out / "tensorboard"))
