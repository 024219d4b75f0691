"""Columns beside two files of rows: covariates, and library sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from iiae.files.cells import find_place, obs_columns, open_cells, split_place
from iiae.files.columns import Columns, read_named_columns
from iiae.files.matrices import Matrix
from iiae.networks.covariates import plain_name
from iiae.settings import DataSettings


def columns_beside(settings: DataSettings, sides: tuple[Matrix, Matrix]) -> Columns:
    """Columns of the file that settings name; of an `.npz` with x and y, the wanted ones.

    Their rows have names if those of both sides have, and the first column holds some.

    Raises:
        DataError: As `iiae.files.columns.read_named_columns`.
    """
    if settings.columns is not None:
        found = Columns(read_named_columns(Path(settings.columns)), place=settings.columns)
        x, y = sides
        return found.named(x.rows) if x.rows and y.rows else found
    covariates = list(map(plain_name, settings.covariates))
    if settings.x is None or (settings.y is not None and not covariates):
        return Columns()
    if settings.y is not None:
        return _of_obs(settings.x, covariates, sides[0].rows)
    return Columns(read_named_columns(Path(settings.x), {*covariates, "size_x", "size_y"}))


def _of_obs(text: str, names: Sequence[str], rows: Sequence[str] | None) -> Columns:
    """Columns of the cells of x, if it is of cells."""
    file, place = split_place(text)
    if place is None:
        return Columns()
    assert rows is not None  # cells have names
    with open_cells(file) as cells:
        own = find_place(cells, place, "data.x").modality
        return Columns(obs_columns(cells, names, rows, own), rows, text)
