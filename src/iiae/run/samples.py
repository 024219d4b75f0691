"""Samples as a user has them, in memory or in files, as a trained model takes them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from iiae.data.arrays import ArrayPairs
from iiae.data.ranges import check_values, warn_of_black
from iiae.errors import DataError
from iiae.files.cells import is_cells
from iiae.files.images import plain_image
from iiae.files.matrices import Matrix, is_sparse, make_matrix, with_columns
from iiae.files.sources import read_all
from iiae.run_folder import TrainedRun, load_features, open_samples
from iiae.types import Domain, other

log = logging.getLogger("iiae")

BATCH = 256  # samples that the model takes at once


def as_array(values: Any) -> np.ndarray:
    """An array of an array, tensor, data frame (pandas, polars) or Arrow table.

    Raises:
        DataError: It is none of these.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu().to_dense()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(np.float64), np.nan) if values.mask.any() else values.data
    if hasattr(values, "collect") and hasattr(values, "columns"):  # a LazyFrame of polars
        values = values.collect()
    values = _pictures(values)
    if hasattr(values, "to_pandas") and not hasattr(values, "to_numpy"):
        values = values.to_pandas()
    try:
        array = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    except ValueError as error:
        pictures = any(getattr(one, "ndim", 1) > 1 for one in values)
        what = "pictures differ in size; give their files" if pictures else "rows differ in length"
        raise DataError(f"{type(values).__name__}: {what}") from error
    if array.dtype.kind == "O" and hasattr(values, "columns"):
        return _of_frame(values)
    if array.dtype.kind not in "buif":
        raise DataError(f"{type(values).__name__}: holds {array.dtype}, not numbers")
    return array


def _pictures(values: Any) -> Any:
    """A Pillow image, or several, as arrays of greys or RGB, as their files are read."""
    if hasattr(values, "getbands"):
        return np.asarray(plain_image(values, "the picture"))
    if isinstance(values, list | tuple) and values and hasattr(values[0], "getbands"):
        return [np.asarray(plain_image(one, f"picture {i}")) for i, one in enumerate(values)]
    return values


def column_names(table: Any) -> list[str] | None:
    """Names of a table's columns, if it has them and all are text."""
    names: list[Any] = list(getattr(table, "column_names", getattr(table, "columns", ())))
    return names if names and all(isinstance(name, str) for name in names) else None


def row_names(values: Any) -> list[str] | None:
    """Names of rows of a data frame, one column or cells, if they are text."""
    index = getattr(values, "index", getattr(values, "obs_names", None))
    names: list[Any] = index.tolist() if index is not None and hasattr(index, "tolist") else []
    return names if names and all(isinstance(name, str) for name in names) else None


def _of_frame(frame: Any) -> np.ndarray:
    """Columns of several types of numbers in float64; a value that is missing is NaN."""
    columns: list[np.ndarray] = []
    for name in frame.columns:
        column = frame[name]
        if getattr(column.dtype, "kind", np.asarray(column).dtype.kind) not in "buif":
            raise DataError(f"{type(frame).__name__}: column {name!r} holds text, not numbers")
        number = column.astype("float64") if hasattr(column, "astype") else column
        columns.append(np.asarray(number, dtype=np.float64))
    return np.stack(columns, 1)


def is_paths(values: Any) -> bool:
    """Whether values are a path or a URL, or several of them."""
    if isinstance(values, str | Path):
        return True
    listed = isinstance(values, Sequence) and len(values) > 0
    return listed and all(isinstance(value, str | Path) for value in values)


def paths(values: Any) -> list[str | Path]:
    """One path or several as a list.

    Raises:
        DataError: They are no paths.
    """
    if not is_paths(values):
        raise DataError(
            f"files, folders or URLs are wanted; given {type(values).__name__}: arrays in memory "
            "can be saved first (np.save)"
        )
    return [values] if isinstance(values, str | Path) else list(values)


def as_taken(run: TrainedRun, values: Any, domain: Domain) -> np.ndarray:
    """Samples as an array; columns of a data frame are taken by name if the run knows names."""
    if is_cells(values) or is_sparse(values) or is_paths(values):
        return samples_of(run, values, domain).numpy()
    if not column_names(values) and not row_names(values):
        return as_array(values)
    wanted = load_features(run.folder).of(domain)
    if hasattr(values, "to_frame") and set(row_names(values) or ()) >= set(wanted or [""]):
        values = values.to_frame().T  # one sample, by the names of its values
    named = column_names(values)
    if named and wanted and hasattr(values, "columns") and set(named) > set(wanted):
        values = values[[name for name in named if name in wanted]]  # others may hold no numbers
        named = column_names(values)
    return with_columns(Matrix(as_array(values), None, named, domain), named and wanted).values


def _forms_of_one(array: np.ndarray, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of one sample alone; images of bytes have their channels last, or none if grey."""
    if array.dtype != np.uint8 or len(shape) != 3:
        return [shape]
    channels, *sides = shape
    return [(*sides, channels), *([tuple(sides)] if channels == 1 else [])]


def batches_of(run: TrainedRun, values: Any, domain: Domain) -> Iterator[Tensor]:
    """Samples of a domain, some at a time; cells and sparse arrays are made dense here.

    Raises:
        DataError: The samples cannot be read or do not fit the model.
    """
    if not is_cells(values) and not is_sparse(values):
        yield from samples_of(run, values, domain).split(BATCH)
        return
    from iiae.inference.cell_sides import domain_matrix

    matrix = make_matrix(values) if is_sparse(values) else domain_matrix(run, values, domain)
    size, (rows, width) = run.shapes.of(domain)[0], matrix.values.shape
    if width != size:
        raise DataError(f"{domain} has {width} values, the model takes {size}")
    for first in range(0, rows, BATCH):
        some = torch.from_numpy(matrix.take(np.arange(first, min(first + BATCH, rows))))
        likelihood = run.settings.objective.of(domain)
        check_values(some, likelihood, f"{domain} from row {first} on")
        yield some


def samples_of(run: TrainedRun, values: Any, domain: Domain) -> Tensor:
    """Samples of a domain as the model takes them, `(rows, *shape)`; errors as `batches_of`."""
    if is_cells(values) or is_sparse(values):
        return torch.cat(list(batches_of(run, values, domain)))
    if is_paths(values):
        return read_all(open_samples(run, paths(values), domain))
    shape, array = tuple(run.shapes.of(domain)), as_taken(run, values, domain)
    if array.shape in _forms_of_one(array, shape):
        array = array[None]
    pairs = ArrayPairs(array, array, (domain, domain))
    if tuple(pairs.shapes[0]) != shape:
        form, right = ("x".join(map(str, s)) for s in (pairs.shapes[0], shape))
        mixed = tuple(pairs.shapes[0]) == tuple(run.shapes.of(other(domain)))
        hint = f"; these look like samples of {other(domain)}" if mixed else ""
        raise DataError(f"{domain} has samples of {form}, the model takes {right}{hint}")
    samples = next(iter(pairs.batches(len(pairs)))).x
    likelihood = run.settings.objective.of(domain)
    check_values(samples, likelihood, domain)
    if array.dtype.kind == "f":
        warn_of_black(samples, likelihood, domain)
    return samples
