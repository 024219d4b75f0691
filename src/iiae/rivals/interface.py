"""What a user of rivals holds: a training set, a method, and what it has learned.

    fitted = SAE.fit(train, read_semantics("semantics.npz", train.classes), seed=0)
    score(fitted.embed_x(x), fitted.embed_y(y), x_labels, y_labels, distance=fitted.distance)

A query or an item is embedded from its feature alone.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from iiae.data.classes.instances import InstancePairs
from iiae.data.classes.pairs import ClassPairs
from iiae.errors import DataError, SettingsError
from iiae.hardware import bf16_pays
from iiae.metrics.distances import Distance
from iiae.rivals.semantics import Semantics
from iiae.types import Domain

WORDS, WORDNET = "word vectors", "WordNet"
ROWS = 2048  # embedded at once


class TrainingSet(NamedTuple):
    """Features of the seen classes in two domains, which may differ in width.

    `matches` are rows of x and of y that show one instance; None if that is not known.
    """

    x: Float[np.ndarray, "items_x size_x"]
    y: Float[np.ndarray, "items_y size_y"]
    labels_x: Shaped[np.ndarray, " items_x"]
    labels_y: Shaped[np.ndarray, " items_y"]
    matches: Int[np.ndarray, "pairs 2"] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({str(name) for name in self.labels_x}))

    @staticmethod
    def of(pairs: ClassPairs) -> TrainingSet:
        """The training part that `iiae.data.classes.zero_shot.load_classes` gives."""
        matches = pairs.matches.numpy() if isinstance(pairs, InstancePairs) else None
        x, y = (side.values.numpy() for side in (pairs.x, pairs.y))
        return TrainingSet(x, y, pairs.x.labels, pairs.y.labels, matches)


class Seen(NamedTuple):
    """A training set as methods take it: standardised, with classes as numbers.

    `words` `(classes, k)` and `similarity` `(classes, nodes)` have no column if the method does not
    use them or WordNet is not given.
    """

    x: Float[Tensor, "items_x size_x"]
    y: Float[Tensor, "items_y size_y"]
    class_x: Int[Tensor, " items_x"]
    class_y: Int[Tensor, " items_y"]
    words: Float[Tensor, "classes k"]
    similarity: Float[Tensor, "classes nodes"]
    matches: Int[Tensor, "pairs 2"] | None


class Maps(NamedTuple):
    """A trained method, on standardised features; `second` if it has a second reading."""

    x: Callable[[Tensor], Tensor]
    y: Callable[[Tensor], Tensor]
    distance: Distance = "cosine"
    second: Maps | None = None


class Scale(NamedTuple):
    """Means and standard deviations of the training part of one domain."""

    mean: Float[np.ndarray, " size"]
    deviation: Float[np.ndarray, " size"]

    @staticmethod
    def of(rows: np.ndarray) -> Scale:
        rows = rows.astype(np.float64)
        deviation = rows.std(0)
        constant = deviation <= 1e-6 * deviation.max()
        return Scale(rows.mean(0), np.where(constant, 1.0, deviation))

    def __call__(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy((rows - self.mean) / self.deviation).float()


@dataclass(frozen=True)
class Fitted:
    """A method with what it learned.

    `distance` is the method's own; `knowledge` names what it used beside features and classes of
    the training set; `second` is another embedding by the same training, None if there is none.
    """

    name: str
    maps: Maps
    scales: tuple[Scale, Scale]
    knowledge: tuple[str, ...]

    def embed_x(self, rows: Float[np.ndarray, "items size_x"]) -> Float[np.ndarray, "items size"]:
        """Embeddings of features of x, each on its own.

        Raises:
            DataError: Rows are not finite numbers, or of another width than in training.
        """
        return self._embed(rows, "x", self.maps.x, self.scales[0])

    def embed_y(self, rows: Float[np.ndarray, "items size_y"]) -> Float[np.ndarray, "items size"]:
        """As `embed_x`, of y."""
        return self._embed(rows, "y", self.maps.y, self.scales[1])

    @property
    def distance(self) -> Distance:
        return self.maps.distance

    @property
    def dimension(self) -> int:
        return self.embed_x(self.scales[0].mean[None]).shape[1]

    @property
    def second(self) -> Fitted | None:
        if self.maps.second is None:
            return None
        return Fitted(self.name, self.maps.second, self.scales, self.knowledge)

    def _embed(
        self, rows: np.ndarray, domain: Domain, to: Callable[[Tensor], Tensor], scale: Scale
    ) -> np.ndarray:
        _check_rows(rows, domain)
        if rows.shape[1] != len(scale.mean):
            raise DataError(
                f"features of {domain} are {rows.shape[1]} wide; {self.name} was fitted on "
                f"{len(scale.mean)}"
            )
        with torch.inference_mode():
            parts = [to(scale(rows[i : i + ROWS])).numpy() for i in range(0, len(rows), ROWS)]
        return np.concatenate(parts)


@dataclass(frozen=True)
class Rival:
    """A method of Table 3.

    `knowledge` names what it uses beside features and classes; `settings` is a frozen dataclass
    with a default for each of its settings; `mixed` lets its networks train in bfloat16 by
    autocast where a batch is computed faster so (`iiae.hardware.bf16_pays`).
    """

    name: str
    knowledge: tuple[str, ...]
    settings: type
    learn: Callable[[Seen, Any], Maps]
    mixed: bool = False

    def fit(
        self, train: TrainingSet, semantics: Semantics | None = None, seed: int = 0, **settings: Any
    ) -> Fitted:
        """Trains the method; the same seed gives the same numbers on the same machine.

        Features are standardised by the statistics of `train`. Of `semantics`, only the training
        classes are used, and only ancestors of theirs. PyTorch's own random state stays as it is.

        Args:
            train: Seen classes only.
            semantics: Needed if `knowledge` names word vectors; otherwise unused.
            seed: Of weights, batches and noise.
            settings: Fields of `self.settings` by name.

        Raises:
            DataError: Arrays do not fit each other, or semantics are missing (the class is named).
            SettingsError: A setting is unknown or out of range.
        """
        chosen = self._chosen(settings)
        _check(train)
        known = self._known(train, semantics)
        scales = Scale.of(train.x), Scale.of(train.y)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # a cache of casts would keep the weights of the first step
            with torch.autocast("cpu", torch.bfloat16, self._in_bf16(chosen), cache_enabled=False):
                maps = self.learn(_seen(train, scales, known), chosen)
        wordnet = known is not None and known.similarity is not None
        used = tuple(name for name in self.knowledge if name != WORDNET or wordnet)
        return Fitted(self.name, maps, scales, used)

    def _in_bf16(self, chosen: Any) -> bool:
        return self.mixed and bf16_pays(torch.device("cpu"), False, chosen.batch)

    def _known(self, train: TrainingSet, semantics: Semantics | None) -> Semantics | None:
        if not self.knowledge:
            return None
        if semantics is None:
            raise DataError(f"{self.name} needs {self.knowledge[0]} of the seen classes: semantics")
        return semantics.of(train.classes)

    def _chosen(self, values: dict[str, Any]) -> Any:
        defaults = {field.name: field.default for field in fields(self.settings)}
        for name, value in values.items():
            if name not in defaults:
                close = difflib.get_close_matches(name, defaults, 1) or list(defaults)
                has = f"has {', '.join(close)}" if close else "has no settings"
                raise SettingsError(f"{name} is not a setting of {self.name}, which {has}")
            whole = isinstance(defaults[name], int)
            if whole and not (isinstance(value, int) and value >= 1):
                raise SettingsError(f"{name} = {value!r}: must be a whole number from 1")
            if not (isinstance(value, int | float) and 0 <= value < math.inf):
                raise SettingsError(f"{name} = {value!r}: must be a number from 0")
        return self.settings(**values)


def _seen(train: TrainingSet, scales: tuple[Scale, Scale], known: Semantics | None) -> Seen:
    classes = train.classes
    numbers = [
        torch.from_numpy(np.searchsorted(classes, np.asarray(labels, str)))
        for labels in (train.labels_x, train.labels_y)
    ]
    none = np.zeros((len(classes), 0))
    words = none if known is None else known.words
    similarity = none if known is None or known.similarity is None else known.similarity
    return Seen(
        scales[0](train.x),
        scales[1](train.y),
        *numbers,
        words=torch.from_numpy(words).float(),
        similarity=torch.from_numpy(similarity).float(),
        matches=None if train.matches is None else torch.from_numpy(np.asarray(train.matches)),
    )


def _check(train: TrainingSet) -> None:
    sides = {"x": (train.x, train.labels_x), "y": (train.y, train.labels_y)}
    for domain, (rows, labels) in sides.items():
        _check_rows(rows, domain)
        if len(rows) != len(labels):
            raise DataError(f"{domain}: {len(rows):,} features and {len(labels):,} labels")
    names = [{str(name) for name in labels} for _, labels in sides.values()]
    if names[0] != names[1]:
        lone = ", ".join(sorted(names[0] ^ names[1])[:5])
        raise DataError(f"classes in one domain only: {lone}")
    if len(names[0]) < 2:
        raise DataError(f"{len(names[0])} class; at least 2 are needed")
    if train.matches is not None:
        _check_matches(train.matches, len(train.x), len(train.y))


def _check_matches(matches: np.ndarray, items_x: int, items_y: int) -> None:
    if matches.ndim != 2 or matches.shape[1] != 2 or len(matches) == 0:
        raise DataError(f"matches have shape {matches.shape}; expected (pairs, 2), not empty")
    if (matches < 0).any() or (matches >= (items_x, items_y)).any():
        raise DataError(f"matches name rows beyond the {items_x:,} of x and {items_y:,} of y")


def _check_rows(rows: np.ndarray, domain: str) -> None:
    if rows.ndim != 2 or rows.size == 0:
        raise DataError(f"features of {domain} have shape {rows.shape}; expected (items, size)")
    if rows.dtype.kind not in "iuf" or not np.isfinite(rows).all():
        raise DataError(f"features of {domain} must be finite numbers")
