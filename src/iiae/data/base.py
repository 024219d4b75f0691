"""What a data set of pairs is."""

from __future__ import annotations

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import chain
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from iiae.settings import DataSettings
from iiae.types import Context, Domain, Draw, Pair, PartialBatch

READ_BY_ALL = frozenset({"name", "names", "seed", "missing"})  # settings of every data set
DIGEST_PAIRS = 64  # hashed of a set that holds no tensors


B = TypeVar("B", Pair, PartialBatch)

log = logging.getLogger("iiae")


class Augment(Protocol):
    """Changes a training batch at random, by seed."""

    def __call__(self, batch: B, seed: int) -> B: ...


class Factor(NamedTuple):
    """A known cause of variation, for evaluation only: training never sees it.

    `values` is `(pairs,)`, or `(pairs, axes)` for a continuous factor of several axes;
    `block` names the latent that ought to hold it: none, if networks get it as a covariate.
    """

    values: np.ndarray
    kind: Literal["continuous", "categorical"]
    block: Literal["shared", "x", "y", "none"]

    @property
    def latent(self) -> str:
        """The latent that ought to hold it: z_s, z_x, z_y, or none."""
        return {"shared": "z_s", "none": "none"}.get(self.block, f"z_{self.block}")


class PairSet(ABC):
    """Pairs that can be drawn in any order.

    `shapes` are those of one x and one y, without the batch axis. `tensor_names` are the attributes
    that are tensors with one row per pair, or None: `pairs` picks rows from them; empty if pairs
    are read from disk. `keys` are the identities of the pairs, by which they are held out and
    recognised later; None if the set has none. `features` are the names of the values of an x and
    of a y, None if they have none. `of_bytes` is true if images have 8 bits per channel.
    `augment` changes a batch to train on, by the seed of its draw. `annotations` are columns of
    numbers or texts by name, one row per pair: covariates, and library sizes `size_x`, `size_y`.
    `places` are the rows of the data that the pairs are, if they are known.
    """

    shapes: tuple[Sequence[int], Sequence[int]]
    tensor_names: tuple[str, ...] = ()
    keys: np.ndarray | None = None
    features: tuple[list[str] | None, list[str] | None] = (None, None)
    of_bytes: bool = True
    augment: Augment | None = None
    annotations: Mapping[str, np.ndarray] = {}
    places: np.ndarray | None = None

    @abstractmethod
    def __len__(self) -> int:
        """The number of pairs."""

    @abstractmethod
    def pairs(self, draw: Draw) -> Pair:
        """The pairs of a draw, in its order."""

    @abstractmethod
    def factors(self) -> dict[str, Factor]:
        """Known factors of every pair in its fixed appearance; empty if none are known."""

    def __getitem__(self, draw: Draw) -> Pair | PartialBatch:
        """A batch to train on."""
        return self.augmented(self.pairs(draw), draw.seed)

    def augmented(self, batch: B, seed: int | None) -> B:
        """The batch as `augment` changes it; as it is for a draw without a seed."""
        return batch if self.augment is None or seed is None else self.augment(batch, seed)

    @property
    def held_bytes(self) -> int:
        """Bytes of the tensors that pairs are picked from; 0 if they are read from disk."""
        tensors = (getattr(self, name) for name in self.tensor_names)
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)

    def to(self, device: torch.device) -> PairSet:
        """The same pairs, picked from tensors on a device; draws stay on the CPU."""
        moved = copy(self)
        for name in self.tensor_names:
            tensor = getattr(self, name)
            setattr(moved, name, None if tensor is None else tensor.to(device))
        return moved

    def batches(self, size: int, index: Tensor | None = None) -> Iterator[Pair]:
        """Every pair once, or those of `index`, in order and in its fixed appearance."""
        index = torch.arange(len(self)) if index is None else index
        for part in index.split(size):
            yield self.pairs(Draw(part))

    def domain_batches(self, domain: Domain, size: int) -> Iterator[tuple[Tensor, Context]]:
        """Batches of every x or every y of the set, with their context."""
        for pair in self.batches(size):
            yield side_of(pair, domain)

    def sample(self, count: int, seed: int) -> Tensor:
        """Indices of at most `count` pairs drawn at random, ascending; all if there are no more."""
        if count >= len(self):
            return torch.arange(len(self))
        drawn = np.random.default_rng(seed).choice(len(self), count, replace=False)
        return torch.from_numpy(np.sort(drawn))

    def members(self) -> np.ndarray:
        """Keys of what is held out together: of pairs, or of classes or shards of them."""
        return np.unique(self.keys) if self.keys is not None else np.empty(0, np.uint64)

    def digest(self) -> str:
        """Identifies the set: SHA-256, hexadecimal, of the content of its pairs."""
        return digest_of(chain([type(self).__name__, len(self), self.shapes], self.content()))

    def content(self) -> Iterator[bytes]:
        """The bytes that `digest` hashes: tensors held in memory, or else some pairs."""
        tensors = [getattr(self, name) for name in self.tensor_names]
        if not any(tensor is not None for tensor in tensors):
            count = min(len(self), DIGEST_PAIRS)
            index = torch.linspace(0, len(self) - 1, count).round().long()
            tensors = list(self.pairs(Draw(index))[:2])
        for tensor in tensors:
            if tensor is not None:
                yield (
                    tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
                )


