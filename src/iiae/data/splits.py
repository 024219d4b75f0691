"""Disjoint index sets."""

from __future__ import annotations

import numpy as np

from iiae.errors import DataError


def held_out(pairs: int, validation: int, test: int, seed: int) -> tuple[np.ndarray, ...]:
    """Train, validation and test indices of `pairs` shuffled pairs, each sorted.

    Raises:
        DataError: Nothing would be left to train on.
    """
    if validation + test > pairs - 2:
        raise DataError(
            f"{pairs} pairs cannot give {validation} for validation and {test} for testing: "
            "at least 2 must be left to train on; lower data.validation or data.test"
        )
    order = np.random.default_rng(seed).permutation(pairs)
    parts = np.split(order, [pairs - validation - test, pairs - test])
    return tuple(np.sort(part) for part in parts)
