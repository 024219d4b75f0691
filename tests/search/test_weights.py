import numpy as np
import pytest

pytest.importorskip("lancedb", reason="the extra 'search' is not installed")

from iiae.errors import GalleryError
from iiae.search.gallery import Gallery
from iiae.search.items import GalleryInfo, Items
from iiae.search.weights import Weights, read_weights, search_weighted

N, SHARED, OWN = 60, 5, 3


def filled(folder, distance):
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=(N, SHARED)) * 9, rng.normal(size=(N, OWN))
    names = [f"/c/{i}.png" for i in range(N)]
    gallery = Gallery.create(folder, GalleryInfo("m", "y", distance, SHARED, OWN))
    labels = ["odd" if i % 2 else "even" for i in range(N)]
    vectors = [values.astype(np.float32) for values in (shared, own)]  # as galleries store them
    gallery.put(Items(names, names, labels, *vectors, [{}] * N))
    return gallery, *vectors


def apart(a, b, distance):
    a, b = a.astype(np.float64), b.astype(np.float64)
    if distance == "cosine":
        return 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    return ((a - b) ** 2).sum()


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_both_latents_count_by_their_weights_as_slow_loops_say(tmp_path, distance):
    gallery, *items = filled(tmp_path / "g", distance)
    weights = (1.0, 0.25)
    queries = [latent[:3] + 0.1 for latent in items]
    answer = search_weighted(gallery, *queries, Weights(*weights), top=N)
    for q in range(3):
        total = np.zeros(N)
        for latent, asked, weight in zip(items, queries, weights, strict=True):
            typical = np.mean([apart(a, b, distance) for a in latent for b in latent])
            far = np.array([apart(asked[q], item, distance) for item in latent])
            total += weight * far / typical
        expected = np.sqrt(total / sum(weights))
        order = np.argsort(expected)
        assert [hit.path for hit in answer.hits[q]] == [f"/c/{i}.png" for i in order]
        distances = [hit.distance for hit in answer.hits[q]]
        assert distances == pytest.approx(expected[order].tolist(), rel=1e-4)


def test_one_weight_alone_ranks_as_that_latent_does(tmp_path):
    gallery, *items = filled(tmp_path / "g", "euclidean")
    for latent, values, weights in zip(
        ("shared", "exclusive"), items, ((2, 0), (0, 2)), strict=True
    ):
        alone = gallery.search(values[:4], 10, by=latent)
        weighted = search_weighted(gallery, items[0][:4], items[1][:4], Weights(*weights), 10)
        for a, b in zip(alone.hits, weighted.hits, strict=True):
            assert [hit.path for hit in a] == [hit.path for hit in b]


def test_a_filter_keeps_what_counts_as_typical(tmp_path):
    gallery, *items = filled(tmp_path / "g", "euclidean")
    queries = [latent[:1] for latent in items]
    every = search_weighted(gallery, *queries, Weights(1, 1), N).hits[0]
    odd = search_weighted(gallery, *queries, Weights(1, 1), N, "label = 'odd'").hits[0]
    expected = [hit for hit in every if hit.label == "odd"]
    assert [hit.path for hit in odd] == [hit.path for hit in expected]
    assert [h.distance for h in odd] == pytest.approx([h.distance for h in expected])


def test_weights_are_read_from_text_and_mappings():
    assert read_weights("shared") == (1, 0)
    assert read_weights({"shared": 1, "exclusive": 3}) == (1, 3)
    assert read_weights("exclusive=2, shared=1") == (1, 2)
    assert (Weights(1, 1).alone, Weights(0, 2).alone) == (None, "exclusive")
    for wrong in ("look", "shared=-1", "shared=0", "shared=a", "", {"shared": float("nan")}):
        with pytest.raises(GalleryError, match="with weights"):
            read_weights(wrong)
