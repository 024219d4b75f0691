import torch

from iiae.distributions import DiagonalNormal
from iiae.evaluation.instances import ItemHashes, retrieve_partners
from iiae.model.latents import Embeddings
from iiae.types import Pair


def normal(mean):
    return DiagonalNormal(mean, torch.zeros_like(mean))


def test_each_latent_is_judged_on_its_own():
    shared = torch.randn(50, 3)
    embeddings = Embeddings(
        normal(torch.cat([shared, torch.randn(50, 3) * 9], 1)),
        normal(torch.cat([shared, torch.randn(50, 3) * 9], 1)),
        normal(torch.randn(50, 2)),
        normal(torch.randn(50, 2)),
    )
    active = torch.tensor([True] * 3 + [False] * 3)
    result = retrieve_partners(embeddings, active)
    assert result.active_x_to_y.recall[1].rate == result.active_y_to_x.recall[1].rate == 1
    assert result.shared_x_to_y.recall[1].rate < 0.5
    assert result.exclusive_x_to_y.recall[1].rate < 0.2


def test_exclusive_latents_of_different_size_are_not_compared():
    embeddings = Embeddings(
        *(normal(torch.randn(5, 3)) for _ in range(2)),
        normal(torch.randn(5, 2)),
        normal(torch.randn(5, 4)),
    )
    result = retrieve_partners(embeddings, torch.ones(3, dtype=torch.bool))
    assert result.exclusive_x_to_y is None


def test_items_that_are_equal_are_told_while_batches_pass():
    photos, sketches = torch.randn(10, 3, 4, 4), torch.randn(30, 7)
    x, y = sketches, photos[torch.arange(30) // 3]
    hashes = ItemHashes()
    passed = list(hashes.watch(Pair(a, b) for a, b in zip(x.split(7), y.split(7), strict=True)))
    assert torch.equal(torch.cat([pair.x for pair in passed]), x)
    items = hashes.identities()
    assert items.counts() == {"x": (30, 0), "y": (10, 30)}
    assert torch.equal(
        items.y[:, None] == items.y, (torch.arange(30) // 3)[:, None] == torch.arange(30) // 3
    )


def test_equal_items_are_one_answer_both_ways():
    of = torch.arange(30) // 3
    shared = torch.randn(10, 4)[of]
    sketched = shared + 0.01 * torch.randn(30, 4)
    embeddings = Embeddings(normal(sketched), normal(shared), normal(shared[:, :2]), normal(shared))
    hashes = ItemHashes()
    list(hashes.watch([Pair(torch.randn(30, 2), of.float()[:, None])]))
    active = torch.ones(4, dtype=torch.bool)
    result = retrieve_partners(embeddings, active, hashes.identities())
    assert result.shared_x_to_y.recall[1].rate == result.shared_y_to_x.recall[1].rate == 1
    assert result.shared_x_to_y.chance[1] == 1 / 10
    apart = retrieve_partners(embeddings, active)
    assert apart.shared_x_to_y.recall[1].rate < 0.5
