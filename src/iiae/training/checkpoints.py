"""The state of a run that has not finished, and whether it can be gone on with."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from iiae.errors import RunError, SettingsError
from iiae.files import changing, write_atomically
from iiae.runs import BEST, CHECKPOINT, HISTORY, MODEL, SETTINGS
from iiae.settings import Settings, load_settings

MAY_CHANGE = tuple(
    f"training.{name}"
    for name in ("epochs", "patience", "checkpoint_seconds", "devices", "nodes", "strategy")
)


class AtomicCheckpoints(CheckpointIO):
    """Checkpoints that are whole or not there, and hold no pickled code."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        write_atomically(Path(path), lambda temporary: _torch_save(checkpoint, temporary))

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def _torch_save(checkpoint: dict[str, Any], path: Path) -> None:
    try:
        torch.save(checkpoint, path)
    except RuntimeError as error:  # torch's zip writer hides the system's reason
        raise OSError(28, "No space left on device") from error


def prepare(out: Path, settings: Settings, resume: bool) -> Path | None:
    """The checkpoint to go on from, if any; a folder that can be written to.

    Files of an earlier run in the same folder go first, so that none can be taken for this
    run's.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file; --out names a folder")
    checkpoint = out / CHECKPOINT
    if resume:
        if not checkpoint.is_file():
            raise RunError(f"{out}: nothing to resume: it has no {CHECKPOINT}")
        _check_same(load_settings(out / SETTINGS), settings, out)
        return checkpoint
    with changing(out):
        for name in (MODEL, HISTORY, CHECKPOINT, BEST):
            (out / name).unlink(missing_ok=True)
    return None


def steps_done(checkpoint: Path) -> int:
    try:
        state = torch.load(checkpoint, weights_only=True)
        return state["iiae"]["steps"]
    except (RuntimeError, UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise RunError(f"{checkpoint}: damaged, or not written by iiae train") from error


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
