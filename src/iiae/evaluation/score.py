"""Category retrieval of vectors in files; no model needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from iiae.errors import DataError
from iiae.files.arrays import read_array, read_texts
from iiae.files.atomic import read_lines
from iiae.files.folders import same_name
from iiae.metrics.ranking import Scores, score


def score_files(
    query: Path,
    gallery: Path,
    query_labels: Path,
    gallery_labels: Path,
    ks: tuple[int, ...],
    distance: str,
) -> Scores:
    """`iiae.metrics.ranking.score` of array files, without the values of each query.

    Args:
        query: `.npy`, `(queries, size)`.
        gallery: `.npy`, `(items, size)`.
        query_labels: `.npy` of numbers or text, or a text file, one line per query; labels are
            compared as text, see `read_labels`.
        gallery_labels: The same, one line per item.
        ks: Cut-offs.
        distance: cosine, euclidean or hamming.

    Raises:
        DataError: A file cannot be read, or they do not fit each other.
    """
    if any(k < 1 for k in ks):
        raise DataError(f"a cut-off is a number of items, at least 1; given {min(ks)}")
    labels = read_labels(query_labels), read_labels(gallery_labels)
    _check_common(*labels)
    scores = score(read_array(query), read_array(gallery), *labels, ks, distance)  # pyright: ignore[reportArgumentType]
    return scores._replace(per_query={})


def read_labels(path: Path) -> np.ndarray:
    """Labels as text, of an `.npy` file of numbers or text, or of a text file, one per line.

    Whole numbers of an array are spelled without a decimal point, so that 1 and 1.0 are the 1 of a
    text file; 1.0 in a text file is another label. Blanks around a label are no part of it.

    Raises:
        DataError: The file is missing, damaged or holds Python objects, or a label is empty.
    """
    is_array = path.suffix.lower() == ".npy"
    texts = read_texts(path, kinds="buifUS") if is_array else read_lines(path)
    labels = [same_name(text.strip()) for text in texts]
    if "" in labels:
        row = labels.index("")
        where = f"row {row}" if is_array else f"line {row + 1}"
        raise DataError(f"{path}: {where} is empty; each item needs a label")
    return np.array(labels, dtype=np.str_)


def _check_common(queries: np.ndarray, items: np.ndarray) -> None:
    """Raises DataError, with an example of each side, if no label is on both sides."""
    if len(queries) and len(items) and not np.isin(queries, items).any():
        raise DataError(
            f"no query has a relevant item: no label is on both sides; a query is labelled "
            f"{str(queries[0])[:50]!r}, an item {str(items[0])[:50]!r}"
        )
