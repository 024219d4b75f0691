import pytest
import torch

from iiae.distributions import LaplaceHead
from iiae.errors import SettingsError
from iiae.networks.padding import Cropped, Padded, padded_side
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


@pytest.mark.parametrize(
    ("x", "y", "size"),
    [((28, 28), (28, 28), 32), ((10, 12), (16, 9), 16), ((33, 40), (64, 41), 64)],
)
def test_images_of_any_size_are_padded_inside_and_come_out_as_they_went_in(x, y, size):
    shapes = (1, *x), (3, *y)
    networks = small(shapes, (2, 3), 5, HEADS, width=4)
    given = [
        encode(torch.randn(2, *shape))
        for encode, shape in zip(
            (networks.shared_given_x, networks.shared_given_y), shapes, strict=True
        )
    ]
    shared = networks.shared(given[0].hidden, given[1].hidden).mean
    assert shared.shape == (2, 5 * 4 * 4)
    assert networks.exclusive_y(torch.randn(2, *shapes[1])).mean.shape == (2, 3)
    assert networks.decoder_x(shared, torch.zeros(2, 2)).mean.shape == (2, *shapes[0])
    assert networks.decoder_y(shared, torch.zeros(2, 3)).mean.shape == (2, *shapes[1])
    assert padded_side(shapes) == size


def test_cropping_undoes_padding_and_edges_are_repeated():
    image = torch.randn(2, 3, 5, 6)
    padded = Padded(5, 6, 16)(image)
    assert padded.shape == (2, 3, 16, 16)
    assert torch.equal(Cropped(5, 6, 16)(padded), image)
    assert torch.equal(padded[:, :, 0, 0], image[:, :, 0, 0])
    assert torch.equal(padded[:, :, -1, 8], image[:, :, -1, 3])


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


def test_vectors_are_told_of_their_networks():
    assert SMALL.refusal(((5,), (4,))) == "takes images; use 'features' for vectors"
    assert "sides of 8 to 128" in SMALL.refusal(((5,), (3, 16, 16)))
