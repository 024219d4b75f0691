import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from iiae.metrics.retrieval import (
    instance_retrieval,
    partner_ranks,
    right_answers,
    wilson,
)


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
    retrieval = instance_retrieval(same, same)
    assert retrieval.recall[1].rate == retrieval.chance[1] == 0.01
    assert retrieval.recall[10].rate == 0.1
    nothing = torch.zeros(100, 0)
    assert instance_retrieval(nothing, nothing).recall[1].rate == 0.01


def test_equal_sets_are_found_without_error():
    items = torch.randn(200, 4)
    retrieval = instance_retrieval(items, items)
    assert {k: rate.rate for k, rate in retrieval.recall.items()} == {1: 1.0, 5: 1.0, 10: 1.0}


def test_wilson_by_hand():
    # 8 of 10, z = 2: centre (0.8 + 4/20) / 1.4, half 2 sqrt(0.016 + 0.01) / 1.4
    interval = wilson(8, 10, z=2)
    half = 2 * math.sqrt(0.8 * 0.2 / 10 + 4 / 400) / 1.4
    assert interval.low == pytest.approx(1 / 1.4 - half)
    assert interval.high == pytest.approx(1 / 1.4 + half)
    assert interval.rate == 0.8


def test_wilson_at_the_ends():
    assert wilson(0, 100).low == 0
    assert wilson(100, 100).high == 1
    assert 0.03 < wilson(0, 100).high < 0.04


@given(st.integers(0, 50), st.integers(50, 100))
def test_the_interval_holds_the_rate_and_stays_in_range(hits, trials):
    interval = wilson(hits, trials)
    assert 0 <= interval.low <= interval.rate <= interval.high <= 1


POWERS = st.integers(-30, 30)


@given(POWERS, st.sampled_from([torch.float32, torch.float64]))
def test_scaling_by_any_power_of_ten_changes_no_rank(power, kind):
    query, gallery = torch.randn(40, 3).to(kind), torch.randn(40, 3).to(kind)
    scaled = (query.double() * 10.0**power).to(kind), (gallery.double() * 10.0**power).to(kind)
    assert torch.equal(partner_ranks(*scaled), partner_ranks(query, gallery))


@given(st.floats(-1e8, 1e8), st.integers(-290, 290))
def test_in_float64_neither_offset_nor_any_scale_changes_a_rank(offset, power):
    query, gallery = torch.randn(40, 3).double(), torch.randn(40, 3).double()
    ranks = partner_ranks(query, gallery)
    assert torch.equal(partner_ranks(query + offset, gallery + offset), ranks)
    assert torch.equal(partner_ranks(query * 10.0**power, gallery * 10.0**power), ranks)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_latents_that_are_not_finite_are_never_found_and_change_no_other_rank(side, value):
    sets = [torch.randn(60, 4), torch.randn(60, 4)]
    before = partner_ranks(*sets)
    sets[side][7, 2] = value
    ranks = partner_ranks(*sets)
    assert ranks[7] == 60
    others = torch.arange(60) != 7
    # one item fewer can come before the others
    assert ((before - ranks)[others] >= 0).all() and ((before - ranks)[others] <= 1).all()
    retrieval = instance_retrieval(*sets, ks=(1, 60, 100))
    assert retrieval.recall[60].rate == retrieval.recall[100].rate == pytest.approx(59 / 60)
    sets[side][:] = value
    assert instance_retrieval(*sets, ks=(1, 60)).recall[60].rate == 0


def test_one_huge_latent_spoils_no_other_rank():
    query, gallery = torch.randn(50, 3), torch.randn(50, 3)
    sane = partner_ranks(query, gallery)
    gallery[4] = 1e30
    ranks = partner_ranks(query, gallery)
    assert ranks[4] == 49
    assert ((sane - ranks)[torch.arange(50) != 4] <= 1).all()


def slow_best_ranks(query, gallery, query_ids, gallery_ids):
    """Of the nearest right answer, equal gallery items being one; distances all differ."""
    first = {one: i for i, one in reversed(list(enumerate(gallery_ids)))}
    ranks = []
    for i, q in enumerate(query):
        distances = {one: ((q - gallery[j]) ** 2).sum().item() for one, j in first.items()}
        right = [g for s, g in zip(query_ids, gallery_ids, strict=True) if s == query_ids[i]]
        best = min(distances[one] for one in right)
        ranks.append(sum(d < best for d in distances.values()))
    return ranks


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_equal_items_are_one_answer_and_equal_queries_share_theirs(of_x, of_y, seed):
    rng = np.random.default_rng(seed)
    x, y = (torch.from_numpy(rng.integers(n, size=30)) for n in (of_x, of_y))
    query, gallery = (torch.from_numpy(rng.normal(size=(12, 3)))[ids] for ids in (x, y))
    query = query + 0.01 * torch.randn(30, 3)
    answers = right_answers(30, x, y)
    ranks = partner_ranks(query, gallery, 7, answers)
    assert ranks.tolist() == slow_best_ranks(query, gallery, x.tolist(), y.tolist())


def test_five_sketches_of_each_photo_can_all_be_found():
    of = torch.arange(200) // 5
    photo = torch.randn(40, 8)[of]
    sketch = photo + 0.01 * torch.randn(200, 8)
    to_photos = instance_retrieval(sketch, photo, gallery_ids=of)
    assert to_photos.recall[1].rate == 1
    assert to_photos.answers == 40 and to_photos.chance[1] == pytest.approx(1 / 40)
    to_sketches = instance_retrieval(photo, sketch, query_ids=of)
    assert to_sketches.recall[1].rate == 1
    assert to_sketches.chance[1] == pytest.approx(5 / 200)
    # counted as different, ties alone cost four in five
    assert instance_retrieval(photo, photo).recall[1].rate == pytest.approx(0.2)


@pytest.mark.parametrize("unequal", [False, True])
def test_latents_that_are_all_equal_score_as_chance_where_items_repeat(unequal):
    of = torch.tensor([0] * 70 + [1] * 20 + [2] * 10) if unequal else torch.arange(100) // 4
    same = torch.ones(100, 3)
    for given_ids in ({"gallery_ids": of}, {"query_ids": of}):
        retrieval = instance_retrieval(same, same, **given_ids)
        assert retrieval.recall[1].rate == pytest.approx(retrieval.chance[1], abs=0.05)


def test_chance_is_what_random_latents_reach_where_items_repeat():
    rng = np.random.default_rng(0)
    of_x, of_y = (torch.from_numpy(rng.integers(n, size=60)) for n in (25, 15))
    rates, chance = [], {}
    for _ in range(300):
        query, gallery = torch.randn(60, 2), torch.randn(60, 2)
        retrieval = instance_retrieval(query, gallery, (1, 5, 12), of_x, of_y)
        rates.append([one.rate for one in retrieval.recall.values()])
        chance = retrieval.chance
    assert np.mean(rates, 0) == pytest.approx(list(chance.values()), abs=0.02)