class ChosenPairs(PairSet):
    """Some pairs of a set.

    Args:
        rows: The set.
        index: Which pairs, `(pairs,)`.
    """

    def __init__(self, rows: PairSet, index: Tensor):
        self.rows, self.index, self.shapes = rows, index, rows.shapes
        self.features = rows.features
        self.of_bytes = rows.of_bytes
        self.keys = None if rows.keys is None else rows.keys[index.numpy()]
        self.annotations = {k: values[index.numpy()] for k, values in rows.annotations.items()}

    def __len__(self) -> int:
        return len(self.index)

    def pairs(self, draw: Draw) -> Pair:
        return self.rows.pairs(draw._replace(indices=self.index[draw.indices]))

    def factors(self) -> dict[str, Factor]:
        return {
            name: factor._replace(values=factor.values[self.index.numpy()])
            for name, factor in self.rows.factors().items()
        }

    def content(self) -> Iterator[bytes]:
        yield self.index.numpy().tobytes()
        yield from self.rows.content()


class ShuffledPairs(PairSet):
    """The samples of a set, each with another's partner, as in a set without structure.

    Args:
        rows: The set; its pairs must be whole ones.
        seed: Random seed of the new partners.
    """

    def __init__(self, rows: PairSet, seed: int):
        self.rows, self.shapes, self.augment = rows, rows.shapes, rows.augment
        self.partner = torch.from_numpy(np.random.default_rng(seed).permutation(len(rows)))

    def __len__(self) -> int:
        return len(self.rows)

    def pairs(self, draw: Draw) -> Pair:
        others = draw._replace(indices=self.partner[draw.indices])
        own, given = self.rows.pairs(draw), self.rows.pairs(others)
        return Pair(own.x, given.y, own.context_x, given.context_y)

    def factors(self) -> dict[str, Factor]:
        """None: a factor of both domains is not one of a shuffled pair."""
        return {}

    def content(self) -> Iterator[bytes]:
        yield self.partner.numpy().tobytes()
        yield from self.rows.content()


class Splits(NamedTuple):
    """Disjoint sets of pairs; `validation` shares no pair with `train`."""

    train: PairSet
    validation: PairSet
    test: PairSet


class DataSet(NamedTuple):
    """How pairs are loaded, and from which settings.

    `reads` names the fields of `DataSettings` that `load` reads, all of them if it is None; others
    that are given are refused. `paths` names those that may be a local file or folder. `settings`
    is the model of what `load` is given: a subclass of `DataSettings` adds options of its own.
    """

    load: Callable[[Any], Splits]
    reads: frozenset[str] | None = None
    paths: frozenset[str] = frozenset()
    settings: type[DataSettings] = DataSettings

    @property
    def options(self) -> set[str]:
        """Names of all settings that it reads, its own among them."""
        shared = DataSettings.model_fields.keys()
        read = shared if self.reads is None else self.reads | READ_BY_ALL
        return set(read) | self.settings.model_fields.keys() - shared


def warn_of_given(part: str, pairs: int, wanted: int | None) -> None:
    """Warns if settings give a number of pairs for a set that the data itself defines.

    Args:
        part: "validation" or "test".
        pairs: How many pairs the data gives.
        wanted: The number in the settings.
    """
    if pairs and wanted is not None:
        log.warning(
            "data.%s = %d has no effect: the data gives its own %s set, of %d pairs",
            part,
            wanted,
            part,
            pairs,
        )


def digest_of(parts: Iterable[object]) -> str:
    """SHA-256, hexadecimal, of bytes and of plain values as Python writes them, one at a time."""
    total = hashlib.sha256()
    for part in parts:
        content = (
            part if isinstance(part, bytes) else repr(part).encode("utf-8", "backslashreplace")
        )
        total.update(len(content).to_bytes(8, "little"))
        total.update(content)
    return total.hexdigest()


def pick(rows: Tensor, index: Tensor) -> Tensor:
    """Some rows, on their own device, wherever the index is."""
    return rows.index_select(0, index.to(rows.device))


def side_of(pair: Pair | PartialBatch, domain: Domain) -> tuple[Tensor, Context]:
    """Samples of one domain, and their context."""
    return (pair.x, pair.context_x) if domain == "x" else (pair.y, pair.context_y)
