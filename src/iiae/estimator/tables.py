"""Tables as scikit-learn users have them: names of columns, sparse rows."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import issparse

if TYPE_CHECKING:
    from iiae.estimator.transformer import IIAETransformer


def listed(names: np.ndarray | None) -> list[str] | None:
    """Names as a list, None if there are none."""
    return None if names is None else [str(name) for name in names]


def dense(table: Any) -> Any:
    """A sparse table as a dense one: standardised rows have no zeros to leave out."""
    return table.toarray() if issparse(table) else table


def check_columns(fitted: IIAETransformer, y: np.ndarray, names: list[str] | None) -> None:
    """Checks Y as scikit-learn checks X: the number of columns, their names and their order.

    Raises:
        ValueError: They are not those that it was fitted with.
    """
    known = listed(getattr(fitted, "feature_names_y_", None))
    if known is not None and names is not None and names != known:
        same = sorted(names) == sorted(known)
        raise ValueError(
            f"The columns of Y are {'in another order than' if same else 'not'} those that "
            f"`fit` was given: {', '.join(known[:5])}{', ...' if len(known) > 5 else ''}"
        )
    if (known is None) != (names is None):
        there, then = ("no names", "with names") if names is None else ("names", "without")
        warnings.warn(f"Y has {there}, but {type(fitted).__name__} was fitted {then}", stacklevel=4)
    if y.shape[1] != fitted.n_features_y_:
        raise ValueError(f"Y has {y.shape[1]} features; it was fitted with {fitted.n_features_y_}")
