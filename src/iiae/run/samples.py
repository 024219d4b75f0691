"""Samples as a user has them, in memory or in files, as a trained model takes them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from iiae.data.arrays import ArrayPairs
from iiae.data.base import PairSet
from iiae.data.context import with_context
from iiae.data.ranges import check_values, sides_of, warn_of_black
from iiae.data.registry import check_shapes
from iiae.errors import DataError, SettingsError, first_five
from iiae.files.cells import is_cells
from iiae.files.matrices import Matrix, is_sparse, make_matrix, with_columns
from iiae.files.sources import read_all
from iiae.model.iiae import IIAE
from iiae.networks.covariates import plain_name
from iiae.run_folder import TrainedRun, load_features, open_samples
from iiae.types import DOMAINS, Context, Domain

log = logging.getLogger("iiae")

BATCH = 256  # samples that the model takes at once


def as_array(values: Any) -> np.ndarray:
    """An array of an array, tensor, data frame (pandas, polars) or Arrow table.

    Raises:
        DataError: It is none of these.
    """
    if isinstance(values, Tensor):
        return values.detach().cpu().numpy()
    if hasattr(values, "to_pandas") and not hasattr(values, "to_numpy"):
        values = values.to_pandas()
    try:
        array = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    except ValueError as error:
        pictures = any(hasattr(one, "getbands") for one in values)
        what = "pictures differ in size; give their files" if pictures else "rows differ in length"
        raise DataError(f"{type(values).__name__}: {what}") from error
    if array.dtype.kind == "O" and hasattr(values, "columns"):
        return _of_frame(values)
    if array.dtype.kind not in "buif":
        raise DataError(f"{type(values).__name__}: holds {array.dtype}, not numbers")
    return array


def column_names(table: Any) -> list[str] | None:
    """Names of a table's columns, if it has them and all are text."""
    names: list[Any] = list(getattr(table, "column_names", getattr(table, "columns", ())))
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


def by_name(values: Any) -> Any:
    """Columns of a data frame or Arrow table, or one column, by name; anything else as it is."""
    if named := column_names(values):
        return {name: values[name] for name in named}
    alone = getattr(values, "name", None) if hasattr(values, "to_numpy") else None
    return {alone: values} if isinstance(alone, str) else values


def values_by_name(values: Any) -> dict[str, Any]:
    """`by_name`, empty for None.

    Raises:
        SettingsError: They have no names.
    """
    found = by_name(values)
    if not isinstance(found, Mapping | None):
        raise SettingsError(f"covariates are given by name, {{'batch': array}}; given {values!r}")
    return dict(found or {})


def warn_of_indexes(first: Any, second: Any, names: tuple[str, str]) -> None:
    """Warns of two data frames or AnnData that are taken row by row though their indexes differ.

    Of columns by name, the index is that of the first one.
    """
    if isinstance(second, Mapping):
        second = next(iter(second.values()), None)
    indexes: list[Any] = [
        getattr(one, "index", getattr(one, "obs_names", None)) for one in (first, second)
    ]
    if all(hasattr(one, "equals") for one in indexes) and not indexes[0].equals(indexes[1]):
        a, b = names
        log.warning(
            "the indexes of %s and %s differ, and row i of %s is taken as that of row i of %s; "
            "align them first, as with %s.loc[%s.index]", a, b, b, a, b, a,
        )  # fmt: skip


def row_names(values: Any) -> list[str] | None:
    """Names of rows of a data frame, one column or cells, if they are text."""
    index = getattr(values, "index", getattr(values, "obs_names", None))
    names: list[Any] = index.tolist() if index is not None and hasattr(index, "tolist") else []
    return names if names and all(isinstance(name, str) for name in names) else None


def in_order_of(samples: Any, columns: Any, names: tuple[str, str]) -> Any:
    """Columns by name in the order of the samples, where the rows of both have names.

    Else as they are, with a warning if their indexes differ.

    Args:
        samples: A data frame or cells; anything else has no names.
        columns: A data frame, or columns by name.
        names: Of both, for messages.

    Raises:
        DataError: A sample has no row among the columns, or two.
    """
    wanted, found = row_names(samples), by_name(columns)
    if wanted is None or not isinstance(found, Mapping):
        warn_of_indexes(samples, columns, names)
        return found
    return {name: _reordered(column, wanted, name, names) for name, column in found.items()}


