"""Loggers of curves besides history.csv: TensorBoard, Weights & Biases or MLflow.

`training.logger` names one; each is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from iiae.errors import MissingExtra
from iiae.settings import Settings


class Logger(NamedTuple):
    """Takes the values of an epoch by name, with the number of optimiser steps so far."""

    log: Callable[[Mapping[str, float], int], Any]
    close: Callable[[], Any]


def check_logger(name: str) -> None:
    """Refuses a logger that is not installed, before training starts.

    Raises:
        MissingExtra: It is not installed.
    """
    if name not in ("auto", "none") and find_spec(name) is None:
        raise MissingExtra(name, f"training.logger = {name!r}")


def open_logger(settings: Settings, out: Path) -> Logger | None:
    """The logger that `training.logger` chooses; None if it chooses none.

    Args:
        settings: Of the run; stored with the curves.
        out: Run folder, whose name is that of the curves.
    """
    name = settings.training.logger
    if name == "auto":
        name = "tensorboard" if find_spec("tensorboard") else "none"
    return LOGGERS[name](settings, out) if name != "none" else None


def _tensorboard(_: Settings, out: Path) -> Logger:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(out / "tensorboard"))

    def log(values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    return Logger(log, writer.close)


def _wandb(settings: Settings, out: Path) -> Logger:
    import wandb  # pyright: ignore[reportMissingImports]

    run: Any = wandb.init(
        project="iiae", name=out.name, dir=str(out), config=settings.model_dump(mode="json")
    )
    return Logger(lambda values, step: run.log(dict(values), step=step), run.finish)


def _mlflow(settings: Settings, out: Path) -> Logger:
    import mlflow  # pyright: ignore[reportMissingImports]

    mlflow.set_experiment("iiae")
    mlflow.start_run(run_name=out.name)
    mlflow.log_dict(settings.model_dump(mode="json"), "settings.json")
    return Logger(lambda values, step: mlflow.log_metrics(dict(values), step=step), mlflow.end_run)


LOGGERS = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}
