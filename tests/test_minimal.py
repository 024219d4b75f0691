"""docs/minimal.py is the library's method: the same loss, up to a constant, and gradients."""

import importlib.util
from pathlib import Path

import pytest
import torch

from iiae.distributions import NormalHead
from iiae.model.iiae import IIAE
from iiae.networks.mlp import features
from iiae.objectives import iiae_loss, iiae_terms
from iiae.types import Pair

PATH = Path(__file__).parents[1] / "docs" / "minimal.py"


@pytest.fixture
def minimal():
    spec = importlib.util.spec_from_file_location("minimal", PATH)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def networks(model, names):
    return [value for name in names for value in getattr(model, name).state_dict().values()]


LIBRARY = (
    "exclusive_x",
    "exclusive_y",
    "shared_given_x",
    "shared_given_y",
    "shared",
    "decoder_x",
    "decoder_y",
)
MINIMAL = ("exclusive_x", "exclusive_y", "given_x", "given_y", "joint", "decode_x", "decode_y")


@pytest.mark.parametrize("anneal", [1.0, 0.3])
def test_loss_and_gradients_are_those_of_the_library(minimal, anneal, float64):
    torch.manual_seed(0)
    heads = (NormalHead(100.0, tanh=False), NormalHead(100.0, tanh=False))
    library = IIAE(features(((12,), (9,)), (3, 3), 5, heads, width=8), 5, (3, 3))
    ours = minimal.IIAE(12, 9, shared=5, exclusive=3, width=8)
    for mine, theirs in zip(networks(ours, MINIMAL), networks(library, LIBRARY), strict=True):
        assert mine.shape == theirs.shape
        mine.copy_(theirs)
    x, y = torch.randn(40, 12), torch.randn(40, 9)

    torch.manual_seed(1)  # z_s, z_x and z_y are drawn in one order
    loss = ours.loss(x, y, anneal)
    loss.backward()
    torch.manual_seed(1)
    q, p = library(Pair(x, y))
    expected = iiae_loss(iiae_terms(Pair(x, y), q, p), 0.5, 1.0, anneal)
    expected.backward()

    # the normalisers of both likelihoods: D/2 log(2 pi sigma^2), sigma^2 = D / 2w
    constant = sum(
        1.5 * size / 2 * torch.log(torch.tensor(2 * torch.pi * size / 200)) for size in (12, 9)
    )
    torch.testing.assert_close(loss + constant, expected)
    theirs = [p for name in LIBRARY for p in getattr(library, name).parameters()]
    mine = [p for name in MINIMAL for p in getattr(ours, name).parameters()]
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_it_finds_partners_of_made_up_pairs(minimal):
    torch.manual_seed(0)
    x, y = minimal.made_up_pairs(600)
    model = minimal.train(x[:500], y[:500], epochs=15)
    with torch.inference_mode():
        near = torch.cdist(model.given_x(x[500:])[0], model.given_y(y[500:])[0]).argmin(1)
    assert (near == torch.arange(100)).float().mean() > 0.5  # guessing: 0.01
    assert minimal.translate(model, x[:5], y[:5]).shape == (5, 20)
