import sys

import pytest
import torch

from helpers import small_settings
from iiae.data import load
from iiae.evaluation import evaluate
from iiae.objectives import elbo, information_bound
from iiae.tables import result_tables
from iiae.training import fit


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    return fit(small_settings("training.epochs=20"), tmp_path_factory.mktemp("run"), progress=False)


def test_everything_is_measured(run):
    found = evaluate(run, load(run.settings.data).test)
    assert found.pairs == 60
    assert {row.factor for row in found.readability} == {
        "shared", "exclusive to x", "exclusive to y",
    }  # fmt: skip
    terms = type(found.terms)(*(t[None] for t in found.terms))
    assert found.elbo == pytest.approx(elbo(terms).item(), rel=1e-5)
    assert found.information_bound == pytest.approx(information_bound(terms).item(), rel=1e-5)
    assert 0 < found.absolute_error[0] < 1


def test_evaluation_repeats_exactly_and_leaves_the_generator_alone(run):
    pairs = load(run.settings.data).test
    before = torch.get_rng_state()
    assert evaluate(run, pairs).as_dict() == evaluate(run, pairs).as_dict()
    assert torch.equal(before, torch.get_rng_state())


def test_tables_hold_every_number(run):
    found = evaluate(run, load(run.settings.data).test).as_dict()
    tables = result_tables(found)
    assert len(tables) == 3
    for table in tables:
        assert table.note
        assert all(len(row) == len(table.columns) for row in table.rows)
    rate = found["retrieval"]["shared_x_to_y"]["recall@1"]["rate"]
    assert tables[0].rows[0][1].startswith(f"{100 * rate:.2f} [")
    assert tables[0].rows[-1] == ["chance", "1.67", "8.33", "16.67"]


def test_without_the_extra_the_rest_is_measured_and_the_table_says_so(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    found = evaluate(run, load(run.settings.data).test).as_dict()
    assert found["readability"] is None
    assert "pip install 'iiae[sklearn]'" in result_tables(found)[1].note
