"""Matrices of cells in AnnData and MuData: `.h5ad` and `.h5mu` files, or objects in memory.

Of a file only the elements that are asked for are read.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from iiae.errors import DataError, MissingExtra
from iiae.files.matrices import Matrix, make_matrix

ENDINGS = (".h5ad", ".h5mu")
OBSM, LAYERS = "obsm", "layers"


class Place(NamedTuple):
    """Where a matrix lies: the modality of a MuData, and X, a layer or a panel of `obsm` there."""

    modality: str | None
    group: str  # X, layers or obsm
    key: str = ""


class Cells(NamedTuple):
    """Cells that are open: an AnnData or MuData, or the HDF5 group of a file; its name."""

    node: Any
    name: str

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities; of an AnnData none."""
        if _is_group(self.node):
            return list(self.node["mod"]) if "mod" in self.node else []
        return list(getattr(self.node, "mod", {}))

    def modality(self, name: str | None) -> Any:
        """The AnnData of a modality, or all; raises DataError if there is no such modality."""
        if name is None:
            return self.node
        if name not in self.modalities:
            raise DataError(f"{self.name}: has no modality {name}, only {_listed(self.modalities)}")
        return self.node["mod"][name] if _is_group(self.node) else self.node.mod[name]


def is_cells(value: Any) -> bool:
    """Whether something is a path of cells, or an AnnData or MuData."""
    if isinstance(value, str | Path):
        return Path(value).suffix.lower() in ENDINGS
    return hasattr(value, "obs_names") and hasattr(value, "obsm")


def split_place(text: str) -> tuple[str, str | None]:
    """Splits `cells.h5mu:rna:counts` into the file and a place; None if the text names no cells."""
    for ending in ENDINGS:
        file, colon, place = text.partition(f"{ending}:")
        if colon:
            return file + ending, place
    return text, "" if is_cells(text) else None


@contextmanager
def open_cells(cells: Any) -> Iterator[Cells]:
    """Cells of a path, an AnnData or a MuData, while they are read.

    Raises:
        DataError: The file is missing, damaged or no HDF5 file.
        MissingExtra: anndata is not installed.
    """
    if not isinstance(cells, str | Path):
        whole = cells.to_memory() if getattr(cells, "isbacked", False) else cells
        yield Cells(whole, type(cells).__name__)
        return
    try:
        import anndata  # noqa: F401
        import h5py
    except ImportError as error:
        raise MissingExtra("omics", f"{cells}: reading cells") from error
    if not Path(cells).is_file():
        raise DataError(f"{cells}: no such file")
    try:
        file = h5py.File(cells, "r")
    except OSError as error:
        raise DataError(f"{cells}: damaged, cut off, or not an HDF5 file: {error}") from error
    with file:
        yield Cells(file, str(cells))


def find_place(cells: Cells, text: str | None, setting: str) -> Place:
    """Where `text` points: `rna`, `rna:counts`, `rna:obsm:panel`; without modalities `X`, `counts`
    (a layer) or `obsm:panel`.

    Args:
        cells: Open cells.
        text: The place.
        setting: Its name, for messages.

    Raises:
        DataError: There is no such modality, layer or panel; the message names those there are.
    """
    first, _, rest = (text or "").partition(":")
    if cells.modalities and not first:
        raise DataError(
            f"{cells.name}: {setting} is missing: a modality ({_listed(cells.modalities)}), or "
            "modality:layer"
        )
    modality = first if cells.modalities else None
    node = cells.modality(modality)
    if text is None:
        raise DataError(f"{cells.name}: {setting} is missing: one of {_listed(_places(node))}")
    place = _within(modality, rest if cells.modalities else text)
    if place.group != "X" and place.key not in _keys(node, place.group):
        what = "layer" if place.group == LAYERS else "panel in obsm named"
        own = f" of {modality}" if modality else ""
        raise DataError(
            f"{cells.name}: {setting} = {text!r}: there is no {what} {place.key}{own}; there are "
            f"{_listed(_places(node))}"
        )
    return place


