import json

import numpy as np
import pytest
import torch

from helpers import small_settings
from iiae.data import load
from iiae.data.arrays import ArrayPairs
from iiae.data.base import ChosenPairs
from iiae.errors import DataError
from iiae.evaluation.evaluate import evaluate
from iiae.objectives import Terms, elbo, information_bound
from iiae.report.tables import result_tables
from iiae.results import load_results
from iiae.run_folder import save_metrics
from iiae.training import fit
from iiae.types import Draw, plain


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    return fit(small_settings("training.epochs=20"), tmp_path_factory.mktemp("run"), progress=False)


def test_everything_is_measured(run):
    evaluation = evaluate(run, load(run.settings.data).test)
    assert evaluation.pairs == 60
    assert evaluation.readability.probes["means"].cells.keys() == {
        "shared", "exclusive to x", "exclusive to y",
    }  # fmt: skip
    *each, lower, bound = evaluation.nats
    terms = Terms(*(torch.tensor([value]) for value in each))
    assert lower == pytest.approx(elbo(terms).item(), rel=1e-5)
    assert bound == pytest.approx(information_bound(terms).item(), rel=1e-5)
    assert 0 < evaluation.absolute_error["x"] < 1


def test_evaluation_repeats_exactly_and_leaves_the_generator_alone(run):
    pairs = load(run.settings.data).test
    before = torch.get_rng_state()
    assert evaluate(run, pairs) == evaluate(run, pairs)
    assert torch.equal(before, torch.get_rng_state())


def test_tables_hold_every_number(run):
    evaluation = evaluate(run, load(run.settings.data).test)
    tables = result_tables(evaluation)
    assert len(tables) == 3
    for table in tables:
        assert table.note
        assert all(len(row) == len(table.columns) for row in table.rows)
    rate = evaluation.retrieval.shared_x_to_y.recall[1].rate
    assert tables[0].rows[0][1].startswith(f"{100 * rate:.2f} [")
    assert tables[0].rows[-1] == ["chance", "1.67", "8.33", "16.67"]


def test_results_are_the_same_when_they_were_stored(run):
    pairs = load(run.settings.data).test
    x, y = arrays(run)
    x[7, 0] = 1e30
    for split, evaluation in (
        ("test", evaluate(run, pairs)),
        ("test", evaluate(run, ArrayPairs(x, y))),
    ):
        save_metrics(run.folder, split, evaluation)
        stored = load_results(run.folder).test
        assert result_tables(stored) == result_tables(evaluation)
        assert plain(stored) == plain(evaluation)


def arrays(run):
    pair = load(run.settings.data).test.pairs(Draw(torch.arange(60)))
    return pair.x.numpy().copy(), pair.y.numpy().copy()


def recalls(evaluation):
    return {name: one.recall[1].rate for name, one in evaluation.retrieval._asdict().items()}


@pytest.mark.parametrize("value", [1e18, 1e30, 1e37])
def test_one_pair_out_of_range_changes_its_own_retrieval_alone(run, value):
    x, y = arrays(run)
    usual = recalls(evaluate(run, ArrayPairs(x, y)))
    x[7, 0] = value
    evaluation = evaluate(run, ArrayPairs(x, y))
    for name, rate in recalls(evaluation).items():
        assert abs(rate - usual[name]) < 3 / 60, name
    json.dumps(plain(evaluation), allow_nan=False)
    assert all(len(row) == len(t.columns) for t in result_tables(evaluation) for row in t.rows)


def test_latents_that_are_not_finite_end_evaluation_with_row_and_domain(run):
    x, y = arrays(run)
    y[7] = 3e38
    with pytest.raises(DataError, match="row 7 of y: its latents are not finite"):
        evaluate(run, ArrayPairs(x, y))


def test_several_pairs_with_one_y_are_told_and_counted_as_one_answer(run):
    x, y = arrays(run)
    of = np.arange(60) // 5
    evaluation = evaluate(run, ArrayPairs(x, y[of * 5]))
    assert evaluation.items == {"x": (60, 0), "y": (12, 60)}
    assert evaluation.retrieval.shared_x_to_y.chance[1] == pytest.approx(1 / 12)
    assert evaluation.retrieval.shared_y_to_x.chance[1] == pytest.approx(5 / 60)
    assert "60 of 60 y are equal to another" in result_tables(evaluation)[0].note


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_fewer_pairs_than_folds_are_evaluated_without_probes(run, count):
    few = ChosenPairs(load(run.settings.data).test, torch.arange(count))
    evaluation = evaluate(run, few)
    json.dumps(plain(evaluation), allow_nan=False)
    assert evaluation.readability.probes == {} and len(evaluation.readability.refused) == 3
    assert f"Not read: {count} samples; probes on 5 folds" in result_tables(evaluation)[1].note


def test_where_no_dimension_is_active_the_table_says_so(run):
    x, y = arrays(run)
    x[:] = 0.3
    evaluation = evaluate(run, ArrayPairs(x, y))
    assert evaluation.largest_nats == 0
    model_keeps_all = evaluation._replace(active_dimensions=evaluation.shared_dimensions)
    assert "none is active here" in result_tables(model_keeps_all)[0].note
