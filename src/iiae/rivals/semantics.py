"""What rivals know of classes beyond their items: word vectors and WordNet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from iiae.errors import DataError
from iiae.files.arrays import array_names, read_array, read_texts


class Semantics(NamedTuple):
    """One row per class.

    `words` have length 1. `similarity` is the WordNet path similarity of a class to each ancestor
    node, in (0, 1]; `above` marks the nodes that are above the class (or its own). Both are None
    if there is no WordNet.
    """

    classes: tuple[str, ...]
    words: Float[np.ndarray, "classes k"]
    similarity: Float[np.ndarray, "classes nodes"] | None = None
    above: Bool[np.ndarray, "classes nodes"] | None = None

    def of(self, classes: Iterable[str]) -> Semantics:
        """Rows of some classes, with those ancestor nodes only that are above one of them.

        Raises:
            DataError: A class has no semantics (named).
        """
        wanted = tuple(classes)
        position = {name: i for i, name in enumerate(self.classes)}
        _refuse_missing([name for name in wanted if name not in position])
        rows = [position[name] for name in wanted]
        if self.similarity is None or self.above is None:
            return Semantics(wanted, self.words[rows])
        above = self.above[rows]
        kept = above.any(0)
        return Semantics(wanted, self.words[rows], self.similarity[rows][:, kept], above[:, kept])


def read_semantics(path: str | Path, classes: Iterable[str]) -> Semantics:
    """Semantics of the SEEN classes from an `.npz`; nothing of other classes is kept.

    The file holds `classes`, `word_vectors` `(classes, k)` and, optionally, `path_to_ancestors` and
    `ancestors`, both `(classes, nodes)`.

    Raises:
        DataError: The file cannot be read, its arrays do not fit each other, or a class has no
            semantics, no finite word vector or one that is all zeros (named).
    """
    path = Path(path)
    names = read_texts(path, "classes")
    arrays = _read(path, len(names))
    position = {name: i for i, name in enumerate(names)}
    wanted = tuple(sorted(set(classes)))
    _refuse_missing([name for name in wanted if name not in position])
    rows = [position[name] for name in wanted]
    words = word_vectors(dict(zip(wanted, arrays["word_vectors"][rows], strict=True)))
    if "ancestors" not in arrays:
        return Semantics(wanted, words)
    similarity, above = arrays["path_to_ancestors"][rows], arrays["ancestors"][rows]
    return Semantics(wanted, words, similarity.astype(float), above.astype(bool)).of(wanted)


def _read(path: Path, classes: int) -> dict[str, np.ndarray]:
    """Arrays with a row per class; those of WordNet if the file has them."""
    wordnet = ("path_to_ancestors", "ancestors")
    keys = ("word_vectors", *wordnet) if wordnet[0] in array_names(path) else ("word_vectors",)
    arrays = {key: read_array(path, key) for key in keys}
    for key, values in arrays.items():
        if values.ndim != 2 or len(values) != classes:
            raise DataError(
                f"{path}: {key} has shape {values.shape}; expected ({classes}, size), a row for "
                "each of its classes"
            )
    shapes = [arrays[key].shape for key in wordnet if key in arrays]
    if len(set(shapes)) > 1:
        raise DataError(
            f"{path}: path_to_ancestors has shape {shapes[0]} and ancestors {shapes[1]}; they must "
            "be equal"
        )
    return arrays


def word_vectors(vectors: Mapping[str, Sequence[float] | np.ndarray]) -> np.ndarray:
    """The word vectors of classes as rows of length 1, in the order of `vectors`.

    Raises:
        DataError: Vectors differ in width, are not finite or are all zeros; the class is named.
    """
    rows = {name: np.asarray(vector, float).ravel() for name, vector in vectors.items()}
    if not rows:
        raise DataError("no class has a word vector")
    first, width = next((name, len(row)) for name, row in rows.items())
    for name, row in rows.items():
        if len(row) != width:
            raise DataError(
                f"word vectors must have one width: that of {first} is {width} wide, that of "
                f"{name} {len(row)}"
            )
        if not np.isfinite(row).all() or not row.any():
            raise DataError(f"the word vector of {name} is all zeros or not finite")
    return np.stack([row / np.linalg.norm(row) for row in rows.values()])


def _refuse_missing(names: Sequence[str]) -> None:
    if names:
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        raise DataError(f"no semantics for class {', '.join(names[:5])}{more}")
