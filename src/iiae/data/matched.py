"""Pairs of rows of two matrices, matched by name or by position; sparse until the batch."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from iiae.data.base import Factor, PairSet, Splits
from iiae.data.missing import PartialPairs, Sides
from iiae.data.splits import PairKeys, content_names, pair_keys, split_pairs
from iiae.errors import DataError, first_five
from iiae.files.matrices import (
    Matrix,
    check_finite,
    is_counts,
    is_sparse,
    measured_rows,
    row_sums,
)
from iiae.settings import DataSettings
from iiae.types import Draw, Pair

NONE = -1  # row of a missing side
RARE = "(rare)"  # the class of what has one pair in some part

log = logging.getLogger("iiae")


class MatchedPairs(PairSet):
    """Rows of two matrices; a row is made dense, in float32, when a batch takes it.

    Args:
        x: Matrix of x.
        y: Matrix of y.
        index: Row of x and of y of each pair, `(pairs, 2)`; -1 where there is none, for which
            `pairs` returns some other row.
        identity: Hashes of the pairs.
        known: Factors with a value per pair.
    """

    def __init__(
        self,
        x: Matrix,
        y: Matrix,
        index: np.ndarray,
        identity: PairKeys,
        known: Mapping[str, Factor] | None = None,
    ):
        self.x, self.y, self.index, self.known = x, y, index, dict(known or {})
        self.identity, self.keys, self.places = identity, identity.own, index.max(1)
        self.shapes = ((x.values.shape[1],), (y.values.shape[1],))
        self.features = (x.columns, y.columns)
        self.annotations = {name: factor.values for name, factor in self.known.items()}

    def __len__(self) -> int:
        return len(self.index)

    @property
    def complete(self) -> int:
        """Number of pairs that have both."""
        return int((self.index != NONE).all(1).sum())

    def pairs(self, draw: Draw) -> Pair:
        rows = self.index[draw.indices.numpy()]
        rows = np.where(rows == NONE, self.index.max(0), rows)
        return Pair(
            torch.from_numpy(self.x.take(rows[:, 0])), torch.from_numpy(self.y.take(rows[:, 1]))
        )

    def factors(self) -> dict[str, Factor]:
        return self.known

    def at(self, chosen: np.ndarray) -> MatchedPairs:
        """Some of the pairs."""
        known = {name: f._replace(values=f.values[chosen]) for name, f in self.known.items()}
        some = MatchedPairs(self.x, self.y, self.index[chosen], self.identity.at(chosen), known)
        some.annotations = {name: values[chosen] for name, values in self.annotations.items()}
        return some

    def content(self) -> Iterator[bytes]:
        for side, rows in zip((self.x, self.y), self.index.T, strict=True):
            for part in np.array_split(rows, max(1, len(rows) // 1024)):
                yield side.take(np.maximum(part, 0)).tobytes()


def match_rows(
    x: Matrix, y: Matrix, keep_lone: bool = False
) -> tuple[np.ndarray, list[str] | None]:
    """Rows of x and of y of each pair, `(pairs, 2)`, and the names they were matched by.

    Rows are matched by name if both matrices have names, else row i is matched with row i.

    Args:
        x: Matrix of x.
        y: Matrix of y.
        keep_lone: Keep rows whose partner is missing, with -1 for it; else they are left out.

    Raises:
        DataError: No name is shared, or without names the numbers of rows differ.
    """
    if x.rows is None or y.rows is None:
        count, others = x.values.shape[0], y.values.shape[0]
        if count != others:
            raise DataError(
                f"{x.place} has {count:,} samples and {y.place} has {others:,}; row i of one must "
                "match row i of the other"
            )
        return np.repeat(np.arange(count)[:, None], 2, 1), None
    place = {name: i for i, name in enumerate(y.rows)}
    shared = [name for name in x.rows if name in place]
    if not shared:
        raise DataError(
            f"{x.place} and {y.place} share no name of a row: {first_five(x.rows)}; and "
            f"{first_five(y.rows)}"
        )
    lone = (len(x.rows) - len(shared), len(y.rows) - len(shared))
    if any(lone):
        log.warning(
            "%d rows are in both %s and %s; %d are in the first alone and %d in the second, and "
            "are %s",
            len(shared), x.place, y.place, *lone,
            "trained on without their partner" if keep_lone else "left out",
        )  # fmt: skip
    of_x = {name: i for i, name in enumerate(x.rows)}
    names = list(dict.fromkeys([*x.rows, *y.rows])) if keep_lone else shared
    index = np.array([(of_x.get(name, NONE), place.get(name, NONE)) for name in names])
    return index, names


def make_matched(
    x: Matrix, y: Matrix, keep_lone: bool = False
) -> tuple[MatchedPairs, list[str] | None]:
    """Pairs of two matrices, and their names; cells without a single count are left out.

    A row of a dense matrix that is NaN throughout is one that was not measured.

    Raises:
        DataError: As `match_rows`; a value is NaN, infinite or too large for float32.
    """
    index, names = match_rows(x, y, keep_lone)
    for side, matrix in enumerate((x, y)):
        if not keep_lone:
            check_finite(matrix)
            continue
        measured = measured_rows(matrix)
        index[~measured[np.maximum(index[:, side], 0)], side] = NONE
    kept = _counted(x, y, index)
    index = index[kept]
    if names is not None:
        names = [names[i] for i in kept]
        return MatchedPairs(x, y, index, pair_keys(names, names)), names
    held = (_row_names(m, rows) for m, rows in zip((x, y), index.T, strict=True))
    return MatchedPairs(x, y, index, pair_keys(*held)), None


def _counted(x: Matrix, y: Matrix, index: np.ndarray) -> np.ndarray:
    """Numbers of the pairs of which no side is counts that are all 0."""
    good = (index != NONE).any(1)
    for side, matrix in enumerate((x, y)):
        there = index[:, side] != NONE
        empty = row_sums(matrix)[np.maximum(index[:, side], 0)] == 0
        if not (there & empty).any() or not is_counts(matrix):
            continue
        rows = index[there & empty, side].tolist()
        log.warning(
            "%s: %d cells without a single count are left out: %s",
            matrix.place, len(rows), first_five([matrix.row(i) for i in rows]),
        )  # fmt: skip
        good &= ~(there & empty)
    return np.flatnonzero(good)


def split_matched(pairs: MatchedPairs, settings: DataSettings) -> Splits:
    """Training, validation and test pairs, chosen by the names of the rows or by their content.

    Rows without a partner are trained on.

    Raises:
        DataError: There are too few pairs.
    """
    complete = np.flatnonzero((pairs.index != NONE).all(1))
    keys = pairs.identity.at(complete)
    parts = split_pairs(keys, settings, pairs.x.place)
    train, validation, test = (complete[part] for part in parts)
    pairs = _without_rare(pairs, (train, validation, test))
    lone = np.setdiff1d(np.arange(len(pairs)), complete)
    chosen = pairs.at(np.concatenate([train, lone]))
    return Splits(_part_paired(chosen) if len(lone) else chosen, *map(pairs.at, (validation, test)))


def _without_rare(pairs: MatchedPairs, parts: Sequence[np.ndarray]) -> MatchedPairs:
    """The same pairs, with the classes of a factor that have one pair in some part as one class.

    From a single pair nothing can be read. Annotations keep the classes.
    """
    merged = pairs.at(np.arange(len(pairs)))
    for name, factor in pairs.known.items():
        if factor.kind != "categorical":
            continue
        classes, number = np.unique(factor.values, return_inverse=True)
        counts = np.array([np.bincount(number[part], minlength=len(classes)) for part in parts])
        rare = (counts == 1).any(0)
        while rare.any() and not rare.all() and (counts[:, rare].sum(1) == 1).any():
            rare[np.where(rare, counts.max() + 1, counts.min(0)).argmin()] = True
        if rare.all():
            del merged.known[name]
        elif rare.any():
            values = np.where(rare[number], RARE, factor.values)
            merged.known[name] = factor._replace(values=values)
            log.info(
                "%s: %d of %d classes have one pair in a part of the data, or few, and are read "
                "as one class, %s", name, rare.sum(), len(classes), RARE,
            )  # fmt: skip
    return merged


def _part_paired(pairs: MatchedPairs) -> PartialPairs:
    has_x, has_y = (pairs.index != NONE).T
    sides = np.where(has_x & has_y, Sides.BOTH, np.where(has_x, Sides.X, Sides.Y))
    return PartialPairs(pairs, sides)


def _row_names(matrix: Matrix, rows: np.ndarray) -> list[str]:
    """Each row by its content, so that equal rows have one name; each that is none by its place."""
    values = matrix.values
    there = rows[rows != NONE]
    if is_sparse(values):
        ends = zip(values.indptr[there], values.indptr[there + 1], strict=True)
        known = content_names((values.indices[a:b], values.data[a:b]) for a, b in ends)
    else:
        known = content_names([values[i]] for i in there)
    names = iter(known)
    return [f"none {i}" if row == NONE else next(names) for i, row in enumerate(rows.tolist())]
