import torch

from iiae.data.sampling import AlignedBatches


def epoch(batches, number):
    batches.set_epoch(number)
    return list(batches)


def test_an_epoch_draws_every_pair_once():
    draws = epoch(AlignedBatches(20, 5, seed=0), 0)
    assert sorted(torch.cat([d.indices for d in draws]).tolist()) == list(range(20))


def test_the_incomplete_last_batch_is_left_out():
    batches = AlignedBatches(23, 5, seed=0)
    assert len(batches) == len(epoch(batches, 0)) == 4


def test_order_and_seeds_are_new_each_epoch_and_the_same_for_a_seed():
    one, other = AlignedBatches(20, 5, seed=3), AlignedBatches(20, 5, seed=3)
    assert [d.seed for d in epoch(one, 1)] == [d.seed for d in epoch(other, 1)]
    seeds = [d.seed for n in range(4) for d in epoch(one, n)]
    assert len(set(seeds)) == len(seeds)
    assert epoch(one, 0)[0].indices.tolist() != epoch(one, 1)[0].indices.tolist()


def test_seeking_goes_on_exactly_where_a_step_was():
    batches = AlignedBatches(20, 5, seed=0)
    whole = [d for n in range(3) for d in epoch(batches, n)]
    batches.seek(6)
    rest = list(batches) + epoch(batches, 2)
    assert [(d.indices.tolist(), d.seed) for d in rest] == [
        (d.indices.tolist(), d.seed) for d in whole[6:]
    ]


def test_fewer_pairs_than_a_batch_make_one_batch():
    batches = AlignedBatches(3, 5, seed=0)
    assert [sorted(d.indices.tolist()) for d in batches] == [[0, 1, 2]]
