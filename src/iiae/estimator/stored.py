"""An estimator in a run folder: estimator.json has its parameters, means and scales."""

from __future__ import annotations

import json
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iiae.data.scaling import Standard
from iiae.errors import RunError, SettingsError
from iiae.estimator.tables import listed
from iiae.files.atomic import write_text
from iiae.run_folder import (
    ESTIMATOR,
    MODEL,
    clear_run,
    load_run,
    save_history,
    save_settings,
    save_weights,
    write_metrics,
)
from iiae.types import plain

if TYPE_CHECKING:
    from iiae.estimator.transformer import IIAETransformer


def save_estimator(fitted: IIAETransformer, folder: Path, overwrite: bool = False) -> Path:
    """Writes a run folder; errors as for `IIAETransformer.save`."""
    parameters = fitted.get_params()
    if not isinstance(fitted.random_state, Integral | None):
        raise SettingsError("random_state is a generator, which cannot be saved; use a number")
    record = {
        "parameters": plain(parameters),
        "feature_names": listed(getattr(fitted, "feature_names_in_", None)),
        "feature_names_y": listed(getattr(fitted, "feature_names_y_", None)),
        **{k: [v.tolist() for v in standard] for k, standard in fitted.standards().items()},
    }
    clear_run(folder, overwrite)
    shapes = ((fitted.n_features_in_,), (fitted.n_features_y_,))
    save_settings(folder, fitted.settings_)
    save_history(folder, fitted.history_)
    write_metrics(folder, fitted.metrics_)
    write_text(folder / ESTIMATOR, json.dumps(record) + "\n")
    save_weights(folder / MODEL, fitted.model_.state_dict(), shapes)
    return folder


def load_estimator(kind: type[IIAETransformer], folder: Path) -> IIAETransformer:
    """What `save_estimator` wrote; errors as for `IIAETransformer.load`."""
    run = load_run(folder)
    try:
        record = json.loads((folder / ESTIMATOR).read_text(encoding="utf-8"))
        loaded = kind(**record["parameters"])
        if isinstance(loaded.exclusive, list):
            loaded.exclusive = (loaded.exclusive[0], loaded.exclusive[1])
        x, y = (Standard(*map(np.asarray, record[side])) for side in "xy")
    except FileNotFoundError as error:
        raise RunError(f"{folder}: has no {ESTIMATOR}; IIAETransformer.save writes it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder / ESTIMATOR}: damaged: {error}") from error
    loaded.standard_x_, loaded.standard_y_ = x, y
    loaded.n_features_in_, loaded.n_features_y_ = len(x.mean), len(y.mean)
    for name, key in (("in", "feature_names"), ("y", "feature_names_y")):
        if record[key] is not None:
            setattr(loaded, f"feature_names_{name}_", np.asarray(record[key], dtype=object))
    loaded.keep(run.model, run.settings, folder)
    return loaded
