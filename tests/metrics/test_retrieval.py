import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iiae.metrics.retrieval import instance_retrieval, partner_ranks, wilson


def slow_ranks(query, gallery):
    """By the definition: how many items are nearer, or as near and earlier."""
    ranks = []
    for i, q in enumerate(query):
        distances = [((q - g) ** 2).sum().item() for g in gallery]
        own = (distances[i], i)
        ranks.append(sum((d, j) < own for j, d in enumerate(distances)))
    return torch.tensor(ranks)


def test_ranks_equal_a_slow_loop():
    query, gallery = torch.randn(40, 3).double(), torch.randn(40, 3).double()
    assert torch.equal(partner_ranks(query, gallery), slow_ranks(query, gallery))


def test_ranks_by_hand():
    query = torch.tensor([[0.0], [1.0], [5.0]])
    gallery = torch.tensor([[0.9], [1.2], [4.0]])
    # query 0 is nearest to item 0; 1 to item 0, then 1; 2 to item 2
    assert partner_ranks(query, gallery).tolist() == [0, 1, 0]


@given(st.integers(1, 60))
def test_blocks_do_not_change_ranks(block):
    torch.manual_seed(0)
    query, gallery = torch.randn(50, 4).double(), torch.randn(50, 4).double()
    assert torch.equal(partner_ranks(query, gallery, block), partner_ranks(query, gallery, 50))


def test_shifting_and_turning_both_sets_changes_nothing():
    query, gallery = torch.randn(60, 3).double(), torch.randn(60, 3).double()
    turn, _ = torch.linalg.qr(torch.randn(3, 3).double())
    moved = partner_ranks(query @ turn + 1000, gallery @ turn + 1000)
    assert torch.equal(moved, partner_ranks(query, gallery))


def test_collapsed_latents_score_as_chance_does():
    same = torch.ones(100, 5)
    found = instance_retrieval(same, same)
    assert found.recall[1].rate == found.chance[1] == 0.01
    assert found.recall[10].rate == 0.1
    nothing = torch.zeros(100, 0)
    assert instance_retrieval(nothing, nothing).recall[1].rate == 0.01


def test_equal_sets_are_found_without_error():
    items = torch.randn(200, 4)
    found = instance_retrieval(items, items)
    assert {k: rate.rate for k, rate in found.recall.items()} == {1: 1.0, 5: 1.0, 10: 1.0}


def test_wilson_by_hand():
    # 8 of 10, z = 2: centre (0.8 + 4/20) / 1.4, half 2 sqrt(0.016 + 0.01) / 1.4
    found = wilson(8, 10, z=2)
    half = 2 * math.sqrt(0.8 * 0.2 / 10 + 4 / 400) / 1.4
    assert found.low == pytest.approx(1 / 1.4 - half)
    assert found.high == pytest.approx(1 / 1.4 + half)
    assert found.rate == 0.8


def test_wilson_at_the_ends():
    assert wilson(0, 100).low == 0
    assert wilson(100, 100).high == 1
    assert 0.03 < wilson(0, 100).high < 0.04


@given(st.integers(0, 50), st.integers(50, 100))
def test_the_interval_holds_the_rate_and_stays_in_range(hits, trials):
    found = wilson(hits, trials)
    assert 0 <= found.low <= found.rate <= found.high <= 1
