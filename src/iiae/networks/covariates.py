"""Covariates of samples, such as the batch, as columns that networks take."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from iiae.errors import DataError, first_five

KINDS = ("categorical", "continuous")
ADVICE = ": a value for all samples or one for each; those of cells are columns of their obs"


class Covariate(NamedTuple):
    """One covariate: its levels, or the mean and deviation of numbers where it has none."""

    name: str
    levels: tuple[str, ...] = ()
    mean: float = 0.0
    deviation: float = 1.0

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.levels) or 1

    def columns(self, values: Any, rows: int, places: np.ndarray | None = None) -> np.ndarray:
        """One-hot, or in units of the deviation, `(rows, width)`.

        Raises:
            DataError: As `Covariates.encode`.
        """
        kind = "categorical" if self.levels else "continuous"
        array = _checked(self.name, np.atleast_1d(as_column(values)), kind, places)
        if len(array) not in (1, rows):
            raise DataError(
                f"covariate {self.name} has {len(array)} values for {rows} samples; give one for "
                "all or one for each"
            )
        array = np.broadcast_to(array, rows)
        if not self.levels:
            return ((array - self.mean) / self.deviation)[:, None]
        unknown = sorted(set(array.tolist()) - set(self.levels))
        if unknown:
            raise DataError(
                f"covariate {self.name}: {first_five(unknown)} occurs in no training pair; its "
                f"levels are {', '.join(self.levels)}"
            )
        return array[:, None] == np.array(self.levels)


class Covariates(NamedTuple):
    """The covariates of a model, in the order of its columns; empty if it takes none."""

    each: tuple[Covariate, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.each)

    @property
    def width(self) -> int:
        """Number of columns of all of them."""
        return sum(one.width for one in self.each)

    def encode(
        self, values: Mapping[str, Any], rows: int, places: np.ndarray | None = None
    ) -> Float[Tensor, "rows columns"]:
        """Columns for networks: a column a level, or numbers in units of their deviation.

        Args:
            values: Of each covariate by name, one for all samples or one for each.
            rows: Number of samples.
            places: Rows of the data that these are, for messages; by default theirs from 0.

        Raises:
            DataError: A covariate is missing, unknown or of another length; a level occurs in no
                training pair; or a number is not finite.
        """
        if set(values) != set(self.names):
            raise DataError(
                f"covariates given: {', '.join(sorted(values)) or 'none'}; the model takes "
                f"{', '.join(self.names) or 'none'}{self._difference(values)}"
            )
        columns = [one.columns(values[one.name], rows, places) for one in self.each]
        return torch.from_numpy(np.concatenate(columns, 1).astype(np.float32))

    def decode(self, columns: Float[Tensor, "rows columns"]) -> list[dict[str, str | float]]:
        """What `encode` was given, of each row; numbers to six digits."""
        rows: list[dict[str, str | float]] = [{} for _ in columns]
        first = 0
        for one in self.each:
            part = columns[:, first : first + one.width]
            first += one.width
            for row, values in zip(rows, part, strict=True):
                number = one.mean + one.deviation * float(values[0])
                known = one.levels[int(values.argmax())] if one.levels else float(f"{number:.6g}")
                row[one.name] = known
        return rows

    def _difference(self, given: Mapping[str, Any]) -> str:
        """What is missing, and what is unknown, of names given."""
        unknown = [name for name in sorted(given) if name not in self.names]
        close = [difflib.get_close_matches(name, self.names, 1) for name in unknown]
        if self.names and unknown and close[0]:
            return f"; {unknown[0]} is none of them, did you mean {close[0][0]}?"
        return ADVICE if set(self.names) - set(given) else ""

    def to_json(self) -> str:
        """All of them as text."""
        return json.dumps(self.each)

    @classmethod
    def from_json(cls, text: str) -> Covariates:
        """What `to_json` wrote."""
        rows = json.loads(text)
        return cls(tuple(Covariate(name, tuple(levels), *rest) for name, levels, *rest in rows))


def learn_covariates(
    named: Sequence[str], columns: Mapping[str, np.ndarray], rows: np.ndarray | None = None
) -> Covariates:
    """The covariates of training pairs.

    Text, truth values and whole numbers are categories, other numbers are continuous;
    `name:categorical` and `name:continuous` say otherwise.

    Args:
        named: Names of columns.
        columns: Of the training pairs, a value a pair.
        rows: Of the data that these pairs are, for messages; by default theirs from 0.

    Raises:
        DataError: A column is missing, lacks a value, has one level, or has a level a pair.
    """
    return Covariates(tuple(_learn(*_split(name), columns, rows) for name in named))


def plain_name(name: str) -> str:
    """The name of a column, without its kind."""
    return _split(name)[0]


def _split(name: str) -> tuple[str, str]:
    plain, _, kind = name.rpartition(":")
    return (plain, kind) if plain and kind in KINDS else (name, "")


def _learn(
    name: str, kind: str, columns: Mapping[str, np.ndarray], rows: np.ndarray | None
) -> Covariate:
    if name not in columns:
        raise DataError(
            f"data.covariates: {name} is no column of the data; it has "
            f"{', '.join(sorted(columns)) or 'none'}"
        )
    values = as_column(columns[name])
    categorical = kind == "categorical" if kind else values.dtype.kind != "f"
    values = _checked(name, values, "categorical" if categorical else "continuous", rows)
    levels = np.unique(values)
    if len(levels) == 1:
        raise DataError(f"covariate {name} is {levels[0]} in every training pair; leave it out")
    if not categorical:
        return Covariate(name, (), float(values.mean()), float(values.std()))
    if len(levels) == len(values):
        raise DataError(
            f"covariate {name} has a level for each training pair, of which nothing can be "
            f"learned; leave it out, or give numbers as {name}:continuous"
        )
    return Covariate(name, tuple(levels.tolist()))


def as_column(values: Any) -> np.ndarray:
    """Values as an array; those of a data frame's column too."""
    return values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)


def _checked(
    name: str, values: np.ndarray, kind: str, rows: np.ndarray | None = None
) -> np.ndarray:
    """One value a row: text, or finite numbers.

    Raises:
        DataError: They are not.
    """
    if values.ndim != 1:
        raise DataError(f"covariate {name} has shape {values.shape}; give one value a pair")
    if kind == "continuous":
        try:
            numbers = values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"covariate {name}: holds text, not numbers: {error}") from error
        missing = ~np.isfinite(numbers)
    else:
        missing = np.array([value != value or value is None or value == "" for value in values])
        numbers = np.array([_text(value) for value in values.tolist()], dtype=np.str_)
    if missing.any():
        bad = np.flatnonzero(missing)
        some = first_five((bad if rows is None else np.sort(rows[bad])).tolist())
        raise DataError(f"covariate {name}: no value in row {some}; leave those rows out")
    return numbers


def _text(value: Any) -> str:
    """2 and 2.0 are one level."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
