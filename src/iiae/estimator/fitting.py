"""What the parameters of the estimator mean to `iiae.training.fit`: settings and pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from iiae.data.arrays import ArrayPairs
from iiae.data.base import Splits
from iiae.data.splits import held_out
from iiae.settings import Settings, make_settings

if TYPE_CHECKING:
    from iiae.estimator.transformer import IIAETransformer

TITLE = "fitted by iiae.estimator.IIAETransformer, on standardised features"


def split_pairs(x: np.ndarray, y: np.ndarray, share: float, seed: int) -> Splits:
    """Pairs to train on, and a share of them to choose the best epoch."""
    held = min(len(x) - 2, max(1, round(share * len(x))))
    train, validation, _ = held_out(len(x), held, 0, seed)
    kept = ArrayPairs(x[validation], y[validation])
    return Splits(ArrayPairs(x[train], y[train]), kept, kept)


def settings_of(estimator: IIAETransformer, seed: int) -> Settings:
    """All settings of a run, of which the parameters are some.

    Raises:
        SettingsError: A parameter is outside its range.
    """
    given = estimator.get_params()

    def chosen(*names: str) -> dict[str, object]:
        return {name: given[name] for name in names}

    likelihood = {"kind": "normal", **chosen("weight")}
    training = {**chosen("epochs", "batch", "learning_rate"), "checkpoint_seconds": 1e9}
    return make_settings(
        {
            "title": TITLE,
            "data": {"name": "arrays", "seed": seed},
            "model": {"family": "features", **chosen("shared", "exclusive", "width")},
            "objective": {**chosen("beta", "lam", "tau"), "x": likelihood, "y": likelihood},
            "training": {**training, "seed": seed},
        },
        source="IIAETransformer",
    )
