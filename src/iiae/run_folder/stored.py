"""A trained run in its folder: how it is found, loaded, and given samples in files."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, load_model

from iiae.errors import RunError
from iiae.files.atomic import folder_errors, write_text
from iiae.files.cells import split_place
from iiae.files.interface import Source
from iiae.files.sources import open_source
from iiae.model.build import build_model
from iiae.model.folded import folded
from iiae.model.iiae import IIAE
from iiae.networks.covariates import Covariates
from iiae.run_folder.names import (
    CHECKPOINT,
    ESTIMATOR,
    EXAMPLES,
    FILES,
    HISTORY,
    METRICS,
    MODEL,
    REPLACED,
    SETTINGS,
)
from iiae.run_folder.records import load_features
from iiae.run_folder.weights import Shapes, save_weights
from iiae.settings import Settings, dump_settings, load_settings
from iiae.types import Domain, PerDomain

LATER = frozenset({"levels"})  # buffers that weights of earlier versions have not

log = logging.getLogger("iiae")


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
        RunError: The folder is no finished run, or its weights do not fit or may not be read.
    """
    folder = Path(folder)
    path = folder / MODEL
    if not (folder / SETTINGS).is_file():
        raise RunError(f"{folder}: not a run folder: it has no {SETTINGS}")
    if not path.is_file():
        resume = f"; training has not finished: iiae train --resume --out {folder}"
        hint = resume if (folder / CHECKPOINT).is_file() else ""
        raise RunError(f"{folder}: has no {MODEL}{hint}")
    settings = load_settings(folder / SETTINGS)
    try:
        # opened first: of a file that may not be read, safetensors says that there is none
        with path.open("rb"), safe_open(path, "pt") as file:
            notes = file.metadata() or {}
            shape_x, shape_y = json.loads(notes.get("shapes", "null"))
        shapes = PerDomain[Sequence[int]](tuple(shape_x), tuple(shape_y))
        covariates = Covariates.from_json(notes.get("covariates", "[]"))
        model = model or build_model(settings.model, settings.objective, shapes, covariates)
        _fill(model, path)
        epochs = int(notes.get("epochs", 0))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except (SafetensorError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"{path}: damaged, or not of these settings: {reason}") from error
    _warn_of_later_epochs(folder, epochs)
    return StoredRun(folder, settings, model.eval(), shapes)


def _warn_of_later_epochs(folder: Path, epochs: int) -> None:
    """Warns if a run was resumed after its weights were written, and has not finished since."""
    path = folder / HISTORY
    later = len(path.read_bytes().splitlines()) - 1 if path.is_file() else 0  # below the heading
    if 0 < epochs < later:
        log.warning(
            "%s: training was resumed and has not finished: the weights are those of %d epochs, "
            "history.csv has %d; iiae train --resume --out %s",
            folder,
            epochs,
            later,
            folder,
        )


def _fill(model: IIAE, path: Path) -> None:
    """Reads the weights; what they lack because it came later keeps its default.

    Raises:
        RuntimeError: They are those of another model.
    """
    missing, unknown = load_model(model, path, strict=False)
    if lacking := sorted({*missing} - LATER):
        raise RuntimeError(f"it has no {', '.join(lacking)}")
    if unknown:
        raise RuntimeError(f"it has {', '.join(sorted(unknown))}, which the model has not")


def clear_run(folder: Path, overwrite: bool) -> None:
    """Removes the run in a folder, if there is one and it is to be replaced.

    Raises:
        RunError: The folder holds a run and `overwrite` is off, or cannot be written to.
    """
    if (folder / MODEL).exists() and not overwrite:
        raise RunError(f"{folder}: holds a run already; choose another folder or overwrite=True")
    with folder_errors(folder):
        for name in REPLACED:
            (folder / name).unlink(missing_ok=True)


def copy_run(run: Path, folder: Path, overwrite: bool = False) -> Path:
    """Copies the files of a run into another folder, without its checkpoints.

    Raises:
        RunError: The folder holds a run already, is the run's own, or cannot be written to.
    """
    if folder.resolve() == run.resolve():
        raise RunError(f"{folder}: is the run's own folder; choose another")
    if not (run / MODEL).is_file():
        raise RunError(f"{run}: its files are gone; there is nothing to copy")
    clear_run(folder, overwrite)
    with folder_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            if (run / name).is_file():
                shutil.copyfile(run / name, folder / name)
    return folder


def keep_run(run: TrainedRun, folder: Path, overwrite: bool = False) -> Path:
    """`copy_run`, with the weights that the model has now; errors as there.

    Of a model that was trained further, results, examples and report are of other weights and are
    left out.
    """
    copy_run(run.folder, folder, overwrite)
    if is_changed(run):
        with folder_errors(folder):
            for name in (METRICS, EXAMPLES):
                (folder / name).unlink(missing_ok=True)
        save_weights(folder / MODEL, run.model.state_dict(), run.shapes, run.model.covariates)
    return folder


def is_changed(run: TrainedRun) -> bool:
    """Whether the model in memory has other weights than its file, as after training it further."""
    held, state = load_file(run.folder / MODEL), run.model.state_dict()
    return any(not torch.equal(state[name].cpu(), held[name]) for name in held)


def check_unchanged(run: TrainedRun) -> None:
    """Refuses a model that has other weights than its file, for what others read with the file.

    Raises:
        RunError: It has.
    """
    if is_changed(run):
        raise RunError(
            f"{run.folder}: the model has other weights than its file, as after training it "
            "further; iiae.load(run.save(FOLDER)) goes on with these"
        )


def open_samples(run: TrainedRun, inputs: Sequence[str | Path], domain: Domain) -> Source:
    """Samples of one domain in files, as a run takes them; errors as for `open_source`."""
    warn_of_estimator(run.folder)
    columns, data = load_features(run.folder).of(domain), run.settings.data
    place = place_in_cells(run, domain)
    return open_source(inputs, run.shapes.of(domain), domain, columns, data.pad, place)


def warn_of_estimator(folder: Path) -> None:
    """Warns of a folder that `IIAETransformer.save` wrote: its model takes standardised rows."""
    if (folder / ESTIMATOR).is_file():
        log.warning(
            "%s was saved by an IIAETransformer, whose model takes standardised rows; "
            "IIAETransformer.load takes rows as they are",
            folder,
        )


def place_in_cells(run: TrainedRun, domain: Domain) -> str:
    """Where settings say that a domain is in cells; "" if they do not."""
    data = run.settings.data
    text = (data.x if domain == "x" else data.y) or ""
    return text if data.name == "omics" else split_place(text)[1] or ""


def save_settings(folder: Path, settings: Settings) -> None:
    """Writes settings.toml."""
    write_text(folder / SETTINGS, dump_settings(settings))
