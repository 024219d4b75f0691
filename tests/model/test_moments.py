import pytest
import torch

from iiae.distributions import DiagonalNormal
from iiae.model.build import build_model
from iiae.model.moments import recompute_moments
from iiae.settings import make_settings
from iiae.types import Pair

SHAPE = (3, 16, 16)


@pytest.fixture
def model():
    values = {"data": {"name": "digits-cdcb", "size": 16}, "model": {"shared": 2, "width": 4}}
    settings = make_settings(values)
    torch.manual_seed(0)
    return build_model(settings.model, settings.objective, (SHAPE, SHAPE))


def batches(count=4):
    generator = torch.Generator().manual_seed(0)
    return [Pair(*torch.rand(2, 16, *SHAPE, generator=generator) * 2 - 1) for _ in range(count)]


def first_norm(model):
    return next(m for m in model.decoder_y.modules() if isinstance(m, torch.nn.BatchNorm2d))


def test_moments_are_those_of_reconstructions_and_translations_together(model):
    seen = []
    norm = first_norm(model)
    norm.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    recompute_moments(model, iter(batches()), seed=1)
    assert [len(one) for one in seen] == [32] * 4
    means = torch.stack([one.mean((0, 2, 3)) for one in seen]).mean(0)
    torch.testing.assert_close(norm.running_mean, means)


def test_the_aggregate_posterior_enters_the_moments(model):
    norm = first_norm(model)
    recompute_moments(model, iter(batches()), seed=1)
    near = norm.running_var.clone()
    far = DiagonalNormal(torch.full((2, 8), 30.0), torch.zeros(2, 8))
    model.keep_aggregate(far, far)
    recompute_moments(model, iter(batches()), seed=1)
    assert (norm.running_var > near).all()


def test_only_moments_of_decoders_change_and_a_seed_repeats_them(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    recompute_moments(model, iter(batches()), seed=1)
    first = {name: value.clone() for name, value in model.state_dict().items()}
    changed = {name for name in before if not torch.equal(before[name], first[name])}
    assert changed
    assert all(name.startswith("decoder_") and ".net." in name for name in changed)
    assert {name.rsplit(".", 1)[1] for name in changed} == {
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
    recompute_moments(model, iter(batches()), seed=1)
    assert all(torch.equal(first[name], value) for name, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())
    assert first_norm(model).momentum == 0.1
