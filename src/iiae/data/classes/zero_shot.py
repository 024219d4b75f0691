"""Seen classes to train and validate on, and unseen classes to test on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iiae.data.base import Splits
from iiae.data.classes.collections import Collections, read_collections
from iiae.data.classes.instances import InstancePairs
from iiae.data.classes.pairs import ClassPairs
from iiae.data.classes.splits import ClassSplit, class_split, digest, known_to, plain
from iiae.data.splits import key, shuffled_by_key
from iiae.errors import DataError, first_five
from iiae.files.arrays import array_names
from iiae.settings import DataSettings

log = logging.getLogger("iiae")


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
    collections = read_collections(settings.root, x, y, settings.size, settings.on_error)
    names = _shared_names(collections, settings.root, x, y)
    unseen = _unseen(collections, settings, sorted(names))
    train, validation = _held_classes(sorted(names - set(unseen.unseen)), settings)
    split = f"{unseen.name} (digest {unseen.digest})"
    if collections.protocol:
        split += f", features taught {collections.protocol}"
    log.info(
        "%d classes: %d to train on, %d to validate, %d unseen: %s",
        *(len(names), len(train), len(validation), len(unseen.unseen), split),
    )
    _warn_of_known(collections, unseen)
    kind = InstancePairs if settings.pairing == "instance" else ClassPairs

    def pairs(kind: type[ClassPairs], classes: Sequence[str], name: str) -> ClassPairs:
        return kind(collections.x.of(classes), collections.y.of(classes), name)

    return Splits(
        pairs(kind, train, "seen"),
        pairs(ClassPairs, validation, "held-out seen"),
        pairs(ClassPairs, unseen.unseen, split),
    )


def _shared_names(collections: Collections, root: str, x: str, y: str) -> set[str]:
    """Names of the classes, which both domains must have."""
    names = [{str(n) for n in np.unique(side.labels)} for side in collections[:2]]
    if names[0] != names[1]:
        raise DataError(
            f"{root}: classes in one domain only: {x} alone has "
            f"{first_five(sorted(names[0] - names[1])) or 'none'}; {y} alone has "
            f"{first_five(sorted(names[1] - names[0])) or 'none'}"
        )
    return names[0]


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


def _unseen(collections: Collections, settings: DataSettings, names: list[str]) -> ClassSplit:
    if settings.unseen is None:
        if collections.unseen is None:
            raise DataError("data.unseen is missing: the unseen classes, such as sake25")
        return ClassSplit("as the files say", collections.unseen, digest(collections.unseen))
    split = class_split(settings.unseen)
    spelled = {plain(name): name for name in names}
    missing = [name for name in split.unseen if plain(name) not in spelled]
    if missing:
        raise DataError(
            f"data.unseen = {settings.unseen}: {settings.root} has no class {first_five(missing)}"
        )
    unseen = tuple(sorted(spelled[plain(name)] for name in split.unseen))
    if collections.unseen is not None and set(collections.unseen) - set(unseen):
        raise DataError(
            f"data.unseen = {settings.unseen}: {settings.root} tests on other classes, such as "
            f"{min(set(collections.unseen) - set(unseen))}; leave data.unseen out"
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


def _warn_of_known(collections: Collections, unseen: ClassSplit) -> None:
    known = known_to(collections.backbone_labels, unseen.unseen)
    if known:
        log.warning(
            "the backbone was taught %d of the %d unseen classes, so that they are unseen by this "
            "model only: %s",
            len(known),
            len(unseen.unseen),
            "; ".join(f"{name} ({label})" for name, label in known.items()),
        )
