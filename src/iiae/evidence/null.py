"""What training finds where there is nothing: short copies of a run on shuffled pairs."""

from __future__ import annotations

from collections.abc import Callable

from iiae.data.base import PairSet, ShuffledPairs, Splits
from iiae.data.classes.pairs import ClassPairs
from iiae.data.missing import PartialPairs
from iiae.errors import DataError
from iiae.evidence.information import information_terms
from iiae.evidence.matching import match_held_out
from iiae.model.iiae import IIAE
from iiae.results import NullCopy, NullRuns
from iiae.settings import EvaluationSettings


def train_null(
    train: Callable[[Splits], IIAE],
    data: Splits,
    split: str,
    copies: int,
    epochs: int,
    settings: EvaluationSettings,
) -> NullRuns:
    """One training on the pairs as they are, `copies` on shuffled ones, all measured alike.

    Partners are shuffled within the training, the validation and the test part. The p-values
    compare like with like: all trainings are of the same length and differ in their pairs alone.

    Args:
        train: Trains a model on pairs.
        data: The pairs as they are.
        split: "test" or "validation": the pairs to measure.
        copies: Number of shufflings.
        epochs: That `train` takes, for the record.
        settings: Batch and random seed; shuffling i has the seed + i.

    Raises:
        DataError: The pairs cannot be shuffled: they are made of classes, or some lack a partner.
    """
    for part in data:
        _check(part)
    worlds = [data, *(_shuffled(data, settings.seed + i) for i in range(1, copies + 1))]
    real, *shuffled = (_measured(train(world), world, split, settings) for world in worlds)
    return NullRuns(epochs, real, shuffled)


def _check(pairs: PairSet) -> None:
    if isinstance(pairs, ClassPairs | PartialPairs):
        kind = "are made of classes" if isinstance(pairs, ClassPairs) else "lack partners in part"
        raise DataError(f"the pairs {kind}, so that a null of shuffled pairs is not defined")


def _shuffled(data: Splits, seed: int) -> Splits:
    return Splits(*(ShuffledPairs(part, 3 * seed + i) for i, part in enumerate(data)))


def _measured(model: IIAE, data: Splits, split: str, settings: EvaluationSettings) -> NullCopy:
    matching = match_held_out(model, data, split, settings)
    pairs: PairSet = getattr(data, split)
    terms = information_terms(model, pairs, settings.batch, settings.seed)
    return NullCopy(matching.nats.value, matching.recall, terms.interaction_lower.value)
