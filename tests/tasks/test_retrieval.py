import torch

from iiae.distributions import DiagonalNormal
from iiae.model import Embeddings
from iiae.tasks.retrieval import retrieve_partners


def normal(mean):
    return DiagonalNormal(mean, torch.zeros_like(mean))


def test_each_latent_is_judged_on_its_own():
    shared = torch.randn(50, 3)
    found = Embeddings(
        normal(torch.cat([shared, torch.randn(50, 3) * 9], 1)),
        normal(torch.cat([shared, torch.randn(50, 3) * 9], 1)),
        normal(torch.randn(50, 2)),
        normal(torch.randn(50, 2)),
    )
    active = torch.tensor([True] * 3 + [False] * 3)
    result = retrieve_partners(found, active)
    assert result.active_x_to_y.recall[1].rate == result.active_y_to_x.recall[1].rate == 1
    assert result.shared_x_to_y.recall[1].rate < 0.5
    assert result.exclusive_x_to_y.recall[1].rate < 0.2


def test_exclusive_latents_of_different_size_are_not_compared():
    found = Embeddings(
        *(normal(torch.randn(5, 3)) for _ in range(2)),
        normal(torch.randn(5, 2)),
        normal(torch.randn(5, 4)),
    )
    result = retrieve_partners(found, torch.ones(3, dtype=torch.bool))
    assert result.exclusive_x_to_y is None
