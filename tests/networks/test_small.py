import pytest
import torch

from iiae.distributions import LaplaceHead
from iiae.networks.small import ContrastCopy, small


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_small_networks_have_a_4x4_map_of_z_s_at_every_size(size):
    heads = (LaplaceHead(1000, True), LaplaceHead(1000, True))
    shape = (3, size, size)
    networks = small((shape, shape), (8, 8), 5, heads, width=4)
    posterior = networks.shared_given_x(torch.zeros(2, *shape)).posterior
    assert posterior.mean.shape == (2, 5 * 4 * 4)


def test_the_copy_has_full_contrast_behind_the_image_itself():
    image = 0.01 * torch.randn(2, 3, 32, 32)
    both = ContrastCopy()(image)
    assert torch.equal(both[:, :3], image)
    assert both[:, 3:].std().item() == pytest.approx(1, rel=0.05)
