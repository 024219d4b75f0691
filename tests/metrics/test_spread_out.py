import torch

from iiae.metrics.spread_out import spread_out, typical


def test_the_most_central_point_comes_first_then_the_farthest_from_all():
    points = torch.tensor([[0.0], [1.0], [10.0], [4.0], [-8.0]])
    assert spread_out(points, 4).tolist() == [1, 2, 4, 3]


def test_each_cluster_is_met_before_any_twice():
    torch.manual_seed(0)
    centres = torch.randn(6, 3) * 100
    points = centres.repeat(20, 1) + torch.randn(120, 3)
    assert {i % 6 for i in spread_out(points, 6).tolist()} == set(range(6))


def test_no_more_points_are_chosen_than_there_are():
    assert spread_out(torch.zeros(0, 2), 3).tolist() == []
    assert sorted(spread_out(torch.randn(2, 2), 9).tolist()) == [0, 1]


def test_a_typical_point_of_each_cluster_is_the_nearest_to_its_mean_largest_first():
    points = torch.tensor([[0.0], [1.0], [2.0], [50.0], [51.0], [53.0], [54.0], [100.0]])
    chosen = typical(points, 3)
    assert chosen.tolist()[1:] == [1, 7]
    assert chosen[0] in (4, 5)


def test_there_are_no_more_typical_points_than_points():
    assert sorted(typical(torch.tensor([[0.0], [9.0]]), 5).tolist()) == [0, 1]
