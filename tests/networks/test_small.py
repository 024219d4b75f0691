import pytest
import torch

from iiae.distributions import LaplaceHead
from iiae.errors import SettingsError
from iiae.networks.small import SMALL, ContrastCopy, small

HEADS = (LaplaceHead(1000, True), LaplaceHead(1000, True))


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_small_networks_have_a_4x4_map_of_z_s_at_every_size(size):
    shape = (3, size, size)
    networks = small((shape, shape), (8, 8), 5, HEADS, width=4)
    posterior = networks.shared_given_x(torch.zeros(2, *shape)).posterior
    assert posterior.mean.shape == (2, 5 * 4 * 4)


@pytest.mark.parametrize(("size", "side"), [(16, 2), (64, 8), (64, 16), (128, 8)])
def test_the_map_of_z_s_has_the_side_asked_for(size, side):
    shape = (3, size, size)
    networks = small((shape, shape), (8, 8), 5, HEADS, width=4, side=side)
    given = networks.shared_given_x(torch.zeros(2, *shape))
    assert given.posterior.mean.shape == (2, 5 * side * side)
    shared = networks.shared(given.hidden, given.hidden).mean
    assert networks.decoder_y(shared, torch.zeros(2, 8)).mean.shape == (2, *shape)
    assert SMALL.latent((shape, shape), 5, side=side, width=4) == (5, side, side)


@pytest.mark.parametrize("side", [3, 32, 1])
def test_a_side_that_no_halving_reaches_is_refused_with_those_that_are(side):
    shape = (3, 64, 64)
    with pytest.raises(SettingsError, match=f"model.side = {side}: .* one of 2, 4, 8, 16$"):
        small((shape, shape), (8, 8), 5, HEADS, width=4, side=side)


def test_the_copy_has_full_contrast_behind_the_image_itself():
    image = 0.01 * torch.randn(2, 3, 32, 32)
    both = ContrastCopy()(image)
    assert torch.equal(both[:, :3], image)
    assert both[:, 3:].std().item() == pytest.approx(1, rel=0.05)
