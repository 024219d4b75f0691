import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from iiae.errors import DataError
from iiae.metrics import ranking
from iiae.metrics.ranking import Ranks, query_values, ranking_values, score

rng = np.random.default_rng(0)


def problem(queries=30, items=80, size=5, classes=4, seed=0):
    own = np.random.default_rng(seed)
    return (
        own.normal(size=(queries, size)),
        own.normal(size=(items, size)),
        own.integers(classes, size=queries),
        own.integers(classes, size=items),
    )


def slow_values(distance, relevant, k):
    """By the definitions, one query at a time; ties go to the lower index."""
    order = sorted(range(len(distance)), key=lambda j: (distance[j], j))
    hits = [relevant[j] for j in order]
    total = sum(hits)
    precision = [sum(hits[: i + 1]) / (i + 1) for i in range(len(hits))]
    every = [p for p, hit in zip(precision, hits, strict=True) if hit]
    early = [p for p, hit in zip(precision[:k], hits[:k], strict=True) if hit]
    return {
        "map@all": sum(every) / total,
        "map@all_voc": sum(max(every[i:]) for i in range(total)) / total,
        f"precision@{k}": sum(hits[:k]) / k,
        f"recall@{k}": sum(hits[:k]) / total,
        f"map@{k}_by_k": sum(early) / k,
        f"map@{k}_by_hits": sum(early) / len(early) if early else 0.0,
        f"map@{k}_by_possible": sum(early) / min(k, total),
    }


def distances(query, gallery, kind):
    if kind == "cosine":
        unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (query, gallery)]
        return 1 - unit[0] @ unit[1].T
    if kind == "euclidean":
        return ((query[:, None] - gallery[None]) ** 2).sum(2)
    return ((query[:, None] > 0) != (gallery[None] > 0)).sum(2)


@pytest.mark.parametrize("kind", ["cosine", "euclidean", "hamming"])
@pytest.mark.parametrize("k", [3, 20])
def test_every_measure_equals_a_slow_loop(kind, k):
    query, gallery, query_labels, gallery_labels = problem()
    found = ranking_values(query, gallery, query_labels, gallery_labels, (k,), kind)
    table = distances(query, gallery, kind)
    for i in range(len(query)):
        slow = slow_values(table[i], gallery_labels == query_labels[i], k)
        assert slow.keys() == found.keys()
        for name, value in slow.items():
            assert found[name][i] == pytest.approx(value), name


def test_map_at_all_equals_scikit_learns_average_precision():
    query, gallery, query_labels, gallery_labels = problem(50, 300)
    found = ranking_values(query, gallery, query_labels, gallery_labels)["map@all"]
    similarity = 1 - distances(query, gallery, "cosine")
    for i in range(50):
        expected = average_precision_score(gallery_labels == query_labels[i], similarity[i])
        assert found[i] == pytest.approx(expected)


def test_values_by_hand():
    # one query whose relevant items come first, third and fifth
    found = query_values(Ranks(np.array([0, 2, 4]), np.array([0, 3])), (4,))
    assert found["map@all"][0] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert found["map@4_by_k"][0] == pytest.approx((1 + 2 / 3) / 4)
    assert found["map@4_by_hits"][0] == pytest.approx((1 + 2 / 3) / 2)
    assert found["map@4_by_possible"][0] == pytest.approx((1 + 2 / 3) / 3)
    assert found["precision@4"][0] == 0.5
    assert found["recall@4"][0] == pytest.approx(2 / 3)


def test_interpolation_lifts_a_dip():
    # precision 1/2, then 2/3: the first is lifted to the second
    found = query_values(Ranks(np.array([1, 2]), np.array([0, 2])), ())
    assert found["map@all_voc"][0] == pytest.approx(2 / 3)
    assert found["map@all"][0] == pytest.approx((1 / 2 + 2 / 3) / 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["query"].__setitem__((4, 1), np.nan), "query: NaN or infinite .* row 4"),
        (lambda d: d["gallery"].__setitem__([3, 9], 0), "gallery: row 3, 9 is all zeros"),
    ],
)
def test_values_that_cannot_be_ranked_are_refused(change, message):
    names = ("query", "gallery", "query_labels", "gallery_labels")
    data = dict(zip(names, problem(), strict=True))
    change(data)
    with pytest.raises(DataError, match=message):
        score(**data)


@given(st.integers(1, 40))
def test_blocks_do_not_change_anything(block):
    data = problem()
    whole = ranking_values(*data)["map@all"]
    before, ranking.BLOCK = ranking.BLOCK, block
    try:
        assert np.allclose(ranking_values(*data)["map@all"], whole)
    finally:
        ranking.BLOCK = before


def test_scaling_changes_no_cosine_ranking_and_shifting_no_euclidean_one():
    query, gallery, *labels = problem()
    one = ranking_values(query, gallery, *labels)["map@all"]
    scale = rng.uniform(1, 9, (len(gallery), 1))
    assert np.allclose(ranking_values(7 * query, scale * gallery, *labels)["map@all"], one)
    near = ranking_values(query, gallery, *labels, distance="euclidean")["map@all"]
    far = ranking_values(query + 50, gallery + 50, *labels, distance="euclidean")["map@all"]
    assert np.allclose(near, far)


def test_equal_items_are_ranked_by_index():
    same = np.ones((6, 3))
    found = ranking_values(same[:1], same, np.array([1]), np.array([0, 0, 1, 0, 1, 0]))
    assert found["map@all"][0] == pytest.approx((1 / 3 + 2 / 5) / 2)


def test_queries_without_a_relevant_item_are_counted_and_left_out():
    query, gallery, query_labels, gallery_labels = problem()
    query_labels[:4] = 99
    found = score(query, gallery, query_labels, gallery_labels, (5,))
    assert found.queries == 30
    assert found.queries_without_relevant == 4
    assert np.isnan(found.per_query["map@all"][:4]).all()
    assert found.mean["map@all"] == pytest.approx(found.per_query["map@all"][4:].mean())
    assert "99" not in found.per_class
    with pytest.raises(DataError, match="no query has a relevant item"):
        score(query, gallery, query_labels + 1000, gallery_labels)


def test_the_interval_holds_the_mean_and_repeats_for_a_seed():
    data = problem(200, 100)
    one, other = score(*data), score(*data)
    low, high = one.interval["map@all"]
    assert low < one.mean["map@all"] < high
    assert one.interval == other.interval


def test_labels_may_be_text():
    query, gallery, query_labels, gallery_labels = problem()
    names = np.array(["ant", "bee", "cat", "dog"])
    found = score(query, gallery, names[query_labels], names[gallery_labels])
    assert set(found.per_class) == set(names.tolist())
    assert found.mean == score(query, gallery, query_labels, gallery_labels).mean


def test_query_and_gallery_may_differ_in_size_and_order_of_the_gallery_does_not_matter():
    query, gallery, query_labels, gallery_labels = problem(7, 50)
    order = rng.permutation(50)
    one = ranking_values(query, gallery, query_labels, gallery_labels)["map@all"]
    other = ranking_values(query, gallery[order], query_labels, gallery_labels[order])["map@all"]
    assert np.allclose(one, other)
