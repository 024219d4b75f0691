"""What the arguments of `fit` mean: settings, and pairs if they are given in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from iiae.data import Splits
from iiae.data.arrays import make_pairs, split_rows
from iiae.data.matched import split_matched
from iiae.data.omics import read_omics
from iiae.data.registry import find, settings_of
from iiae.data.suggest import suggest_settings, suggest_settings_of
from iiae.errors import SettingsError
from iiae.files.cells import find_place, is_cells, open_cells, read_place
from iiae.files.columns import Columns
from iiae.files.matrices import Matrix, is_sparse, make_matrix
from iiae.run.covariates import (
    by_name,
    in_order_of,
    named_columns,
    of_obs,
    values_by_name,
    warn_of_indexes,
)
from iiae.run.partners import laid_together
from iiae.run.samples import as_array, column_names, is_paths, row_names
from iiae.settings import (
    DataSettings,
    Settings,
    describe_settings,
    load_settings,
    make_settings,
    none_by_default,
    override_text,
)

SECTIONS = [n for n, f in Settings.model_fields.items() if hasattr(f.annotation, "model_fields")]


class Request(NamedTuple):
    """What `fit` is asked to learn from, as its arguments say."""

    x: Any
    y: Any
    pairs: Any
    cells: Any
    covariates: Mapping[str, Any] | Sequence[str] | None
    sizes: Mapping[str, Any]

    @classmethod
    def of(
        cls, first: Any, second: Any, x: Any, y: Any, pairs: Any, covariates: Any, sizes: Any
    ) -> Request:
        """The arguments of `fit`, those by position and by name as one.

        Raises:
            SettingsError: x or y is given twice.
        """
        cells = first if second is None and is_cells(first) else None
        if pairs is not None and is_cells(pairs):
            cells = pairs
        if cells is None:
            x, y = _one(first, x, "x"), _one(second, y, "y")
        named = [covariates] if isinstance(covariates, str) else covariates
        covariates = by_name(of_obs(named, x, y))
        request = cls(x, y, pairs, cells, covariates, by_name(sizes) or {})
        request.check_columns()
        return request

    def check_columns(self) -> None:
        """Refuses covariates and sizes without names, or with values where these cannot be used.

        Raises:
            SettingsError: They are.
        """
        listed = isinstance(self.covariates, list | tuple)
        if not listed and not isinstance(self.covariates, Mapping | None):
            raise SettingsError("covariates are given by name, {'batch': array} or a data frame")
        stored = self.cells is not None or is_paths(self.x) or is_paths(self.pairs)
        if stored and (isinstance(self.covariates, Mapping) or self.sizes):
            raise SettingsError(
                "covariates and sizes with values go with samples in memory, not with files or one "
                "object of cells: name columns of obs, covariates=['batch'], or give "
                "settings={'data.columns': 'table.csv'} of arrays and tables"
            )

    def overrides(self) -> list[str]:
        """Settings that follow from the covariates and library sizes."""
        implied: dict[str, Any] = {f"objective.{side}.size": "given" for side in self.sizes}
        if self.covariates:
            implied["data.covariates"] = list(self.covariates)
        return override_texts(implied)

    def settle(self, overrides: Sequence[str]) -> tuple[Settings, Splits | None]:
        """All settings, and the pairs unless settings say where they are.

        Raises:
            SettingsError: A setting is wrong, or arguments do not go together.
            DataError: The data is missing, damaged or does not fit.
        """
        if isinstance(self.cells, str | Path):
            return _suggested(self.x, self.y, self.cells, overrides), None
        if self.cells is not None:
            return self._of_cells(overrides)
        if isinstance(self.x, Settings) or _is_settings_file(self.x):
            return self._of_settings(overrides), None
        if self.pairs is not None and not isinstance(self.pairs, str | Path):
            self._check_rows()
            return self._of_arrays(overrides)
        if any(is_paths(one) and not isinstance(one, str | Path) for one in (self.x, self.y)):
            raise SettingsError(
                "x and y: give one file or folder each; pairs of files are given by a table with "
                "columns x and y, pairs='pairs.csv'"
            )
        sides = [is_paths(side) for side in (self.x, self.y) if side is not None]
        if self.pairs is None and any(sides) and not all(sides):
            raise SettingsError("x and y: give files of both, or samples in memory of both")
        if self.pairs is not None or is_paths(self.x):
            return _suggested(self.x, self.y, self.pairs, overrides), None
        return self._of_arrays(overrides)

    def _check_rows(self) -> None:
        """Refuses what does not go together with pairs of rows."""
        if is_paths(self.x) or is_paths(self.y):
            raise SettingsError("pairs of rows are for arrays in memory; x and y are files")
        if self.covariates or self.sizes:
            raise SettingsError(
                "covariates and sizes are of pairs, row by row; take the rows of x and y yourself "
                "instead of giving pairs"
            )

    def _columns(self, matched: bool) -> Columns:
        """Covariates and library sizes in the order of x, or of pairs that are matched by name."""
        samples, place = self.x, "covariates"
        if matched:  # then in the order of the first column, whose names they have
            listed = [*values_by_name(self.covariates).values(), *self.sizes.values()]
            samples = next(iter(listed), None)
        known = named_columns(
            in_order_of(samples, self.covariates, ("x", place)),
            in_order_of(samples, self.sizes, ("x", "sizes")),
        )
        return Columns(known, row_names(samples) if matched else None, place)

    def _of_settings(self, overrides: Sequence[str]) -> Settings:
        if self.y is not None or self.pairs is not None:
            raise SettingsError("settings name the data themselves; give out=... for the folder")
        settings = self.x if isinstance(self.x, Settings) else load_settings(self.x)
        return make_settings(settings.model_dump(exclude_unset=True), overrides)

    def _of_cells(self, overrides: Sequence[str]) -> tuple[Settings, Splits]:
        places = {"x": self.x, "y": self.y}
        data = {"name": "omics", **{k: place for k, place in places.items() if place is not None}}
        pairs = read_omics(self.cells, make_settings({"data": data}, overrides).data)
        settings = make_settings(suggest_settings_of(pairs, data, overrides), overrides)
        return settings, split_matched(pairs, settings.data)

    def _of_arrays(self, overrides: Sequence[str]) -> tuple[Settings, Splits]:
        sides = self._sides()
        suggested = suggest_settings_of(make_pairs(*sides), overrides=overrides)
        settings = make_settings(suggested, overrides)
        settings_of(find("arrays"), settings.data)  # refuses what arrays do not read
        return settings, self._split(sides, settings.data)

    def _sides(self) -> tuple[Matrix, Matrix]:
        """Arrays in memory, with pairs of rows laid together."""
        if self.x is None or self.y is None:
            raise SettingsError("give x and y, pairs=..., or settings")
        sides = _side(self.x, "x"), _side(self.y, "y")
        if self.pairs is not None:
            return laid_together(*sides, self.pairs)
        if sides[0].rows is None or sides[1].rows is None:
            warn_of_indexes(self.x, self.y, ("x", "y"))
        return sides

    def _split(self, sides: tuple[Matrix, Matrix], data: DataSettings) -> Splits:
        by_rows = sides[0].rows is not None and sides[1].rows is not None
        return split_rows(*sides, data, self._columns(by_rows))

    def again(self, settings: Settings) -> Splits:
        """The pairs in memory that a run was fitted on, split as they were.

        Raises:
            SettingsError: They are files, which settings name; or as `settle`.
            DataError: They do not fit.
        """
        data = settings.data
        if any(map(is_paths, (self.x, self.y, self.pairs, self.cells))):
            raise SettingsError("x and y: take samples in memory; a run knows its files itself")
        if (data.name == "omics") != (self.cells is not None):
            held = "cells" if data.name == "omics" else "samples x and y"
            raise SettingsError(f"the run was fitted on {held} in memory; give these")
        if self.cells is not None:
            return split_matched(read_omics(self.cells, data), data)
        return self._split(self._sides(), data)


def _suggested(x: Any, y: Any, pairs: Any, overrides: Sequence[str]) -> Settings:
    return make_settings(suggest_settings(x, y, pairs, overrides), overrides)


def _one(given: Any, named: Any, name: str) -> Any:
    if given is not None and named is not None:
        raise SettingsError(f"{name} is given twice, by position and by name")
    return named if given is None else given


def _is_settings_file(value: Any) -> bool:
    return isinstance(value, str | Path) and Path(value).suffix == ".toml"


def _side(values: Any, name: str) -> Matrix:
    """Samples in memory; rows and columns of a data frame keep their names if these are text."""
    if is_cells(values):
        with open_cells(values) as cells:
            return read_place(cells, find_place(cells, "", name))
    if is_sparse(values):
        return make_matrix(values, place=name)
    array, columns = as_array(values), column_names(values)
    rows = row_names(values)
    return make_matrix(array, rows, columns, name) if rows else Matrix(array, None, columns, name)


def override_texts(values: Any) -> list[str]:
    """A dictionary of settings by full name, or by section, as `make_settings` takes them.

    None turns off what is off by default, as `training.patience`; any other setting stays as it is.
    Numbers of NumPy and paths are taken as numbers and texts.

    >>> override_texts({"training.epochs": 3, "objective": {"x": {"kind": "normal"}}})
    ['training.epochs=3', 'objective.x.kind="normal"']
    """
    if not isinstance(values, Mapping | None):
        raise SettingsError(f"settings: expected a dictionary, given {values!r}")
    texts: list[str] = []
    for name, value in (values or {}).items():
        if name in SECTIONS and not isinstance(value, Mapping):
            raise SettingsError(f"settings: {name} = {value!r}: {name} is a section, not a setting")
        if isinstance(value, Mapping):
            texts += override_texts({f"{name}.{key}": one for key, one in value.items()})
        elif value is not None or name in none_by_default():
            texts.append(override_text(name, _plain(value)))
    return texts


def settings_elsewhere(settings: Settings) -> dict[str, Any]:
    """Those of a run that were set, for other data: without the data and its columns."""
    known = settings.model_dump(exclude_unset=True)
    own = {"name", "x", "y", "root", "columns", "covariates", "names"}
    known["data"] = {k: v for k, v in known.get("data", {}).items() if k not in own}
    return {name: value for name, value in known.items() if name in SECTIONS}


def both_overrides(settings: Mapping[str, Any] | None, named: Mapping[str, Any]) -> list[str]:
    """`override_texts` of settings by full name, and of those by the last part of theirs.

    Raises:
        SettingsError: As `full_names`; or a setting is given in both ways.
    """
    in_full, by_last = override_texts(settings), override_texts(full_names(named))
    twice = {text.partition("=")[0] for text in in_full} & {t.partition("=")[0] for t in by_last}
    if twice:
        raise SettingsError(f"{min(twice)} is given twice, in settings and by its last name")
    return [*in_full, *by_last]


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def full_names(named: Mapping[str, Any]) -> dict[str, Any]:
    """Full names of settings given by the last part of theirs; `batch` and `seed` are training's.

    Raises:
        SettingsError: Several settings have that name.
    """
    known = [name for name, *_ in describe_settings()]
    full: dict[str, Any] = {}
    for short, value in named.items():
        matches = [name for name in known if name.rpartition(".")[2] == short]
        if f"training.{short}" in matches:
            matches = [f"training.{short}"]
        if len(matches) > 1:
            raise SettingsError(
                f"{short} is the name of several settings: {', '.join(matches)}; give the one you "
                f"mean as settings={{'{matches[0]}': {value!r}}}"
            )
        full[matches[0] if matches else short] = value
    return full
