import tracemalloc

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


@given(st.integers(-290, 290), st.sampled_from(["cosine", "euclidean", "hamming"]))
def test_scaling_by_any_power_of_ten_changes_no_measure(power, kind):
    query, gallery, *labels = problem()
    plain = ranking_values(query, gallery, *labels, (5,), kind)
    scaled = ranking_values(query * 10.0**power, gallery * 10.0**power, *labels, (5,), kind)
    for name, values in plain.items():
        assert np.array_equal(scaled[name], values), name


@given(st.floats(-1e8, 1e8))
def test_no_offset_changes_a_euclidean_ranking(offset):
    query, gallery, *labels = problem()
    plain = ranking_values(query, gallery, *labels, (5,), "euclidean")
    moved = ranking_values(query + offset, gallery + offset, *labels, (5,), "euclidean")
    assert np.array_equal(moved["map@all"], plain["map@all"])


def test_angles_of_vectors_that_are_nearly_parallel_are_told_apart():
    query, gallery, query_labels, gallery_labels = problem()
    query, gallery = query + 1e8, gallery + 1e8
    found = ranking_values(query, gallery, query_labels, gallery_labels, (3,))
    wide = [part.astype(np.longdouble) for part in (query, gallery)]
    unit = [part / np.sqrt((part**2).sum(1, keepdims=True)) for part in wide]
    table = distances(*unit, "euclidean")
    for i in range(len(query)):
        slow = slow_values(table[i], gallery_labels == query_labels[i], 3)
        assert found["map@all"][i] == pytest.approx(slow["map@all"]), i


def test_one_huge_row_spoils_no_other_query():
    query, gallery, query_labels, gallery_labels = problem()
    plain = ranking_values(query, gallery, query_labels, gallery_labels, (5,), "euclidean")
    query[3] = 1e300
    found = ranking_values(query, gallery, query_labels, gallery_labels, (5,), "euclidean")
    others = np.arange(len(query)) != 3
    assert np.allclose(found["map@all"][others], plain["map@all"][others])


@pytest.mark.parametrize("counts", [(1, 2, 2), (3, 30, 7), (1, 1, 1)])
def test_chance_is_what_random_vectors_reach(counts):
    own = np.random.default_rng(0)
    query_labels, gallery_labels = np.repeat([0, 1, 2], (30, 5, 20)), np.repeat([0, 1, 2], counts)
    size = [(len(labels), 8) for labels in (query_labels, gallery_labels)]
    draws = 150
    found = [
        score(
            own.normal(size=size[0]), own.normal(size=size[1]), query_labels, gallery_labels, (4,)
        )
        for _ in range(draws)
    ]
    for name, chance in found[0].chance.items():
        means = [one.mean[name] for one in found]
        assert np.mean(means) == pytest.approx(chance, abs=4 * np.std(means) / draws**0.5 + 0.004)
    expected = {str(c): found[0].per_class_chance[str(c)] for c in range(3)}
    for name, chance in expected.items():
        means = [one.per_class[name] for one in found]
        assert np.mean(means) == pytest.approx(chance, abs=4 * np.std(means) / draws**0.5)


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_vectors_that_are_all_equal_score_as_chance_in_a_gallery_sorted_by_class(distance):
    query_labels, gallery_labels = np.repeat(np.arange(6), 4), np.repeat(np.arange(6), 10)
    query, gallery = np.ones((24, 3)), np.ones((60, 3))
    means = []
    for seed in range(40):
        found = score(query, gallery, query_labels, gallery_labels, (5,), distance, seed)
        means.append(found.mean["map@all"])
    assert np.mean(means) == pytest.approx(found.chance["map@all"], abs=0.02)


def test_intervals_are_those_of_one_large_draw(monkeypatch):
    data = problem(50, 80)
    found = score(*data, (5,))
    draws = np.random.default_rng(0).integers(50, size=(1000, 50))
    for name, values in found.per_query.items():
        low, high = np.percentile(values[draws].mean(1), [2.5, 97.5])
        assert found.interval[name] == pytest.approx((low, high))
    monkeypatch.setattr(ranking, "DRAWN", 120)
    assert score(*data, (5,)).interval == found.interval


def test_memory_does_not_grow_with_a_thousand_draws_of_every_query():
    values = np.random.default_rng(0).random((20_000, 3))
    tracemalloc.start()
    ranking._bootstrap(values, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 2**20  # all draws at once take 160 MB, their values as much again


@pytest.mark.parametrize("kind", ["O", "c16", "U3"])
def test_what_is_no_number_is_refused(kind):
    query, gallery, *labels = problem()
    with pytest.raises(DataError, match=r"query: holds .* expected numbers"):
        score(query.astype(kind), gallery, *labels)


def test_numbers_beyond_float64_are_refused():
    query, gallery, *labels = problem()
    wide = gallery.astype(np.longdouble)
    wide[0, 0] = np.longdouble(10) ** 400
    if not np.isfinite(wide).all():
        pytest.skip("long double is float64 here")
    with pytest.raises(DataError, match="gallery: has values beyond the range of float64"):
        score(query, wide, *labels)
