"""Short copies of a run, trained on its pairs as they are and on shuffled ones."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from iiae.data import Splits
from iiae.model.iiae import IIAE
from iiae.settings import Settings

if TYPE_CHECKING:
    from iiae.results import NullRuns


def train_shuffled(
    settings: Settings, data: Splits, split: str, copies: int, epochs: int | None = None
) -> NullRuns:
    """What `iiae.evidence.null.train_null` measures of a run.

    Args:
        settings: Of the run.
        data: Its pairs.
        split: "test" or "validation".
        copies: Number of copies to train on shuffled pairs.
        epochs: Of each copy; a tenth of the run's by default.
    """
    from iiae import training
    from iiae.evidence.null import train_null

    epochs = epochs or max(1, round(settings.training.epochs / 10))
    shorter = settings.training.model_copy(update={"epochs": epochs})
    short = settings.model_copy(update={"training": shorter})

    def train(pairs: Splits) -> IIAE:
        with tempfile.TemporaryDirectory(prefix="iiae-null-") as folder:
            return training.fit(short, folder, pairs, progress=False).model

    return train_null(train, data, split, copies, epochs, settings.evaluation)
