import pytest
import torch

from iiae.distributions import LaplaceHead
from iiae.model.iiae import IIAE
from iiae.networks.conv import image_flat, image_map
from iiae.networks.small import small
from iiae.objectives import iiae_loss, iiae_terms
from iiae.types import Pair

HEADS = (LaplaceHead(1000, True), LaplaceHead(1000, True))


def shapes(size, x=3, y=3):
    return ((x, size, size), (y, size, size))


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_published_map_networks_layer_by_layer():
    networks = image_map(shapes(256), (8, 8), 128, HEADS)
    assert count(networks.shared_given_x) == 1_739_936
    assert count(networks.shared) == 2_097_408
    assert count(networks.exclusive_x) == 1_739_696
    assert count(networks.decoder_x) == 3_872_579
    assert sum(map(count, networks)) == 16_801_830


def test_published_flat_networks_layer_by_layer():
    networks = image_flat(shapes(256), (8, 8), 128, HEADS)
    assert count(networks.shared_given_x) == 6_001_312
    assert count(networks.shared) == 8_455_168
    assert count(networks.exclusive_x) == 1_739_696
    assert count(networks.decoder_x) == 11_507_523
    assert round(sum(map(count, networks)) / 1e6, 2) == 46.95


def convolutions(module, kind):
    return [m for m in module.modules() if isinstance(m, kind)]


def test_published_map_networks_have_the_published_shapes():
    networks = image_map(shapes(256), (8, 8), 128, HEADS)
    x = torch.randn(2, 3, 256, 256)
    posterior, features = networks.shared_given_x(x)
    assert features.shape == (2, 256, 16, 16)
    assert posterior.mean.shape == (2, 128 * 8 * 8)
    assert networks.shared(features, features).mean.shape == (2, 8192)
    assert networks.exclusive_x(x).mean.shape == (2, 8)
    assert networks.decoder_x(posterior.mean, torch.randn(2, 8)).mean.shape == x.shape
    encoder = convolutions(networks.shared_given_x, torch.nn.Conv2d)
    assert [c.out_channels for c in encoder] == [32, 64, 128, 256, 256]
    decoder = convolutions(networks.decoder_x, torch.nn.ConvTranspose2d)
    assert [c.in_channels for c in decoder] == [136, 512, 256, 128, 64]
    assert [c.out_channels for c in decoder] == [512, 256, 128, 64, 3]
    assert len(convolutions(networks.decoder_x, torch.nn.Dropout)) == 2
    assert len(convolutions(networks.shared_given_x, torch.nn.BatchNorm2d)) == 4
    norm = convolutions(networks.decoder_x, torch.nn.BatchNorm2d)[0]
    assert (norm.eps, norm.momentum) == (1e-5, 0.1)


def test_convolutions_start_from_the_published_distribution():
    network = image_map(shapes(256), (8, 8), 128, HEADS).shared_given_x
    weight = convolutions(network, torch.nn.Conv2d)[-1].weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.01)
    assert abs(weight.mean().item()) < 1e-4


@pytest.mark.parametrize(
    ("family", "size", "shared"),
    [
        (image_map, 64, 4),
        (image_flat, 64, 4),
        (small, 16, 4),
        (small, 32, 4),
        (small, 64, 4),
        (small, 128, 4),
    ],
)
def test_every_parameter_gets_a_finite_gradient(family, size, shared):
    networks = family(shapes(size, y=1), (3, 2), shared, HEADS)
    flat = shared if family is image_flat else shared * (size >> 5) ** 2
    model = IIAE(networks, flat if family is not small else shared * 16, (3, 2))
    pair = Pair(torch.rand(4, 3, size, size) * 2 - 1, torch.rand(4, 1, size, size) * 2 - 1)
    q, p = model(pair)
    assert q.shared.mean.shape == q.shared_given_x.mean.shape == (4, len(model.active))
    assert p.y.mean.shape == pair.y.shape
    iiae_loss(iiae_terms(pair, q, p), 0.2, 1.0).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name
