"""Scores of two posteriors of z_s."""

import math

import pytest
import torch
from torch.distributions import Normal

from iiae.distributions import DiagonalNormal
from iiae.metrics.comparison import PAPERS, _best, choose_comparison, make_comparison
from iiae.metrics.retrieval import partner_ranks
from iiae.metrics.similarity import Aggregate, cosine, euclidean, local_scaling, mutual_information


def normals(rows, size, spread=0.5):
    return DiagonalNormal(
        torch.randn(rows, size, dtype=torch.float64),
        torch.randn(rows, size, dtype=torch.float64) * 0.3 + math.log(spread),
    )


def test_mutual_information_is_the_integral():
    query, items = normals(3, 2), normals(4, 2)
    variance = torch.tensor([1.5, 3.0], dtype=torch.float64)
    z = torch.linspace(-30, 30, 200_001, dtype=torch.float64)
    expected = torch.zeros(3, 4, dtype=torch.float64)
    for i in range(3):
        for j in range(4):
            for d in range(2):
                logs = [
                    Normal(one.mean[k, d], one.variance[k, d].sqrt()).log_prob(z)
                    for one, k in ((query, i), (items, j))
                ]
                prior = Normal(0.0, variance[d].sqrt()).log_prob(z)
                step = (z[1] - z[0]).log()
                expected[i, j] += torch.logsumexp(logs[0] + logs[1] - prior, 0) + step
    torch.testing.assert_close(mutual_information(query, items, variance), expected)


def test_a_posterior_as_wide_as_the_aggregate_says_nothing():
    variance = torch.tensor([0.7, 2.0])
    one = DiagonalNormal(torch.zeros(1, 2), variance.log()[None] + 1)  # wider, even
    other = normals(5, 2)
    other = DiagonalNormal(other.mean.float(), other.log_variance.float())
    torch.testing.assert_close(mutual_information(one, other, variance), torch.zeros(1, 5))


def test_blocks_change_nothing(monkeypatch):
    query, items, variance = normals(7, 3), normals(5, 3), torch.full((3,), 4.0)
    whole = mutual_information(query, items, variance)
    monkeypatch.setattr("iiae.metrics.similarity.ELEMENTS", 30)
    torch.testing.assert_close(mutual_information(query, items, variance), whole)


def test_noise_of_uncertain_dimensions_is_discounted():
    torch.manual_seed(0)
    signal, noise = torch.randn(200, 4), torch.randn(2, 200, 60)
    r = [
        DiagonalNormal(
            torch.cat([signal + 0.1 * torch.randn(200, 4), 0.5 * own], 1),
            torch.cat([torch.full((200, 4), math.log(0.01)), torch.zeros(200, 60)], 1),
        )
        for own in noise
    ]
    found = Aggregate.of(*r)
    informed = mutual_information(*r, found.variance).argmax(1)
    plain = euclidean(r[0].mean, r[1].mean).argmax(1)
    each = torch.arange(200)
    assert (informed == each).float().mean() > 0.9 > 0.5 > (plain == each).float().mean()


def test_the_aggregate_has_the_variance_of_samples():
    torch.manual_seed(0)
    x, y = normals(2000, 3), normals(2000, 3)
    samples = torch.cat([x.rsample() - x.mean.mean(0), y.rsample() - y.mean.mean(0)])
    found = Aggregate.of(x, y).variance
    torch.testing.assert_close(found, samples.square().mean(0), rtol=0.1, atol=0)


