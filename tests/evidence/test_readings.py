import numpy as np
import pytest
import torch

from iiae.data.arrays import ArrayPairs
from iiae.distributions import DiagonalNormal
from iiae.errors import DataError
from iiae.evidence.readings import read_features
from iiae.model.iiae import IIAE, DomainPosteriors
from iiae.model.units import DataUnits

rng = np.random.default_rng(0)
NAMES = ["shared", "own", "both", "noise", "constant"]


class Reader(IIAE):
    """A model whose z_s is column 0 and whose z_x is column 1 of x."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.units_x = self.units_y = DataUnits()

    def encoder(self, domain):
        def encode(x, context):
            flat = torch.zeros(len(x), 1)
            return DomainPosteriors(DiagonalNormal(x[:, :1], flat), DiagonalNormal(x[:, 1:2], flat))

        return encode


def made(rows=300):
    values = rng.normal(size=(rows, 5)).astype(np.float32)
    values[:, 2] = values[:, 0] + values[:, 1]
    values[:, 4] = 3
    return ArrayPairs(values, values[:, ::-1].copy())


def test_a_feature_is_read_from_the_latent_that_holds_it():
    found = {r.name: r for r in read_features(Reader(), made(), "x", NAMES)}
    assert set(found) == {"shared", "own", "both", "noise"}  # what is constant cannot be read
    assert found["shared"].shared > 0.99 > 0.1 > found["shared"].exclusive
    assert found["own"].exclusive > 0.99 and found["own"].added > 0.9
    assert found["both"].shared == pytest.approx(0.5, abs=0.1)
    assert found["both"].added == pytest.approx(0.5, abs=0.1)
    assert found["noise"].shared < 0.05 and abs(found["noise"].added) < 0.05


def test_those_that_the_exclusive_latent_adds_most_come_first():
    order = [r.name for r in read_features(Reader(), made(), "x", NAMES)]
    assert order[:2] == ["own", "both"]
    assert read_features(Reader(), made(), "x")[0].name == "1"


def test_images_and_too_few_pairs_are_refused():
    with pytest.raises(DataError, match="there are 10 pairs"):
        read_features(Reader(), made(10), "x")
    images = rng.uniform(-1, 1, (30, 1, 8, 8)).astype(np.float32)
    with pytest.raises(DataError, match=r"x has shape \(1, 8, 8\)"):
        read_features(Reader(), ArrayPairs(images, images), "x")
