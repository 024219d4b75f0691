import numpy as np

from gallery_made import items
from iiae.search import ivf


def test_past_a_size_an_index_answers_and_finds_what_exact_search_finds(gallery, monkeypatch):
    rows = items(4000)
    gallery.put(rows)
    queries = np.random.default_rng(1).normal(size=(50, 4))
    assert gallery.tidy().startswith("exact search over 4,000 x 4")
    exact = gallery.search(queries)
    monkeypatch.setattr(ivf, "EXACT_VALUES", 10_000)
    monkeypatch.setattr(ivf, "EXACT_ROWS", 1000)
    assert "IVF_FLAT index over 4,000 x 4, 63 cells, built in" in gallery.tidy()
    indexed = gallery.search(queries)
    assert indexed.method == "IVF_FLAT, 32 cells"
    pairs = zip(exact.hits, indexed.hits, strict=True)
    common = sum(len({h.path for h in a} & {h.path for h in b}) for a, b in pairs)
    assert common / 500 >= 0.95
    gallery.put(items(10, start=4000, seed=2))  # not in the index yet, and a hit all the same
    new = items(10, start=4000, seed=2)
    assert gallery.search(new.shared[:1], 1).hits[0][0].path == new.paths[0]
    assert gallery.tidy() == "IVF_FLAT index over 4,010 x 4"
