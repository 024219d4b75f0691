"""Pairs made of classes: a random x and a random y of one class, or x and y of one instance."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterator
from copy import copy
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.base import Factor, PairSet, Splits, pick
from iiae.data.classes.collections import Collections, Labelled, read_collections
from iiae.data.classes.splits import ClassSplit, class_split, digest, known_to, plain
from iiae.data.splits import key, shuffled_by_key
from iiae.errors import DataError
from iiae.files.arrays import array_names
from iiae.settings import DataSettings
from iiae.types import Context, Domain, Draw, Pair

log = logging.getLogger("iiae")


class _Members(NamedTuple):
    """Rows of a collection ordered by class: where each class starts, and how many it has."""

    order: np.ndarray
    starts: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, classes: list[str]) -> _Members:
        position = np.searchsorted(classes, labels)
        counts = np.bincount(position, minlength=len(classes))
        return cls(np.argsort(position, kind="stable"), np.cumsum(counts) - counts, counts)

    def rows(self, classes: np.ndarray, turn: np.ndarray) -> np.ndarray:
        return self.order[self.starts[classes] + turn]


class ClassPairs(PairSet):
    """Two labelled collections; pairs share a class.

    Pair i has a class; drawn with a seed, it is a random x and a random y of that class; in its
    fixed appearance the items of a class are matched in turn, every item at least once.

    Args:
        x: Items of one domain.
        y: Items of the other, of the same classes.
        class_list: Which classes these are, for the record.
    """

    def __init__(self, x: Labelled, y: Labelled, class_list: str = ""):
        self.x, self.y, self.class_list = x, y, class_list
        self.classes = sorted({str(name) for name in x.labels})
        self._members = tuple(_Members.of(side.labels, self.classes) for side in (x, y))
        counts = np.maximum(*(side.counts for side in self._members))
        self.class_of = np.repeat(np.arange(len(self.classes)), counts)
        self._turn = np.arange(len(self.class_of)) - np.repeat(np.cumsum(counts) - counts, counts)
        self.shapes = (tuple(x.values.shape[1:]), tuple(y.values.shape[1:]))

    def __len__(self) -> int:
        return len(self.class_of)

    def pairs(self, draw: Draw) -> Pair:
        index = draw.indices.numpy()
        classes = self.class_of[index]
        if draw.seed is None:
            rows = [
                side.rows(classes, self._turn[index] % side.counts[classes])
                for side in self._members
            ]
        else:
            generator = np.random.default_rng(draw.seed)
            rows = [
                side.rows(classes, generator.integers(side.counts[classes]))
                for side in self._members
            ]
        x, y = map(torch.from_numpy, rows)
        return self._of(x, y)

    def members(self) -> np.ndarray:
        """Keys of the classes."""
        return np.array(sorted(key(plain(name)) for name in self.classes), np.uint64)

    def content(self) -> Iterator[bytes]:
        for side in (self.x, self.y):
            yield "\n".join(map(str, side.labels)).encode("utf-8", "backslashreplace")
            yield side.values.cpu().numpy().tobytes()

    def factors(self) -> dict[str, Factor]:
        names = np.array(self.classes)[self.class_of]
        return {"class": Factor(names, "categorical", "shared")}

    def _of(self, x: Tensor, y: Tensor) -> Pair:
        """Items of both domains by their rows."""
        return Pair(as_float(pick(self.x.values, x)), as_float(pick(self.y.values, y)))

    @property
    def held_bytes(self) -> int:
        return self.x.values.nbytes + self.y.values.nbytes

    def to(self, device: torch.device) -> ClassPairs:
        moved = copy(self)
        moved.x, moved.y = (s._replace(values=s.values.to(device)) for s in (self.x, self.y))
        return moved

    def domain_batches(self, domain: Domain, size: int) -> Iterator[tuple[Tensor, Context]]:
        for batch in self.sides(size)["xy".index(domain)]:
            yield batch, Context()

    def sides(self, batch: int) -> tuple[Iterator[Tensor], Iterator[Tensor]]:
        """Batches of every x, and of every y, each alone and in order."""
        x, y = ((as_float(part) for part in side.values.split(batch)) for side in (self.x, self.y))
        return x, y


class InstancePairs(ClassPairs):
    """x and y of one instance, told by their file names: `name-1.png` was drawn from `name.jpg`.

    Raises:
        DataError: No name matches.
    """

    def __init__(self, x: Labelled, y: Labelled, class_list: str = ""):
        super().__init__(x, y, class_list)
        instances = _by_instance(y)
        named = [
            (str(label), re.sub(r"-\d+$", "", _stem(path)))
            for label, path in zip(x.labels, x.paths, strict=True)
        ]
        found = [(i, instances[name]) for i, name in enumerate(named) if name in instances]
        if not found:
            raise DataError(
                "no x file matches a y file of its class by name; instance pairs are named like "
                "a-1.png (x) and a.jpg (y)"
            )
        self.matches = torch.tensor(found)
        position = {name: i for i, name in enumerate(self.classes)}
        self.class_of = np.array([position[str(x.labels[i])] for i, _ in found])

    def pairs(self, draw: Draw) -> Pair:
        x, y = self.matches[draw.indices].T
        return self._of(x, y)


def _by_instance(items: Labelled) -> dict[tuple[str, str], int]:
    """Rows by class and file name without its ending.

    Raises:
        DataError: Two files of one class differ in their ending alone.
    """
    rows: dict[tuple[str, str], int] = {}
    for i, (label, path) in enumerate(zip(items.labels, items.paths, strict=True)):
        name = (str(label), _stem(path))
        if name in rows:
            raise DataError(
                f"{items.paths[rows[name]]} and {path}: two instances of class {label} have one "
                "name; rename one of them"
            )
        rows[name] = i
    return rows


def _stem(path: object) -> str:
    """File name without its ending, letters with accents written in one way."""
    return unicodedata.normalize("NFC", PurePath(str(path)).stem)


def as_float(values: Tensor) -> Tensor:
    """Features as they are, bytes as floats in [-1, 1]."""
    return values.float().div(127.5).sub(1) if values.dtype == torch.uint8 else values


def load_classes(settings: DataSettings) -> Splits:
    """Seen classes to train on, some of them held out to validate, unseen classes to test.

    `data.root` is class folders, an `.npz` or the authors' feature files; `data.unseen` names the
    unseen classes; `data.x` and `data.y` the domains (sketch and photo by default).

    Raises:
        DataError: Files are wrong, a class is in one domain only, or `data.unseen` does not fit.
    """
    if settings.root is None:
        raise DataError("data.root is missing: class folders, an .npz, or a folder of features")
    x, y = domains(settings)
    found = read_collections(settings.root, x, y, settings.size, settings.on_error)
    names = [{str(n) for n in np.unique(side.labels)} for side in (found.x, found.y)]
    if names[0] != names[1]:
        raise DataError(
            f"{settings.root}: classes in one domain only: {x} alone has "
            f"{', '.join(sorted(names[0] - names[1])[:5]) or 'none'}; {y} alone has "
            f"{', '.join(sorted(names[1] - names[0])[:5]) or 'none'}"
        )
    unseen = _unseen(found, settings, sorted(names[0]))
    seen = sorted(names[0] - set(unseen.unseen))
    train, validation = _held_classes(seen, settings)
    said = f"{unseen.name} (digest {unseen.digest})"
    if found.protocol:
        said += f", features taught {found.protocol}"
    log.info(
        "%d classes: %d to train on, %d to validate, %d unseen: %s",
        len(names[0]),
        len(train),
        len(validation),
        len(unseen.unseen),
        said,
    )
    _warn_of_known(found, unseen)
    kind = InstancePairs if settings.pairing == "instance" else ClassPairs
    return Splits(
        kind(found.x.of(train), found.y.of(train), "seen"),
        ClassPairs(found.x.of(validation), found.y.of(validation), "held-out seen"),
        ClassPairs(found.x.of(unseen.unseen), found.y.of(unseen.unseen), said),
    )


def domains(settings: DataSettings) -> tuple[str, str]:
    """What the two collections are called; sketch and photo unless settings say otherwise."""
    return settings.x or "sketch", settings.y or _photo(settings.root)


def _photo(root: str | None) -> str:
    """photo, or image where the files use that word, as the authors' do."""
    path = Path(root or "")
    if path.suffix.lower() == ".npz" and path.is_file():
        held = array_names(path)
        return "image" if "image_features" in held and "photo_features" not in held else "photo"
    if path.name in ("split1", "split2"):
        return "image"
    return "image" if (path / "train_image_features.npy").is_file() else "photo"


