import numpy as np
import pytest
import torch

from iiae.data.base import Factor, PairSet
from iiae.evidence.swap import FactorClassifier, swap_consistency
from iiae.model.iiae import IIAE
from iiae.types import Pair


class Halves(PairSet):
    """x: a label at one place and an exclusive number at another."""

    shapes = ((6,), (6,))

    def __init__(self, count, seed):
        generator = np.random.default_rng(seed)
        self.label = generator.integers(3, size=count)
        self.own = generator.standard_normal((2, count))

    def __len__(self):
        return len(self.label)

    def pairs(self, draw):
        i = draw.indices.numpy()
        sides = []
        for own in self.own:
            values = np.zeros((len(i), 6), np.float32)
            values[np.arange(len(i)), self.label[i]] = 3
            values[:, 3] = own[i]
            sides.append(torch.from_numpy(values))
        return Pair(*sides)

    def factors(self):
        return {
            "label": Factor(self.label, "categorical", "shared"),
            "number": Factor(self.own[0], "continuous", "x"),
        }


class Posterior:
    def __init__(self, mean):
        self.mean = mean


class Split(IIAE):
    """Perfect latents: the first three values are shared, the fourth is exclusive."""

    def __init__(self, swapped=False):
        torch.nn.Module.__init__(self)
        self.swapped = swapped

    def encode_x(self, x, context):
        parts = Posterior(x[:, :3]), Posterior(x[:, 3:])
        pair = parts[::-1] if self.swapped else parts
        return type("Found", (), {"shared": pair[0], "exclusive": pair[1]})

    encode_y = encode_x

    def decode_x(self, shared, exclusive, context):
        parts = (exclusive, shared) if self.swapped else (shared, exclusive)
        return Posterior(torch.cat(parts, 1))

    decode_y = decode_x


@pytest.fixture(scope="module")
def sets():
    return Halves(1500, 0), Halves(300, 1)


@pytest.mark.parametrize("shape", [(9,), (3, 16, 16), (1, 20, 31), (3, 8, 24), (2, 10, 10)])
def test_factors_are_read_from_samples_of_any_shape(shape):
    assert FactorClassifier(shape, 5)(torch.randn(2, *shape)).shape == (2, 5)


def test_perfect_latents_follow_their_right_origins(sets):
    found = swap_consistency(Split(), *sets, epochs=10)
    in_x, in_y = found["label"]
    for origin in (in_x, in_y):
        assert origin.right == "shared"
        assert origin.from_shared > 0.95
        assert origin.from_exclusive < 0.6
    (number,) = found["number"]
    assert (number.domain, number.right) == ("x", "exclusive")
    assert number.from_exclusive > 0.9 > 0.2 > number.from_shared
    assert number.real > 0.9


def test_content_in_the_wrong_place_is_seen(sets):
    found = swap_consistency(Split(swapped=True), *sets, epochs=10)
    assert found["label"][0].from_exclusive > 0.95 > found["label"][0].from_shared
    assert found["number"][0].from_shared > 0.9


def test_swaps_repeat_for_a_seed(sets):
    one, same = (swap_consistency(Split(), *sets, seed=4, epochs=2) for _ in range(2))
    assert one == same


def test_test_pairs_are_drawn_from_the_whole_set(sets):
    drawn = []

    class Watched(Halves):
        def pairs(self, draw):
            drawn.extend(draw.indices.tolist())
            return super().pairs(draw)

    swap_consistency(Split(), sets[0], Watched(300, 1), pairs=40, readers=200, epochs=1)
    assert len(set(drawn)) == 40
    assert max(drawn) > 200
