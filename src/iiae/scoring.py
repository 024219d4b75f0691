"""Category retrieval of vectors in files; no model needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from iiae.data.arrays import read_array
from iiae.errors import DataError
from iiae.metrics.ranking import score


def score_files(
    query: Path,
    gallery: Path,
    query_labels: Path,
    gallery_labels: Path,
    ks: tuple[int, ...],
    distance: str,
) -> dict[str, Any]:
    """`iiae.metrics.ranking.score` of array files, as plain values.

    Args:
        query: `.npy`, `(queries, size)`.
        gallery: `.npy`, `(items, size)`.
        query_labels: `.npy` of numbers or text, or a text file with a line a query.
        gallery_labels: The same, a line an item.
        ks: Cut-offs.
        distance: cosine, euclidean or hamming.

    Raises:
        DataError: A file cannot be read, or they do not fit each other.
    """
    if any(k < 1 for k in ks):
        raise DataError(f"a cut-off is a number of items, at least 1; given {min(ks)}")
    found = score(
        read_array(query),
        read_array(gallery),
        read_labels(query_labels),
        read_labels(gallery_labels),
        ks,
        distance,  # pyright: ignore[reportArgumentType]
    )
    plain = found._asdict()
    del plain["per_query"]
    return plain


def read_labels(path: Path) -> np.ndarray:
    """Labels of an `.npy` file of numbers or text, or of a text file, one a line.

    Raises:
        DataError: The file is missing, damaged or holds Python objects.
    """
    if path.suffix == ".npy":
        return read_array(path, kinds="buifUS")
    try:
        return np.array(path.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: neither .npy nor text, a label a line") from error
