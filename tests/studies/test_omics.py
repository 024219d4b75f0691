import numpy as np
import pytest

import omics
import omics_methods
from iiae.data.suggest import suggest_settings_of
from omics_methods import Made
from omics_probes import Latent, accuracy, clusters, few_labels, probes
from omics_sets import Lone, Omics

rng = np.random.default_rng(0)
KINDS = np.array(["B", "T"])


def made(rows=150, lone=0):
    """Counts of two types in two batches, of which the batch moves x alone."""
    both = rows + lone
    kind, batch = rng.integers(2, size=(2, both))
    x = rng.poisson(np.exp(1 + np.outer(kind, [2, 0, 2, 0]) + np.outer(batch, [0, 1, 0, 1])))
    y = rng.poisson(np.exp(1 + np.outer(kind, [1, 2, 0])))
    labels = {"type": KINDS[kind], "batch": batch.astype(str), "mitochondrial": x[:, 1] * 1.0}
    own = {name: values[:rows] for name, values in labels.items()}
    more = Lone(x[rows:], {name: values[rows:] for name, values in labels.items()})
    return Omics(x[:rows] * 1.0, y[:rows] * 1.0, own, True, more if lone else None)


def test_a_batch_is_told_from_a_latent_that_has_it_and_not_from_noise():
    label = rng.integers(2, size=400).astype(str)
    of = (label == "1")[:, None] + 0.1 * rng.normal(size=(400, 2))
    noise = rng.normal(size=(400, 2))
    assert accuracy(Latent(of[:200], of[200:]), label[:200], label[200:]) > 0.95
    assert accuracy(Latent(noise[:200], noise[200:]), label[:200], label[200:]) < 0.65


def test_clusters_of_cells_of_no_known_type_do_not_count():
    kinds = np.array(["B"] * 40 + ["T"] * 40 + [""] * 40)
    apart = np.r_[np.zeros(40), np.ones(40), rng.uniform(size=40)][:, None]
    assert clusters(apart, kinds, 0) == (pytest.approx(1), pytest.approx(1))


def test_few_labels_are_enough_where_types_lie_apart():
    kinds = KINDS[rng.integers(2, size=200)]
    apart = (kinds == "T")[:, None] * 5 + rng.normal(size=(200, 1))
    latent = Latent(apart[:100], apart[100:])
    assert few_labels(latent, kinds[:100], kinds[100:], 0) > 0.9
    noise = Latent(*rng.normal(size=(2, 100, 3)))
    assert few_labels(noise, kinds[:100], kinds[100:], 0) < 0.65


def test_labels_of_lone_samples_are_read_where_a_latent_has_them():
    set_ = made(100, lone=30)
    parts = np.arange(80), np.arange(80, 90), np.arange(90, 100)
    given = omics.given_of(set_, parts, 0)
    found = omics.METHODS["components"](given).latents
    assert len(found["components of x"].test) == 40
    assert len(found["components of y"].test) == 10
    labels = {k: v[parts[0]] for k, v in set_.labels.items()}
    test = {k: np.r_[v[parts[2]], set_.lone.labels[k]] for k, v in set_.labels.items()}
    assert set(probes(found["components of x"], labels, test, 0)) == {
        "ari", "nmi", "type of 10", "batch", "batch by SVM", "mitochondrial",
    }  # fmt: skip


def test_a_batch_is_read_from_types_as_far_as_batches_differ_in_their_cells():
    label = rng.integers(2, size=400).astype(str)
    other = np.where(label == "1", "B", KINDS[rng.integers(2, size=400)])
    for kinds, low, high in ((other, 0.7, 0.8), (KINDS[rng.integers(2, size=400)], 0.4, 0.6)):
        parts = ({"type": kinds[some]} for some in (slice(200), slice(200, 400)))
        [latent] = omics.types_alone(*parts).values()
        assert low < accuracy(latent, label[:200], label[200:]) < high


def test_the_share_in_the_interval_by_hand():
    truth = np.array([[0.0, 2.0], [1.0, 5.0]])
    found = omics.measured(
        Made(predicted=truth, low=truth - 1, high=truth + np.array([[1, 1], [-0.5, 1]])), truth
    )
    assert found["in 90%"] == 0.75
    assert found["r of y"] == pytest.approx(1)
    assert found["foscttm x to y"] is None


@pytest.mark.parametrize("method", ["components", "CCA", "ridge"])
def test_rivals_give_a_row_that_the_tables_take(method, monkeypatch):
    monkeypatch.setitem(omics.SETS, "made", lambda data: made(1000))
    row = omics.row("made", method, 0, None)
    text = omics.table([row], "pairs", omics.PAIRS) + omics.table([row], "latents", omics.READ)
    assert text.count("| made |") == 1 + len(row["latents"])
    if method == "ridge":
        assert row["pairs"][""]["r of y"] > 0.3
        assert row["pairs"][""]["in 90%"] == pytest.approx(0.9, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["iiae", "iiae, batch", "iiae, counts"])
def test_iiae_gives_every_measure(method, monkeypatch):
    def shorter(pairs):  # a quarter of the epochs is enough for four genes
        settings = suggest_settings_of(pairs)
        return settings | {"training": settings["training"] | {"epochs": 75}}

    monkeypatch.setattr(omics_methods, "suggest_settings_of", shorter)
    monkeypatch.setitem(omics.SETS, "bmmc_cite_starter", lambda data: made(300))
    assert omics.applies(method, "bmmc_cite_starter")
    row = omics.row("bmmc_cite_starter", method, 0, None)
    assert row["pairs"][""]["r of y"] > 0.3
    assert row["pairs"][""]["in 90%"] == pytest.approx(0.9, abs=0.1)
    assert set(row["latents"]) == {"z_s of both", "z_s of x", "z_s of y", "z_x", "z_y"}
    assert row["latents"]["z_s of both"]["ari"] > 0.5


def test_methods_are_left_out_where_the_data_has_nothing_for_them():
    assert not omics.applies("iiae, counts", "breast_tcga")
    assert not omics.applies("iiae, batch", "pbmc10k_cite")
    assert omics.applies("totalVI", "pbmc10k_cite")
    assert not omics.applies("totalVI", "bmmc_cite_starter")
