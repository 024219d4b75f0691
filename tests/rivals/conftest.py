"""Classes whose features are linear in their semantics, seen and unseen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from iiae.rivals.interface import TrainingSet
from iiae.rivals.semantics import Semantics, word_vectors

WORD, SIZES = 8, (24, 20)


class World(NamedTuple):
    """`test` are items of classes that are not in `train`."""

    train: TrainingSet
    test: TrainingSet
    semantics: Semantics


def make_world(seen: int = 30, unseen: int = 6, items: int = 20, sizes=SIZES, seed: int = 0):
    """Features of a class are a linear map of its words, one per domain, plus noise."""
    rng = np.random.default_rng(seed)
    names = [f"class {i:02d}" for i in range(seen + unseen)]
    words = word_vectors({name: rng.normal(size=WORD) for name in names})
    maps = [rng.normal(size=(WORD, size)) for size in sizes]
    noise = [rng.normal(size=(4, size)) for size in sizes]  # exclusive to each domain

    def side(rows, which):
        content = words[rows] @ maps[which]
        style = 0.3 * rng.normal(size=(len(rows), 4)) @ noise[which]
        return content + style + 0.1 * rng.normal(size=content.shape)

    def part(classes):
        rows = np.repeat(classes, items)
        labels = np.array(names)[rows]
        return TrainingSet(side(rows, 0), side(rows, 1), labels, labels)

    above = rng.random((len(names), 12)) < 0.3
    similarity = rng.uniform(0.1, 1, size=above.shape)
    known = Semantics(tuple(names), words, similarity, above)
    return World(part(np.arange(seen)), part(np.arange(seen, seen + unseen)), known)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()
