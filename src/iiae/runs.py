"""The run folder: settings.toml, model.safetensors, metrics.json, history.csv. No pickles."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_file
from torch import Tensor

from iiae.errors import RunError
from iiae.files import write_atomically, write_text
from iiae.model import IIAE, build_model
from iiae.settings import Settings, dump_settings, load_settings

SETTINGS, MODEL, METRICS, HISTORY = (
    "settings.toml",
    "model.safetensors",
    "metrics.json",
    "history.csv",
)
CHECKPOINT, BEST = "checkpoints/last.ckpt", "checkpoints/best.safetensors"

Shapes = tuple[Sequence[int], Sequence[int]]


class Run(NamedTuple):
    """A trained model with the settings that made it."""

    folder: Path
    settings: Settings
    model: IIAE
    shapes: Shapes


def load_run(folder: str | Path, model: IIAE | None = None) -> Run:
    """The run in a folder, its model in evaluation mode on the CPU.

    Args:
        folder: What `fit` or `iiae train` wrote.
        model: The model to fill, where it is not one that settings describe.

    Raises:
        RunError: The folder is not a finished run, or its weights do not fit.
    """
    folder = Path(folder)
    path = folder / MODEL
    if not (folder / SETTINGS).is_file():
        raise RunError(f"{folder}: not a run folder: it has no {SETTINGS}")
    if not path.is_file():
        hint = (
            f"; training has not finished: iiae train --resume --out {folder}"
            if (folder / CHECKPOINT).is_file()
            else ""
        )
        raise RunError(f"{folder}: has no {MODEL}{hint}")
    settings = load_settings(folder / SETTINGS)
    try:
        with safe_open(path, "pt") as file:
            shape_x, shape_y = json.loads((file.metadata() or {}).get("shapes", "null"))
        shapes = (tuple(shape_x), tuple(shape_y))
        model = model or build_model(settings.model, settings.objective, shapes)
        load_model(model, path)
    except (SafetensorError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"{path}: damaged, or not of these settings: {reason}") from error
    return Run(folder, settings, model.eval(), shapes)


def save_weights(path: Path, weights: Mapping[str, Tensor], shapes: Shapes) -> None:
    """Writes a state dict with the data's shapes, atomically, as safetensors.

    Raises:
        RunError: The file cannot be written.
    """
    metadata = {"format": "pt", "shapes": json.dumps([list(shape) for shape in shapes])}
    # a copy in plain layout: safetensors keeps no strides
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}

    def write(temporary: Path) -> None:
        try:
            save_file(plain, temporary, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error

    write_atomically(path, write)


def weights_digest(folder: str | Path) -> str:
    """SHA-256 of what a run computes with, hexadecimal: the weights' names, types, shapes and
    values, the shapes of samples and the family of networks.

    It is not that of the file, whose header has no fixed order.

    Raises:
        RunError: The weights are gone or damaged.
    """
    path = Path(folder) / MODEL
    found = hashlib.sha256(load_settings(Path(folder) / SETTINGS).model.family.encode())
    try:
        with safe_open(path, "pt") as file:
            found.update((file.metadata() or {}).get("shapes", "").encode())
            for name in sorted(file.keys()):
                tensor = file.get_tensor(name)
                found.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
                found.update(tensor.reshape(-1).view(torch.uint8).numpy())
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from error
    return found.hexdigest()


def known_digests(folder: str | Path) -> tuple[str, str]:
    """`weights_digest`, and the file's digest, which galleries held before.

    Raises:
        RunError: The weights are gone or damaged.
    """
    current = weights_digest(folder)
    return current, hashlib.sha256((Path(folder) / MODEL).read_bytes()).hexdigest()


def save_settings(folder: Path, settings: Settings) -> None:
    """Writes settings.toml."""
    write_text(folder / SETTINGS, dump_settings(settings))


def save_history(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Writes history.csv: a row an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / HISTORY, text.getvalue())


def load_history(folder: Path) -> list[dict[str, float]]:
    """Rows of history.csv; none where there is no file."""
    path = folder / HISTORY
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def load_metrics(folder: Path) -> dict[str, Any]:
    """metrics.json; empty where there is none."""
    path = folder / METRICS
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path}: damaged: {error}") from error


def save_metrics(folder: Path, section: str, values: Mapping[str, Any]) -> None:
    """Writes one section of metrics.json with how it came about; the other sections stay."""
    metrics = load_metrics(folder)
    metrics[section] = {**values, "made_with": provenance()}
    write_text(folder / METRICS, json.dumps(metrics, indent=2) + "\n")


def provenance() -> dict[str, Any]:
    """Command, commit, versions and hardware of this process."""
    packages = ("iiae", "torch", "lightning", "numpy", "scikit-learn")
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": {name: found for name in packages if (found := _version(name))},
        "hardware": _hardware(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Commit of the source tree this package is imported from, if it is one."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
        changed = subprocess.run(
            [*git, "status", "--porcelain", "-uno", "."],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + (" with changes" if changed.stdout.strip() else "")


def _hardware() -> str:
    import torch

    cpu = f"{torch.get_num_threads()} threads of {platform.machine()}"
    return f"{torch.cuda.get_device_name()}, {cpu}" if torch.cuda.is_available() else cpu