def _reordered(column: Any, wanted: list[str], name: str, names: tuple[str, str]) -> Any:
    held = row_names(column)
    if held is None or held == wanted:
        return column
    place = {row: i for i, row in enumerate(held)}
    if lacking := [row for row in wanted if row not in place]:
        raise DataError(f"{names[1]}: {name} has no row of {first_five(lacking)}, of {names[0]}")
    if len(place) < len(held):
        raise DataError(f"{names[1]}: {name}: names of rows occur more than once")
    return as_column(column)[[place[row] for row in wanted]]


def as_column(values: Any) -> np.ndarray:
    """An array of a column of a data frame, or of what one can be made of."""
    return values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)


def named_columns(covariates: Any, sizes: Any) -> dict[str, np.ndarray]:
    """Covariates and library sizes of pairs, a value per pair, by the name of their column.

    Raises:
        SettingsError: Covariates have no values, or sizes are of no domain.
    """
    covariates, sizes = by_name(covariates), by_name(sizes) or {}
    if covariates is not None and not isinstance(covariates, Mapping):
        raise SettingsError("covariates of arrays are given with their values, {'batch': array}")
    if unknown := set(sizes) - {"x", "y"}:
        raise SettingsError(f"sizes are of 'x' and 'y', not of {min(unknown)!r}")
    named = {plain_name(name): values for name, values in (covariates or {}).items()}
    named |= {f"size_{side}": values for side, values in sizes.items()}
    return {name: as_column(values) for name, values in named.items()}


def given_pairs(
    run: TrainedRun,
    x: Any,
    y: Any,
    covariates: Any,
    sizes: Any,
) -> PairSet:
    """Pairs in memory as the model takes them.

    Raises:
        SettingsError: A side is missing; or as `named_columns`.
        DataError: The samples do not fit each other or the model.
    """
    if x is None or y is None:
        raise SettingsError("evaluate takes x=... and y=..., or neither")
    warn_of_indexes(x, y, ("x", "y"))
    covariates = in_order_of(x, covariates, ("x", "covariates"))
    columns = named_columns(covariates, in_order_of(x, sizes, ("x", "sizes")))
    pairs = ArrayPairs(_as_taken(run, x, "x"), _as_taken(run, y, "y"), columns=columns)
    check_shapes(pairs.shapes, run.shapes)
    for domain, values in zip(DOMAINS, sides_of(pairs), strict=True):
        check_values(values, run.settings.objective.of(domain), domain)
    return with_context(pairs, run.model.covariates, run.settings.objective)


def _as_taken(run: TrainedRun, values: Any, domain: Domain) -> np.ndarray:
    """Samples as an array; columns of a data frame are taken by name if the run knows names."""
    if is_cells(values) or is_sparse(values) or is_paths(values):
        return samples_of(run, values, domain).numpy()
    named = column_names(values)
    matrix = Matrix(as_array(values), None, named, domain)
    return with_columns(matrix, load_features(run.folder).of(domain) if named else None).values


def _forms_of_one(array: np.ndarray, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of one sample alone; images of bytes have their channels last, or none if grey."""
    if array.dtype != np.uint8 or len(shape) != 3:
        return [shape]
    channels, *sides = shape
    return [(*sides, channels), *([tuple(sides)] if channels == 1 else [])]


def context_of(model: IIAE, covariates: Any, rows: int, size: Any = None) -> Context:
    """What networks are given of samples beside their values.

    Args:
        model: Which says the covariates that it takes.
        covariates: By name, one value for all samples or one for each; or a data frame.
        rows: Number of samples.
        size: Library sizes, one for all or one for each.

    Raises:
        DataError: Covariates or sizes do not fit the model or the number of samples.
    """
    mine, given = model.covariates, values_by_name(covariates)
    columns = mine.encode(given, rows) if given or mine.names else None
    if size is None:
        return Context(None, columns)
    sizes = torch.as_tensor(as_array(size), dtype=torch.float32).flatten()
    if len(sizes) not in (1, rows) or not bool((sizes > 0).all()):
        raise DataError(f"{len(sizes)} library sizes for {rows} samples; give 1 or {rows} above 0")
    return Context(sizes.expand(rows), columns)


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
    shape, array = tuple(run.shapes.of(domain)), _as_taken(run, values, domain)
    if array.shape in _forms_of_one(array, shape):
        array = array[None]
    pairs = ArrayPairs(array, array, (domain, domain))
    if tuple(pairs.shapes[0]) != shape:
        form, right = ("x".join(map(str, s)) for s in (pairs.shapes[0], shape))
        raise DataError(f"{domain} has samples of {form}, the model takes {right}")
    samples = next(iter(pairs.batches(len(pairs)))).x
    likelihood = run.settings.objective.of(domain)
    check_values(samples, likelihood, domain)
    if array.dtype.kind == "f":
        warn_of_black(samples, likelihood, domain)
    return samples
