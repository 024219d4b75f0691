"""The run folder: settings.toml, model.safetensors, metrics.json, history.csv. No pickles."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import platform
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_file
from torch import Tensor

from iiae.covariates import Covariates
from iiae.data.base import Splits
from iiae.errors import RunError
from iiae.files.atomic import json_text, write_arrays, write_atomically, write_text
from iiae.files.cells import split_place
from iiae.files.interface import Source
from iiae.files.sources import open_source
from iiae.metrics.comparison import Choice, Comparison
from iiae.model.build import build_model
from iiae.model.folded import folded
from iiae.model.iiae import IIAE
from iiae.settings import Settings, dump_settings, load_settings
from iiae.types import Domain, plain

SETTINGS, MODEL, METRICS, HISTORY, PAIRS = (
    "settings.toml",
    "model.safetensors",
    "metrics.json",
    "history.csv",
    "pairs.npz",
)
COMPARISON, FEATURES = "comparison.safetensors", "features.json"
CHECKPOINT, BEST = "checkpoints/last.ckpt", "checkpoints/best.safetensors"

VERSION = 1  # of the form of sections in metrics.json

Shapes = tuple[Sequence[int], Sequence[int]]


log = logging.getLogger("iiae")


class PairRecord(NamedTuple):
    """What a run was trained, validated and to be tested on, for one of the three sets.

    `members` are the identities of what was held out as one (pairs, classes or shards), empty if
    the set has none; `digest` tells the set from any other.
    """

    members: np.ndarray
    digest: str
    pairs: int


class StoredRun(NamedTuple):
    """A trained model with the settings that made it."""

    folder: Path
    settings: Settings
    model: IIAE
    shapes: Shapes

    def for_inference(self) -> StoredRun:
        """The same with the model in a form that is faster and cannot be trained."""
        return self._replace(model=folded(self.model))


@runtime_checkable
class TrainedRun(Protocol):
    """What measures and uses a trained run asks of it: `StoredRun` here, or `iiae.Run`."""

    @property
    def folder(self) -> Path: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def model(self) -> IIAE: ...
    @property
    def shapes(self) -> Shapes: ...


def load_run(folder: str | Path, model: IIAE | None = None) -> StoredRun:
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
            notes = file.metadata() or {}
            shape_x, shape_y = json.loads(notes.get("shapes", "null"))
        shapes = (tuple(shape_x), tuple(shape_y))
        covariates = Covariates.from_json(notes.get("covariates", "[]"))
        model = model or build_model(settings.model, settings.objective, shapes, covariates)
        load_model(model, path)
    except (SafetensorError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"{path}: damaged, or not of these settings: {reason}") from error
    return StoredRun(folder, settings, model.eval(), shapes)


def save_weights(
    path: Path,
    weights: Mapping[str, Tensor],
    shapes: Shapes,
    covariates: Covariates = Covariates(),
) -> None:
    """Writes a state dict with the data's shapes and covariates, atomically, as safetensors.

    Raises:
        RunError: The file cannot be written.
    """
    metadata = {"format": "pt", "shapes": json.dumps([list(shape) for shape in shapes])}
    if covariates.names:
        metadata["covariates"] = covariates.to_json()
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
    values, the shapes of samples, the covariates, the family of networks and how z_s is compared.

    It is not that of the file, whose header has no fixed order.

    Raises:
        RunError: The weights are gone or damaged.
    """
    path = Path(folder) / MODEL
    total = hashlib.sha256(load_settings(Path(folder) / SETTINGS).model.family.encode())
    try:
        with safe_open(path, "pt") as file:
            notes = file.metadata() or {}
            total.update((notes.get("shapes", "") + notes.get("covariates", "")).encode())
            for name in sorted(file.keys()):
                tensor = file.get_tensor(name)
                total.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
                total.update(tensor.reshape(-1).view(torch.uint8).numpy())
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from error
    if choice := load_comparison(folder):
        total.update(f"{choice.comparison.score} {choice.comparison.neighbours}".encode())
    return total.hexdigest()


def save_comparison(folder: Path, choice: Choice) -> None:
    """Writes how z_s is compared in searches of a run, and what was tried on validation pairs.

    Raises:
        RunError: The folder cannot be written to.
    """
    values = choice.comparison._asdict()
    notes = {name: json.dumps(values.pop(name)) for name in ("score", "neighbours")}
    notes["tried"] = json.dumps(dict(choice.tried))
    tensors = {name: tensor.contiguous().clone() for name, tensor in values.items()}
    write_atomically(folder / COMPARISON, lambda path: save_file(tensors, path, notes))


