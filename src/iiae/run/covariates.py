"""What is known of samples beside their values: covariates and library sizes, by name."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from iiae.errors import DataError, SettingsError, first_five
from iiae.files.cells import is_cells, obs_columns, open_cells
from iiae.model.iiae import IIAE
from iiae.networks.covariates import as_column, plain_name
from iiae.run.samples import as_array, column_names, row_names
from iiae.run_folder import TrainedRun
from iiae.types import Context, Domain

log = logging.getLogger("iiae")


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


def partners_of(x: Any, y: Any) -> Any:
    """y in the order of x, where rows of both have names; else as it is, warned of if they differ.

    Raises:
        DataError: A row of x has no partner, or two.
    """
    wanted, held = row_names(x), row_names(y)
    if wanted is None or held is None or wanted == held:
        warn_of_indexes(x, y, ("x", "y"))
        return y
    order = _positions(held, wanted, "y", "x")
    return y.iloc[order] if hasattr(y, "iloc") else y[order]


def _positions(held: Sequence[str], wanted: Sequence[str], place: str, of: str) -> list[int]:
    rows = {row: i for i, row in enumerate(held)}
    if lacking := [row for row in wanted if row not in rows]:
        raise DataError(f"{place} has no row of {first_five(lacking)}, of {of}")
    if len(rows) < len(held):
        raise DataError(f"{place}: names of rows occur more than once")
    return [rows[row] for row in wanted]


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
    return as_column(column)[_positions(held, wanted, f"{names[1]}: {name}", names[0])]


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


def covariates_of(run: TrainedRun, samples: Any, domain: Domain, given: Any) -> Any:
    """Covariates by name, in the order of the samples; cells bring their own in `obs`.

    Raises:
        DataError: As `in_order_of`; or cells have no such column, or are not of this domain.
    """
    names = run.model.covariates.names
    own = given is None or isinstance(given, list | tuple)
    if not own or not names or not is_cells(samples):
        return in_order_of(samples, given, ("the samples", "covariates"))
    from iiae.inference.cell_sides import domain_matrix

    rows = domain_matrix(run, samples, domain).rows
    with open_cells(samples) as cells:
        try:
            return obs_columns(cells, given or names, rows or list(map(str, cells.node.obs_names)))
        except DataError as error:
            raise DataError(f"{error}; give covariates={{'{names[0]}': values}}") from error


def of_obs(named: Any, x: Any, y: Any) -> Any:
    """Covariates given as names of columns, with the values that two AnnData have in `obs`.

    Anything else as it is.

    Raises:
        DataError: Neither has such a column.
    """
    tables: list[Any] = [side.obs for side in (x, y) if hasattr(side, "obs")]
    if not isinstance(named, list | tuple) or not tables:
        return named
    found: dict[str, Any] = {}
    for name in named:
        held = [table[plain_name(name)] for table in tables if plain_name(name) in table]
        if not held:
            known = ", ".join(dict.fromkeys(str(c) for table in tables for c in table))
            raise DataError(f"covariates: {name} is no column of obs; these are {known or 'none'}")
        found[name] = held[0]
    return found


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
