import torch

from iiae.metrics.spread_out import spread_out


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
