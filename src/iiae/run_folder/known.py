"""What a model is given of a source's samples beside their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from iiae.errors import DataError, SettingsError
from iiae.files.columns import Columns, read_named_columns
from iiae.files.interface import Source
from iiae.files.tables import is_table
from iiae.networks.covariates import Covariates
from iiae.types import Context, mapped
from iiae.wording import argument

NO_COVARIATES = "a reference of an array brings none, but one of cells does"


def context_of_source(
    covariates: Covariates,
    source: Source,
    columns: str | Path | None,
    as_if: Mapping[str, Any] | None = None,
    advice: str | None = None,
) -> Context:
    """Covariates of the samples of a source: a row of a file each, or as the source brings them.

    Args:
        covariates: That the model takes.
        source: The samples; cells bring the columns of their `obs`.
        columns: `.npz`, `.csv`, `.tsv` or `.parquet` of the covariates; it precedes the source.
        as_if: Covariates by name that are to have one value for all samples.
        advice: What is to be done if there is neither; to name a file, by default.

    Raises:
        SettingsError: The model takes covariates that nothing holds, or a file is given and it
            takes none.
        DataError: The file or `obs` lacks a column or a row, or holds a level that no training
            pair had.
    """
    names = covariates.names
    if not names and (columns is not None or as_if):
        raise SettingsError(_none_taken())
    if not names:
        return Context()
    held: Mapping[str, Any] | None
    if columns is None:
        held = source.annotations(names)
    else:
        samples = [source.name(i) for i in range(len(source))]
        held = columns_of_file(Path(columns), samples, covariates)
    if held is None:
        advice = advice or f"give {argument('columns', 'FILE')}"
        raise SettingsError(f"this run takes covariates, {', '.join(names)}; {advice}")
    rows = len(source)
    _check_rows(held, rows, columns)
    return Context(None, covariates.encode({**held, **(as_if or {})}, rows))


def columns_of_file(
    path: Path, samples: Sequence[str], covariates: Covariates
) -> dict[str, np.ndarray]:
    """Covariates that a file has of samples, by their names if its first column holds these.

    Args:
        path: `.npz`, `.csv`, `.tsv` or `.parquet`.
        samples: Their names.
        covariates: That the model takes.

    Raises:
        SettingsError: The run takes no covariates.
        DataError: The file is missing or damaged, or lacks a row.
    """
    if not covariates.names:
        raise SettingsError(_none_taken())
    read = None if is_table(path) else covariates.names  # the first column is no covariate
    found = Columns(read_named_columns(path, read), place=str(path)).named(samples)
    values = found.values if found.rows is None else found.of(samples)
    held = {name: values[name] for name in covariates.names if name in values}
    _check_rows(held, len(samples), path)
    return held


def _check_rows(held: Mapping[str, Any], rows: int, place: object) -> None:
    if short := [name for name, values in held.items() if len(values) != rows]:
        raise DataError(f"{place}: {short[0]} has {len(held[short[0]])} rows for {rows} samples")


def _none_taken() -> str:
    left_out = f"{argument('columns')} and {argument('as_if')}"
    return f"this run takes no covariates; leave {left_out} out"


def rows_of(
    known: Context, numbers: Sequence[int] | np.ndarray, device: torch.device | str = "cpu"
) -> Context:
    """The context of some samples, by their numbers."""
    return mapped(known, lambda columns: columns[numbers].to(device))
