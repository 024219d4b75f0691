import pytest
import torch

from iiae.distributions import NormalHead
from iiae.errors import SettingsError
from iiae.model.build import build_model
from iiae.model.iiae import IIAE
from iiae.networks.mlp import class_head, features
from iiae.objectives import iiae_loss, iiae_terms
from iiae.settings import make_settings
from iiae.types import Pair

HEADS = (NormalHead(10, False), NormalHead(10, False))


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_published_feature_networks_layer_by_layer():
    networks = features(((512,), (512,)), (64, 64), 64, HEADS)
    assert count(networks.exclusive_x) == count(networks.shared_given_x) == 428_416
    assert count(networks.shared) == 591_488
    assert count(networks.decoder_x) == 82_816
    assert sum(map(count, networks)) == 2_470_784
    assert sum(map(count, networks)) + count(class_head(64, 100)) == 2_477_284


def test_the_joint_encoder_takes_both_first_hidden_layers():
    networks = features(((20,), (30,)), (4, 3), 6, HEADS, width=8)
    x, y = (
        networks.shared_given_x(torch.randn(5, 20)),
        networks.shared_given_y(torch.randn(5, 30)),
    )
    assert x.hidden.shape == y.hidden.shape == (5, 16)
    assert networks.shared(x.hidden, y.hidden).mean.shape == (5, 6)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_every_parameter_gets_a_finite_gradient(depth):
    networks = features(((20,), (30,)), (4, 3), 6, HEADS, width=8, depth=depth)
    model = IIAE(networks, 6, (4, 3))
    pair = Pair(torch.randn(9, 20), torch.randn(9, 30))
    q, p = model(pair)
    iiae_loss(iiae_terms(pair, q, p), 0.2, 1.0).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_without_hidden_layers_every_mean_is_linear():
    networks = features(((5,), (7,)), (2, 3), 4, HEADS, depth=0)
    (a, b), y = torch.randn(2, 6, 5), torch.randn(6, 7)

    def means(x):
        given, other = networks.shared_given_x(x), networks.shared_given_y(y)
        z = given.posterior.mean
        return [
            z,
            networks.shared(given.hidden, other.hidden).mean,
            networks.exclusive_x(x).mean,
            networks.decoder_x(z, networks.exclusive_x(x).mean).mean,
        ]

    for middle, left, right in zip(means((a + b) / 2), means(a), means(b), strict=True):
        assert torch.allclose(middle, (left + right) / 2, atol=1e-5)


def test_dropout_hides_inputs_of_encoders_in_training_alone():
    settings = make_settings(
        {"data": {"name": "synthetic"}, "model": {"family": "features", "dropout": 0.5, "width": 8}}
    )
    torch.manual_seed(0)
    model = build_model(settings.model, settings.objective, ((6,), (6,)))
    x = torch.randn(8, 6)
    model.train()
    assert not torch.equal(model.encode_x(x).shared.mean, model.encode_x(x).shared.mean)
    model.eval()
    assert torch.equal(model.encode_x(x).shared.mean, model.encode_x(x).shared.mean)
    with pytest.raises(SettingsError, match=r"dropout = 0.5 has no effect on family 'small'"):
        make_settings({"data": {"name": "digits-cdcb"}, "model": {"dropout": 0.5}})
