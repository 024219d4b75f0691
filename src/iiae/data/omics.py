"""Cells of AnnData and MuData: two assays of the same cells, and `obs` as factors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from iiae.data.base import Factor, Splits
from iiae.data.matched import NONE, MatchedPairs, make_matched, split_matched
from iiae.errors import DataError
from iiae.files.cells import (
    Cells,
    find_place,
    obs_columns,
    open_cells,
    read_obs,
    read_place,
)
from iiae.networks.covariates import plain_name
from iiae.settings import DataSettings

MOST_CATEGORIES = 50  # of a column of obs that is read as a factor without being asked for
BLOCKS = ("shared", "x", "y")

log = logging.getLogger("iiae")


def load_omics(settings: DataSettings) -> Splits:
    """Two assays of the cells in a `.h5mu`, or in a `.h5ad` with a panel or layer beside X.

    `data.root` is the file, `data.x` and `data.y` the places in it: `rna`, `rna:counts` (modality
    and layer), `rna:obsm:panel`; in a `.h5ad` `X`, `counts` or `obsm:panel`. Cells of one assay
    alone, and cells whose panel is NaN throughout, are trained on without their partner. Columns of
    `obs` are factors: see `data.factors`.

    Raises:
        DataError: The file or a place is missing, a value is NaN, or there are too few cells.
        MissingExtra: anndata is not installed.
    """
    if settings.root is None:
        raise DataError("data.root is missing: the .h5mu or .h5ad file")
    return split_matched(read_omics(settings.root, settings), settings)


def read_omics(cells: Any, settings: DataSettings) -> MatchedPairs:
    """All cells of a file, an AnnData or a MuData; as `load_omics`."""
    with open_cells(cells) as opened:
        places = [find_place(opened, getattr(settings, side), f"data.{side}") for side in "xy"]
        x, y = (read_place(opened, place) for place in places)
        pairs, names = make_matched(x, y, keep_lone=True)
        modalities = [place.modality for place in places]
        blocks = _tables(opened, modalities)
        assert names is not None  # an AnnData has names of cells
        covariates = list(map(plain_name, settings.covariates))
        given = obs_columns(opened, covariates, names, modalities[0])
    complete = (pairs.index != NONE).all(1)
    known = _factors(blocks, names, complete, settings.factors, opened.name)
    made = MatchedPairs(pairs.x, pairs.y, pairs.index, pairs.identity, known)
    made.annotations = {**made.annotations, **given}
    return made


def _tables(cells: Cells, modalities: Sequence[str | None]) -> dict[str, Any]:
    """Tables of `obs` by the latent that their columns are first of all expected in."""
    table = read_obs(cells, None)
    # MuData pulls the columns of its modalities up, as rna:phase
    pulled = [name for name in table.columns if str(name).partition(":")[0] in cells.modalities]
    tables = {"shared": table.drop(columns=pulled)}
    for side, modality in zip("xy", modalities, strict=True):
        if modality is not None:
            tables[side] = read_obs(cells, modality)
    return tables


def _factors(
    tables: Mapping[str, Any],
    names: Sequence[str],
    complete: np.ndarray,
    wanted: Sequence[str],
    where: str,
) -> dict[str, Factor]:
    """Columns of `obs` as factors: those of `wanted`, or all that can be read.

    A column of one modality alone is expected in that modality's exclusive latent.
    """
    columns = {name for table in tables.values() for name in map(str, table.columns)}
    asked = _asked(columns, wanted, where)
    factors: dict[str, Factor] = {}
    left_out: list[str] = []
    for name in sorted(asked or columns):
        block, values = _column(tables, name, names)
        factor = _factor(values, complete, asked.get(name) or block, bool(asked))
        if factor is None and asked:
            raise DataError(
                f"{where}: data.factors: {name}: has one value, or an empty cell, among the cells "
                "that have both assays"
            )
        if factor is None:
            left_out.append(name)
        else:
            factors[name] = factor
    if left_out:
        log.info(
            "%s: columns of obs not read as factors (one value, empty cells, or text of many "
            "kinds): %s", where, ", ".join(left_out),
        )  # fmt: skip
    return factors


def _asked(columns: Set[str], wanted: Sequence[str], where: str) -> dict[str, str]:
    """The block that each column of `data.factors` is said to belong in, "" if none is."""
    asked = {name: block for name, _, block in (text.rpartition(":") for text in wanted) if name}
    asked |= {text: "" for text in wanted if text in columns}
    for text in wanted:
        name, _, block = text.rpartition(":")
        if text not in columns and (name not in columns or block not in BLOCKS):
            raise DataError(
                f"{where}: data.factors: {text!r}: obs has no such column, only "
                f"{', '.join(sorted(columns)) or 'none'}; write name or name:block, block being "
                "shared, x or y"
            )
    return asked


def _column(tables: Mapping[str, Any], name: str, names: Sequence[str]) -> tuple[str, Any]:
    """The block that a column is expected in, and its values by cell."""
    holders = [block for block, table in tables.items() if name in table.columns]
    block = holders[0] if len(holders) == 1 else "shared"
    series = tables[holders[0]][name].reindex(names)
    for other in holders[1:]:  # a cell of one modality alone is in that modality's table only
        series = series.astype(object).where(series.notna(), tables[other][name].reindex(names))
    return block, series


def _factor(values: Any, complete: np.ndarray, block: Any, asked: bool) -> Factor | None:
    """A factor of a column by cell; None if the cells that have both assays do not have it all."""
    known = values[complete]
    if known.isna().any() or known.nunique() < 2:
        return None
    kind, kinds = getattr(values.dtype, "kind", "O"), known.nunique()
    few = kinds <= min(MOST_CATEGORIES, max(2, len(known) // 10))
    if kind == "f" or (kind in "iu" and not few):
        filled = values.fillna(0).to_numpy(np.float64)  # lone cells are never measured
        return Factor(filled, "continuous", block) if np.isfinite(filled).all() else None
    texts = values.astype(object).where(values.notna(), "").astype(str).to_numpy(str)
    if not asked and not few:
        return None
    return Factor(texts, "categorical", block)
