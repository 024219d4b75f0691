import numpy as np
import pytest
import torch

from iiae.data.classes.collections import Labelled
from iiae.data.classes.pairs import ClassPairs
from iiae.evaluation.classes import retrieve_classes
from iiae.evaluation.evaluate import evaluate
from iiae.model.build import build_model
from iiae.model.latents import embed_sides
from iiae.report.result_tables import result_tables
from iiae.run_folder import StoredRun
from iiae.settings import make_settings
from iiae.types import PerDomain


def make(order=None, counts=(4, 6)):
    generator = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], counts[0]), np.repeat(["a", "b", "c"], counts[1])
    sides = []
    for names in labels:
        values = generator.standard_normal((len(names), 5)).astype(np.float32)
        values[np.arange(len(names)), ["abc".index(n) for n in names]] += 3
        sides.append(
            Labelled(torch.from_numpy(values), names, np.array([str(i) for i in range(len(names))]))
        )
    y = sides[1] if order is None else sides[1].at(order)
    return ClassPairs(sides[0], y, "test")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    settings = make_settings(
        {
            "data": {"name": "classes"},
            "model": {"family": "features", "shared": 4, "exclusive": 3, "width": 8},
            "evaluation": {"cutoffs": [2, 100]},
        }
    )
    model = build_model(settings.model, settings.objective, ((5,), (5,))).eval()
    return StoredRun(tmp_path_factory.mktemp("run"), settings, model, PerDomain((5,), (5,)))


def ranked(run, pairs):
    embeddings = embed_sides(run.model, *pairs.sides(7))
    return retrieve_classes(embeddings, run.model.active, pairs, (2,), 0)


def test_queries_and_gallery_may_differ_in_number(run):
    retrieval = ranked(run, make())
    assert (retrieval.shared_x_to_y.queries, retrieval.shared_x_to_y.gallery) == (12, 18)
    assert (retrieval.shared_y_to_x.queries, retrieval.shared_y_to_x.gallery) == (18, 12)
    assert retrieval.shared_x_to_y.chance["precision@2"] == pytest.approx(1 / 3)
    assert retrieval.shared_x_to_y.chance["map@all"] > 1 / 3
    assert retrieval.shared_x_to_y.chance["recall@2"] == pytest.approx(2 / 18)
    assert retrieval.shared_y_to_x.chance["recall@2"] == pytest.approx(2 / 12)


def test_no_pairing_reaches_evaluation(run):
    """Whatever the order of the gallery, and so whoever is paired with whom."""
    plain = ranked(run, make())
    shuffled = ranked(run, make(np.random.default_rng(1).permutation(18)))
    for name, value in plain.shared_x_to_y.mean.items():
        assert shuffled.shared_x_to_y.mean[name] == pytest.approx(value, abs=1e-6)


def test_one_query_alone_scores_as_among_others(run):
    pairs = make()
    embeddings = embed_sides(run.model, *pairs.sides(100))
    alone = embed_sides(run.model, pairs.x.values[3:4].split(1), pairs.y.values.split(5))
    torch.testing.assert_close(alone.shared_given_x.mean[0], embeddings.shared_given_x.mean[3])


def test_evaluation_of_classes_has_its_own_tables(run):
    evaluation = evaluate(run, make(), "test")
    assert evaluation.retrieval is None
    assert set(evaluation.categories.shared_x_to_y.mean) >= {"map@all", "precision@2"}
    titles = [table.title for table in result_tables(evaluation)]
    assert titles[0].startswith("Category retrieval, 3 classes, test: 12 x, 18 y")


def test_cut_offs_that_fit_one_gallery_alone_have_a_dash_in_the_other(run):
    settings = run.settings.model_copy(
        update={"evaluation": run.settings.evaluation.model_copy(update={"cutoffs": (15,)})}
    )
    for counts in ((4, 6), (6, 4)):
        evaluation = evaluate(run._replace(settings=settings), make(counts=counts))
        table, classes = result_tables(evaluation)[:2]
        assert all(len(row) == len(table.columns) for row in table.rows)
        rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
        long, short = ("x to y", "y to x") if counts == (4, 6) else ("y to x", "x to y")
        assert rows["recall@15"][f"shared, {short}"] == "-"
        assert rows["recall@15"][f"shared, {long}"] != "-"
        assert rows["recall@15"][f"chance, {long}"] == f"{15 / 18:.4f}"
        assert rows["recall@12"][f"shared, {short}"] != "-"
        assert classes.columns == ["class", "map@all", "chance"]


def test_collapsed_latents_score_as_chance_in_collections_sorted_by_class(run):
    pairs = make()
    embeddings = embed_sides(run.model, *pairs.sides(100))
    same = embeddings._replace(
        **{k: v._replace(loc=torch.ones_like(v.loc)) for k, v in embeddings._asdict().items()}
    )
    means = []
    for seed in range(30):
        one = retrieve_classes(same, run.model.active, pairs, (2,), seed).shared_x_to_y
        means.append(one.mean["map@all"])
    assert np.mean(means) == pytest.approx(one.chance["map@all"], abs=0.03)
