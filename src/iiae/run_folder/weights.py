"""Weights of a run, their digest, and how z_s is compared in its searches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from iiae.errors import RunError
from iiae.files.atomic import write_atomically
from iiae.files.optional import read_if_there
from iiae.metrics.comparison import Choice, Comparison
from iiae.networks.covariates import Covariates
from iiae.run_folder.names import COMPARISON, MODEL, SETTINGS
from iiae.settings import load_settings
from iiae.types import PerDomain

Shapes = PerDomain[Sequence[int]]


def save_weights(
    path: Path,
    weights: Mapping[str, Tensor],
    shapes: tuple[Sequence[int], Sequence[int]],
    covariates: Covariates = Covariates(),
    epochs: int | None = None,
) -> None:
    """Writes a state dict with the data's shapes and covariates, atomically, as safetensors.

    `epochs` is how many the run had been trained for.

    Raises:
        RunError: The file cannot be written.
    """
    metadata = {"format": "pt", "shapes": json.dumps([list(shape) for shape in shapes])}
    if covariates.names:
        metadata["covariates"] = covariates.to_json()
    if epochs is not None:
        metadata["epochs"] = str(epochs)
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
    return read_if_there(Path(folder) / COMPARISON, _read_comparison)


def _read_comparison(path: Path) -> Choice:
    with safe_open(path, "pt") as file:
        notes = {name: json.loads(text) for name, text in (file.metadata() or {}).items()}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tried = notes.pop("tried")
    return Choice(Comparison(**notes, **tensors), tried)
