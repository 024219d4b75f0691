"""The domains of some cells: where their matrices lie, and which cells have them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from iiae.data.names import domain_names
from iiae.errors import DataError, SettingsError
from iiae.files.cells import (
    OBSM,
    Cells,
    Place,
    find_place,
    open_cells,
    read_place,
)
from iiae.files.matrices import Matrix, measured_rows, with_columns
from iiae.run_folder import TrainedRun, load_features, place_in_cells
from iiae.types import DOMAINS, Domain

log = logging.getLogger("iiae")


class Side(NamedTuple):
    """One domain of some cells: its matrix, where it lies, and the row of each cell or -1."""

    matrix: Matrix
    place: Place
    rows: np.ndarray

    @property
    def cells(self) -> np.ndarray:
        """Numbers of the cells that have this domain."""
        return np.flatnonzero(self.rows >= 0)

    def take(self, cells: np.ndarray) -> torch.Tensor:
        """Samples of some cells, `(some, size)`."""
        return torch.from_numpy(self.matrix.take(self.rows[cells]))


def domain_matrix(run: TrainedRun, cells: Any, domain: Domain) -> Matrix:
    """The matrix of one domain of some cells, with the columns that a run takes.

    Raises:
        DataError: The cells have no such modality, layer, panel or features, or a value of a cell
            that was measured is NaN or infinite.
    """
    with open_cells(cells) as opened:
        matrix = _matrix(run, opened, domain, _place(run, opened, domain, strip=True))
    measured_rows(matrix)
    return matrix


def find_sides(run: TrainedRun, cells: Cells, domain: Domain | None) -> dict[Domain, Side]:
    """The domains that the cells have."""
    if domain is None and run.settings.data.name != "omics":
        raise SettingsError(f"{cells.name}: which domain are these cells of? give domain, x or y")
    names = list(map(str, cells.node.obs_names))
    sides: dict[Domain, Side] = {}
    reasons: list[str] = []
    for name in DOMAINS if domain is None else (domain,):
        try:
            place = _place(run, cells, name, strip=domain is not None)
        except DataError as error:
            reasons.append(str(error))
            continue
        matrix = _matrix(run, cells, name, place)
        sides[name] = Side(matrix, place, _rows(matrix, names))
    if not sides and domain is None and not cells.modalities:
        each = " or ".join(domain_names(run.settings.data))
        raise SettingsError(f"{cells.name}: which domain are these cells of? give domain, {each}")
    if not sides:
        raise DataError(reasons[0])
    if reasons:
        log.info("without its partner: %s", reasons[0])
    return sides


def _place(run: TrainedRun, cells: Cells, domain: Domain, strip: bool) -> Place:
    """Where a domain is; `strip` leaves the modality out for cells that have none."""
    text = place_in_cells(run, domain)
    try:
        return find_place(cells, text, f"data.{domain}")
    except DataError:
        if not strip or cells.modalities:
            raise
    return find_place(cells, text.partition(":")[2], f"data.{domain}")


def label(run: TrainedRun, domain: Domain) -> str:
    """What a domain is called in keys: its modality or panel, or x or y."""
    parts = [part for part in place_in_cells(run, domain).split(":") if part not in ("", "X", OBSM)]
    return parts[0] if parts and run.settings.data.name == "omics" else domain


def _matrix(run: TrainedRun, cells: Cells, domain: Domain, place: Place) -> Matrix:
    matrix = with_columns(read_place(cells, place), load_features(run.folder).of(domain))
    size = run.shapes.of(domain)[0]
    if matrix.values.shape[1] != size:
        raise DataError(
            f"{matrix.place}: has {matrix.values.shape[1]} columns, the model takes {size}"
        )
    return matrix


def _rows(matrix: Matrix, names: Sequence[str]) -> np.ndarray:
    """Row of each cell, -1 for cells that are not there or NaN throughout."""
    rows = positions(matrix.rows or names, names)
    rows[(rows >= 0) & ~measured_rows(matrix)[np.maximum(rows, 0)]] = -1
    return rows


def positions(names: Sequence[str], wanted: Any) -> np.ndarray:
    """Place of each wanted name, -1 if there is none."""
    place = {name: i for i, name in enumerate(names)}
    return np.array([place.get(str(name), -1) for name in wanted])
