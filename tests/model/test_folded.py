import pytest
import torch
from torch import nn

from iiae.model.build import build_model
from iiae.model.folded import folded
from iiae.settings import make_settings
from iiae.types import Pair

FAMILIES = {
    "features": (12,),
    "small": (3, 16, 16),
    "image-map": (3, 64, 64),
    "image-flat": (3, 64, 64),
}


def model_of(family):
    torch.manual_seed(0)
    settings = make_settings(
        {"data": {"name": "arrays"}, "model": {"family": family, "shared": 4, "exclusive": 3}}
    )
    model = build_model(settings.model, settings.objective, (FAMILIES[family],) * 2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.5)
            nn.init.uniform_(module.running_var, 0.2, 3.0)
            nn.init.normal_(module.bias)
    return model.eval()


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_a_folded_model_computes_the_same_without_batchnorm(family):
    model = model_of(family)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pair = Pair(*torch.randn(2, 5, *FAMILIES[family]))
    fast = folded(model)
    assert not any(isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d) for one in fast.modules())
    of_model, of_fast = model.encode(pair), fast.encode(pair)
    for one, other in zip(of_model, of_fast, strict=True):
        torch.testing.assert_close(one.mean, other.mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one.log_variance, other.log_variance, rtol=1e-4, atol=1e-5)
    z = of_model.rsample()
    for one, other in zip(model.decode(z), fast.decode(z), strict=True):
        torch.testing.assert_close(one.mean, other.mean, rtol=1e-4, atol=1e-5)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert not any(parameter.requires_grad for parameter in fast.parameters())


@torch.no_grad()
def test_a_folded_model_leaves_what_it_is_given():
    fast, x = folded(model_of("small")), torch.randn(5, *FAMILIES["small"])
    kept = x.clone()
    fast.encode_x(x)
    assert torch.equal(x, kept)
