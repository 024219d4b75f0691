"""Pairs of one instance within classes, matched by file names."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePath

import numpy as np
import torch

from iiae.data.classes.collections import Labelled
from iiae.data.classes.pairs import ClassPairs
from iiae.errors import DataError
from iiae.types import Draw, Pair


class InstancePairs(ClassPairs):
    """x and y of one instance, matched by file name: `name-1.png` was drawn from `name.jpg`.

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
        matches = [(i, instances[name]) for i, name in enumerate(named) if name in instances]
        if not matches:
            raise DataError(
                "no x file matches a y file of its class by name; instance pairs are named like "
                "a-1.png (x) and a.jpg (y)"
            )
        self.matches = torch.tensor(matches)
        position = {name: i for i, name in enumerate(self.classes)}
        self.class_of = np.array([position[str(x.labels[i])] for i, _ in matches])

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