def _unseen(found: Collections, settings: DataSettings, names: list[str]) -> ClassSplit:
    if settings.unseen is None:
        if found.unseen is None:
            raise DataError("data.unseen is missing: the unseen classes, such as sake25")
        return ClassSplit("as the files say", found.unseen, digest(found.unseen))
    split = class_split(settings.unseen)
    spelled = {plain(name): name for name in names}
    missing = [name for name in split.unseen if plain(name) not in spelled]
    if missing:
        raise DataError(
            f"data.unseen = {settings.unseen}: {settings.root} has no class "
            f"{', '.join(missing[:5])}"
        )
    unseen = tuple(sorted(spelled[plain(name)] for name in split.unseen))
    if found.unseen is not None and set(found.unseen) - set(unseen):
        raise DataError(
            f"data.unseen = {settings.unseen}: {settings.root} tests on other classes, such as "
            f"{min(set(found.unseen) - set(unseen))}; leave data.unseen out"
        )
    return ClassSplit(split.name, unseen, split.digest)


def _held_classes(seen: list[str], settings: DataSettings) -> tuple[list[str], list[str]]:
    held = settings.validation or max(1, len(seen) // 10)
    if held > len(seen) - 2:
        raise DataError(
            f"{len(seen)} seen classes cannot give {held} for validation: at least 2 must be left "
            "to train on; lower data.validation"
        )
    keys = np.array([key(plain(name)) for name in seen], np.uint64)
    validation = sorted(seen[i] for i in shuffled_by_key(keys, settings.seed)[:held])
    return [name for name in seen if name not in validation], validation


def standardised_splits(parts: Splits) -> Splits:
    """Features of mean 0 and standard deviation 1 over the training classes, in all three parts.

    Raises:
        DataError: As `standardised`.
    """
    train = parts.train
    assert isinstance(train, ClassPairs)
    scales = [_scale(side) for side in (train.x, train.y)]

    def scaled(pairs: PairSet) -> PairSet:
        assert isinstance(pairs, ClassPairs)
        moved = copy(pairs)
        moved.x, moved.y = (
            side._replace(values=(side.values - mean) / scale)
            for side, (mean, scale) in zip((pairs.x, pairs.y), scales, strict=True)
        )
        return moved

    return Splits(*map(scaled, parts))


def _scale(train: Labelled) -> tuple[Tensor, Tensor]:
    """Mean and deviation of some items' features."""
    if train.values.dtype == torch.uint8:
        raise DataError(
            "these are images: standard units and a head are for features, which "
            "`iiae features` makes of images"
        )
    scale = train.values.std(0)
    if not scale.isfinite().all():
        raise DataError("features are too large to be standardised; scale them")
    scale[scale < 1e-6] = 1
    return train.values.mean(0), scale


def standardised(found: Collections, classes: list[str]) -> Collections:
    """Features of mean 0 and standard deviation 1 over some classes, in each domain.

    Raises:
        DataError: These are images.
    """

    def scaled(side: Labelled) -> Labelled:
        mean, scale = _scale(side.of(classes))
        return side._replace(values=(side.values - mean) / scale)

    return found._replace(x=scaled(found.x), y=scaled(found.y))


def _warn_of_known(found: Collections, unseen: ClassSplit) -> None:
    known = known_to(found.backbone_labels, unseen.unseen)
    if known:
        log.warning(
            "the backbone was taught %d of the %d unseen classes, so that they are unseen by this "
            "model only: %s",
            len(known),
            len(unseen.unseen),
            "; ".join(f"{name} ({label})" for name, label in known.items()),
        )