def load_comparison(folder: str | Path) -> Choice | None:
    """What `save_comparison` wrote; None if there is no such file: then it is the paper's.

    Raises:
        RunError: The file is damaged.
    """
    path = Path(folder) / COMPARISON
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            notes = {name: json.loads(text) for name, text in (file.metadata() or {}).items()}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        tried = notes.pop("tried")
        return Choice(Comparison(**notes, **tensors), tried)
    except (SafetensorError, OSError, TypeError, ValueError, KeyError) as error:
        raise RunError(f"{path}: damaged: {error}") from error


def save_pairs(folder: Path, splits: Splits) -> None:
    """Writes pairs.npz: which pairs train, validate and test, by hashes of their names or content.

    Raises:
        RunError: The folder cannot be written to.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, pairs in splits._asdict().items():
        arrays |= {name: pairs.members(), f"{name}_digest": np.array(pairs.digest())}
        arrays[f"{name}_pairs"] = np.array(len(pairs))
    write_arrays(folder / PAIRS, arrays)


def load_pairs(folder: str | Path) -> dict[str, PairRecord] | None:
    """What `save_pairs` wrote, by set; None if there is no such file.

    Raises:
        RunError: The file is damaged.
    """
    path = Path(folder) / PAIRS
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            return {
                name: PairRecord(
                    held[name], str(held[f"{name}_digest"]), int(held[f"{name}_pairs"])
                )
                for name in ("train", "validation", "test")
            }
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: damaged: {error}") from error


Features = tuple[list[str] | None, list[str] | None]


def save_features(folder: Path, features: Features) -> None:
    """Writes features.json: names of the values of an x and of a y, if either has names.

    Raises:
        RunError: The folder cannot be written to.
    """
    if any(features):
        write_text(folder / FEATURES, json_text(dict(zip("xy", features, strict=True))) + "\n")


def load_features(folder: str | Path) -> Features:
    """What `save_features` wrote; None for a domain whose values have no names.

    Raises:
        RunError: The file is damaged.
    """
    path = Path(folder) / FEATURES
    if not path.is_file():
        return None, None
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return held["x"], held["y"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged: {error}") from error


def open_samples(run: TrainedRun, inputs: Sequence[str | Path], domain: Domain) -> Source:
    """Samples of one domain in files, as a run takes them; errors as for `open_source`."""
    side = "xy".index(domain)
    columns, data = load_features(run.folder)[side], run.settings.data
    text = (data.x, data.y)[side] or ""
    place = text if data.name == "omics" else split_place(text)[1] or ""
    return open_source(inputs, run.shapes[side], domain, columns, data.pad, place)


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
    """metrics.json as it stands, empty if there is none; see `current_metrics`."""
    path = folder / METRICS
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(
            f"{path}: damaged: {error}; delete it, and iiae evaluate {folder} writes it anew"
        ) from error


def current_metrics(folder: str | Path) -> dict[str, Any]:
    """Sections of metrics.json that were computed from the weights and data that the run has now.

    Sections of other weights or of other data are left out, and the log names them.

    Raises:
        RunError: metrics.json or the weights are gone or damaged.
    """
    folder = Path(folder)
    metrics = load_metrics(folder)
    if not metrics:
        return {}
    weights, pairs = weights_digest(folder), load_pairs(folder)
    kept: dict[str, Any] = {}
    for name, section in metrics.items():
        data = section.get("data")
        known = {record.digest for record in (pairs or {}).values()}
        if section.get("weights") != weights:
            log.warning("%s: section %s is of other weights; left out", folder / METRICS, name)
        elif data is not None and pairs is not None and data not in known:
            log.warning("%s: section %s is of other data; left out", folder / METRICS, name)
        else:
            kept[name] = section
    return kept


def save_metrics(folder: Path, section: str, values: Any, data: str | None = None) -> None:
    """Writes one section of metrics.json, with the digest of the weights and how it came about.

    Other sections stay if they are of the same weights.

    Args:
        folder: Run folder with its weights.
        section: Its name.
        values: Its fields: a mapping, or a named tuple of `iiae.results`.
        data: Digest of the pairs that it was computed from.
    """
    weights = weights_digest(folder)
    metrics = {n: s for n, s in load_metrics(folder).items() if s.get("weights") == weights}
    identity = {"version": VERSION, "weights": weights, **({} if data is None else {"data": data})}
    metrics[section] = {**plain(values), **identity, "made_with": provenance()}
    write_metrics(folder, metrics)


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Writes metrics.json."""
    write_text(folder / METRICS, json_text(metrics, indent=2) + "\n")


def provenance() -> dict[str, Any]:
    """Command, commit, versions and hardware of this process."""
    packages = ("iiae", "torch", "numpy", "scikit-learn")
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
    cpu = f"{torch.get_num_threads()} threads of {platform.machine()}"
    return f"{torch.cuda.get_device_name()}, {cpu}" if torch.cuda.is_available() else cpu