def test_cosine_and_distance():
    query, items = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0], [0.0, 2.0]])
    torch.testing.assert_close(cosine(query, items), torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(euclidean(query, items), torch.tensor([[-2.0, -math.sqrt(5)]]))


def test_local_scaling_lets_hubs_count_for_less():
    score = torch.tensor([[0.9, 0.8, 0.0], [0.9, 0.1, 0.8], [0.9, 0.0, 0.1]])
    assert score.argmax(1).tolist() == [0, 0, 0]
    assert local_scaling(score, 2).argmax(1).tolist() == [1, 2, 0]


@pytest.mark.parametrize("neighbours", [1, 10])
def test_more_neighbours_than_items_are_all(neighbours):
    assert local_scaling(torch.rand(4, 2), neighbours).shape == (4, 2)


def samples(rows=300, size=6, seed=0):
    """r_x and r_y of pairs: a third of the dimensions is noise, each domain has an offset."""
    torch.manual_seed(seed)
    cause = torch.randn(rows, size)
    cause[:, : size // 3] = 0
    noise = torch.full((size,), 0.2)
    noise[: size // 3] = 1.0

    def posterior(offset):
        mean = cause + noise * torch.randn(rows, size) + offset
        return DiagonalNormal(mean, noise.log().mul(2).expand(rows, size))

    return posterior(0.0), posterior(0.5)


@pytest.mark.parametrize("score", ["euclidean", "cosine", "mutual-information"])
def test_vectors_rank_as_the_score_does(score):
    x, y = samples()
    how = make_comparison(score, 0, x, y)
    aggregate = Aggregate.of(x, y)
    a, b = aggregate.centred(x, "x"), aggregate.centred(y, "y")
    if score == "mutual-information":  # variances are the same for all here
        expected = mutual_information(a, b, aggregate.variance)
    else:
        expected = {"euclidean": euclidean, "cosine": cosine}[score](a.mean, b.mean)
    vectors = -torch.cdist(how.queries(x.mean, "x"), how.items(y.mean, "y"))
    assert (vectors.argsort(1) == expected.argsort(1)).float().mean() > 0.99
    back = -torch.cdist(how.queries(y.mean, "y"), how.items(x.mean, "x"))
    if score == "mutual-information":
        expected = mutual_information(b, a, aggregate.variance)
        assert (back.argsort(1) == expected.argsort(1)).float().mean() > 0.99
    else:
        assert (back.argsort(1) == expected.T.argsort(1)).float().mean() > 0.99


def test_local_scaling_in_one_more_coordinate_ranks_as_its_formula():
    x, y = samples(80)
    how = make_comparison("euclidean", 5, x, y)
    a, b = (one.mean - one.mean.mean(0) for one in (x, y))
    squared = torch.cdist(a, b).square()  # all training samples are reference queries here
    near = squared.topk(5, dim=0, largest=False).values.mean(0)
    expected = (2 * squared - near).argsort(1)
    vectors = torch.cdist(how.queries(x.mean, "x"), how.items(y.mean, "y"))
    assert (vectors.argsort(1) == expected).float().mean() > 0.99


def test_an_items_vector_does_not_depend_on_other_items_or_queries():
    x, y = samples()
    how = make_comparison("cosine", 10, x, y)
    torch.testing.assert_close(how.items(y.mean, "y")[:3], how.items(y.mean[:3], "y"))


def test_the_choice_beats_the_papers_where_dimensions_are_noise():
    train, validation, test = samples(seed=0), samples(seed=1), samples(seed=2)
    chosen, tried = choose_comparison(train, validation)
    assert chosen.score == "mutual-information"
    assert max(tried.values()) == tried[chosen.name]
    x, y = (one.mean for one in test)
    ours = partner_ranks(chosen.queries(x, "x"), chosen.items(y, "y"))
    assert (ours == 0).sum() > (partner_ranks(x, y) == 0).sum() + 20


def test_the_papers_is_kept_where_nothing_is_better():
    exact = DiagonalNormal(torch.eye(20), torch.full((20, 20), -9.0))
    chosen, tried = choose_comparison((exact, exact), (exact, exact))
    assert (chosen.score, chosen.neighbours) == ("euclidean", 0)
    assert tried[PAPERS] == 1
    assert torch.equal(chosen.queries(exact.mean, "x"), exact.mean)


def test_a_few_pairs_leave_it_at_cosine_even_if_another_is_ahead_by_luck():
    lucky = 0
    for seed in range(10):
        train, few = samples(seed=seed), samples(seed=100 + seed)
        few = tuple(DiagonalNormal(one.loc[:4], one.log_variance[:4]) for one in few)
        chosen, tried = choose_comparison(train, few)
        lucky += chosen.name == "cosine" and max(tried.values()) > tried["cosine"]
        if chosen.is_another and chosen.name != "cosine":
            assert tried[chosen.name] > tried["cosine"]
    assert lucky


def test_mutual_information_is_not_scaled_by_luck():
    alone, scaled = "mutual information", "mutual information, local scaling"
    signs = torch.tensor([1.0, -1.0]).repeat(50)
    values = {PAPERS: torch.full((100,), 0.5), "cosine": torch.full((100,), 0.6)}
    values[alone] = 0.9 + 0.05 * signs
    values[scaled] = values[alone] + 0.001 + 0.02 * signs
    assert values[scaled].mean() > values[alone].mean()
    assert _best(values) == alone
    assert _best(values | {scaled: values[alone] + 0.01}) == scaled
    assert (
        _best({k: v for k, v in values.items() if k != alone} | {alone: values[PAPERS]}) == scaled
    )


def test_the_papers_comes_before_cosine_where_many_pairs_say_so():
    means = 1 + 0.02 * torch.rand(400, 1).cumsum(0)  # told apart by length alone
    line = DiagonalNormal(means, torch.full((400, 1), -9.0))
    some = DiagonalNormal(means[::4], torch.full((100, 1), -9.0))
    chosen, tried = choose_comparison((line, line), (some, some))
    assert tried[PAPERS] == 1 > tried["cosine"]
    assert not chosen.is_another