def _places(node: Any) -> list[str]:
    """The places of an AnnData, as `find_place` takes them."""
    return ["X", *_keys(node, LAYERS), *(f"{OBSM}:{key}" for key in _keys(node, OBSM))]


def _within(modality: str | None, text: str) -> Place:
    group, colon, key = text.partition(":")
    if colon and group in (OBSM, LAYERS):
        return Place(modality, group, key)
    return Place(modality, "X") if text in ("", "X") else Place(modality, LAYERS, text)


def read_place(cells: Cells, place: Place) -> Matrix:
    """The matrix at a place, with names of cells and of features if there are any.

    Raises:
        DataError: There is no matrix of numbers, or names of cells occur twice.
    """
    node = cells.modality(place.modality)
    rows = _index(node, "obs")
    values = _element(node, place.group, place.key)
    if place.group != OBSM:
        columns = _index(node, "var")
    else:
        columns = list(map(str, values.columns)) if hasattr(values, "columns") else None
    values = values.to_numpy() if hasattr(values, "to_numpy") else values
    where = ":".join(part for part in place if part and part != LAYERS)
    if values is None:
        raise DataError(f"{cells.name}: {where} is empty; name a layer")
    return make_matrix(values, rows, columns, f"{cells.name} {where}")


def read_obs(cells: Cells, modality: str | None) -> Any:
    """The table `obs` of a modality or of all cells, a pandas data frame indexed by cell."""
    return _element(cells.modality(modality), "obs")


def obs_columns(
    cells: Cells, names: Sequence[str] | None, rows: Sequence[str], own: str | None = None
) -> dict[str, np.ndarray]:
    """Columns of `obs` for some cells: of a modality, of all cells, or of another modality.

    What one of these tables lacks of a cell is taken from the next one.

    Args:
        cells: The cells.
        names: Which columns; by default all of `own` and of all cells.
        rows: Names of the cells.
        own: The modality that is looked in first.

    Raises:
        DataError: There is no such column.
    """
    tables = [read_obs(cells, part) for part in dict.fromkeys([own, None, *cells.modalities])]
    if names is None:
        pulled = tuple(f"{part}:" for part in cells.modalities)  # as MuData does, rna:phase
        listed = (n for table in tables[:2] for n in map(str, table))
        names = [name for name in listed if not name.startswith(pulled)]
    found: dict[str, np.ndarray] = {}
    for name in names:
        holding = [table for table in tables if name in table.columns]
        if not holding:
            raise DataError(f"{cells.name}: has no column {name} in obs")
        column, *others = (_plain(table[name]).reindex(rows) for table in holding)
        for other in others:
            column = column.where(column.notna(), other)
        found[name] = column.to_numpy()
    return found


def _plain(column: Any) -> Any:
    """A column of `obs` without its categories."""
    return column.astype(object) if str(column.dtype) == "category" else column


def _is_group(node: Any) -> bool:
    return hasattr(node, "attrs") and hasattr(node, "keys")


def _keys(node: Any, group: str) -> list[str]:
    if _is_group(node):
        return list(node[group]) if group in node else []
    return list(getattr(node, group))


def _index(node: Any, table: str) -> list[str]:
    if not _is_group(node):
        return list(map(str, getattr(node, table).index))
    return list(map(str, _element(node, table).index))


def _element(node: Any, group: str, key: str = "") -> Any:
    """An element of an object, or of a file, old forms of which are read without a warning."""
    if not _is_group(node):
        whole = getattr(node, group)
        return whole[key] if key else whole
    from anndata.io import read_elem

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read_elem(node[group][key] if key else node[group])
    except Exception as error:  # anndata and h5py each raise their own on damage
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{node.file.filename}: {group} {key}: cannot be read: {reason}") from error


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"
