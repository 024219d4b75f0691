"""What training recorded: its pairs, the names of their values, and its epochs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from iiae.data.base import Splits
from iiae.errors import RunError
from iiae.files.atomic import json_text, write_arrays, write_text
from iiae.files.optional import read_if_there, read_npz
from iiae.run_folder.names import FEATURES, HISTORY, PAIRS
from iiae.types import PerDomain

Features = PerDomain[list[str] | None]


class PairRecord(NamedTuple):
    """What a run was trained, validated and to be tested on, for one of the three sets.

    `members` are the identities of what was held out as one (pairs, classes or shards), empty if
    the set has none; `digest` tells the set from any other.
    """

    members: np.ndarray
    digest: str
    pairs: int


def save_pairs(folder: Path, splits: Splits) -> None:
    """Writes pairs.npz: which pairs train, validate and test, by hashes of their names or content.

    Raises:
        RunError: The folder cannot be written to.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, pairs in splits._asdict().items():
        arrays |= {name: pairs.members(), f"{name}_digest": np.array(pairs.digest())}
        arrays[f"{name}_pairs"] = np.array(len(pairs))
    write_arrays(folder / PAIRS, arrays)


def load_pairs(folder: str | Path) -> dict[str, PairRecord] | None:
    """What `save_pairs` wrote, by set; None if there is no such file.

    Raises:
        RunError: The file is damaged.
    """
    return read_if_there(Path(folder) / PAIRS, _read_pairs)


def _read_pairs(path: Path) -> dict[str, PairRecord]:
    held = read_npz(path)
    return {
        name: PairRecord(held[name], str(held[f"{name}_digest"]), int(held[f"{name}_pairs"]))
        for name in ("train", "validation", "test")
    }


def save_features(folder: Path, features: tuple[list[str] | None, list[str] | None]) -> None:
    """Writes features.json: names of the values of an x and of a y, if either has names.

    Raises:
        RunError: The folder cannot be written to.
    """
    if any(features):
        write_text(folder / FEATURES, json_text(dict(zip("xy", features, strict=True))) + "\n")


def load_features(folder: str | Path) -> Features:
    """What `save_features` wrote; None for a domain whose values have no names.

    Raises:
        RunError: The file is damaged.
    """
    path = Path(folder) / FEATURES
    if not path.is_file():
        return PerDomain(None, None)
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return PerDomain(held["x"], held["y"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged: {error}") from error


def save_history(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Writes history.csv: a row an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / HISTORY, text.getvalue())


def load_history(folder: Path) -> list[dict[str, float]]:
    """Rows of history.csv; none where there is no file."""
    path = folder / HISTORY
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
