"""Sets whose pairs are picked from tensors move to a device; the others stay."""

import tracemalloc

import numpy as np
import pytest
import torch

from helpers import write_images
from iiae.data.arrays import ArrayPairs
from iiae.data.cars import CarPairs
from iiae.data.classes.collections import Labelled
from iiae.data.classes.pairs import ClassPairs
from iiae.data.digits import ColouredDigits
from iiae.data.image_pairs import ImagePairs, PairFiles, Preprocessing
from iiae.data.missing import drop_partners
from iiae.data.synthetic import LinearGaussianPairs, SyntheticPairs
from iiae.types import Draw

DRAW = Draw(torch.tensor([4, 0, 2]), seed=3)


def _images(folder):
    names = [f"{i}.png" for i in range(6)]
    write_images(folder, names)
    return [PairFiles(folder / name, folder / name) for name in names]


def _bytes(*shape):
    return np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)


def _classes():
    labels = np.array(["a", "a", "a", "b", "b", "b"])
    sides = (Labelled(torch.randn(6, size), labels, labels) for size in (3, 4))
    return ClassPairs(*sides)


SETS = {
    "synthetic": lambda folder: SyntheticPairs(6, 0),
    "linear": lambda folder: LinearGaussianPairs(6, 1.0, 0),
    "arrays": lambda folder: ArrayPairs(_bytes(6, 8, 8), _bytes(6, 8, 8, 3)),
    "digits": lambda folder: ColouredDigits(_bytes(6, 8, 8), np.arange(6), 16, 0),
    "cars": lambda folder: CarPairs(_bytes(2, 4, 24, 8, 8, 3), np.arange(2)),
    "images": lambda folder: ImagePairs(_images(folder), Preprocessing(16, flip=True, crop=0.5)),
    "classes": lambda folder: _classes(),
    "part-paired": lambda folder: drop_partners(SyntheticPairs(6, 0), 0.4, 0),
}


@pytest.mark.parametrize("name", SETS)
def test_pairs_held_in_memory_are_drawn_on_the_device_they_were_moved_to(name, tmp_path):
    pairs = SETS[name](tmp_path)
    here, moved = pairs[DRAW], pairs.to(torch.device("meta"))
    there = moved[DRAW]
    for one, other in zip(here[:2], there[:2], strict=True):
        assert one.device.type == "cpu" and other.device.type == "meta"
        assert one.shape == other.shape and one.dtype == other.dtype
    assert moved.held_bytes == pairs.held_bytes > 0
    assert all(torch.equal(*v) for v in zip(here[:2], pairs[DRAW][:2], strict=True))


def test_a_digest_holds_one_part_of_the_content_at_a_time():
    pairs = ArrayPairs(*np.zeros((2, 4, 1), np.float32))
    pairs.content = lambda: (bytes([i]) * 2**20 for i in range(40))
    tracemalloc.start()
    try:
        pairs.digest()
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_images_streamed_from_disk_hold_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("iiae.data.image_pairs.MEMORY_SHARE", 0.0)
    pairs = ImagePairs(_images(tmp_path), Preprocessing(16))
    assert pairs.held_bytes == 0
    assert pairs.to(torch.device("meta"))[DRAW].x.device.type == "cpu"
