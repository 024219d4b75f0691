"""One of each is added from outside the package: tests/outside.py."""

import json

import pytest

from iiae.errors import SettingsError
from iiae.run_folder import METRICS, load_run
from iiae.settings import make_settings
from iiae.training import fit
from outside import StudentHead

BASE = {
    "data": {"name": "outside:WAVES", "limit": 200},
    "model": {"family": "outside:LINEAR", "exclusive": 2, "shared": 3},
    "objective": {"x": {"kind": "outside:STUDENT"}, "y": {"kind": "normal", "weight": 50.0}},
    "training": {"epochs": 3, "batch": 50},
    "evaluation": {"tasks": ["outside:spread"]},
}


def test_a_run_of_parts_from_outside_is_trained_loaded_and_measured(tmp_path, iiae):
    run = fit(make_settings(BASE), tmp_path, progress=False)
    head = run.model.decoder_x.head
    assert isinstance(head, StudentHead)
    assert head.log_freedom.item() != pytest.approx(1.6094379)  # learned with the rest
    again = load_run(tmp_path)
    assert again.model.decoder_x.head.log_freedom == head.log_freedom
    code, out, err = iiae("evaluate", tmp_path)
    assert code == 0, err
    assert "A measure of your own" in out
    results = json.loads((tmp_path / METRICS).read_text())["test"]
    assert results["tasks"]["outside:spread"]["spread"] > 0
    assert results["nats"]["nll_x"] < 100


@pytest.mark.parametrize(
    ("section", "name", "message"),
    [
        ("model.family", "outside:NOTHING", "outside:NOTHING: cannot be imported"),
        ("model.family", "nowhere:LINEAR", "nowhere:LINEAR: cannot be imported"),
        ("model.family", "outside:WAVES", "is DataSet, not Family"),
        ("objective.x.kind", "outside:LINEAR", "is Family, not LikelihoodKind"),
        ("data.name", "outside:LINEAR", "is Family, not DataSet"),
        ("evaluation.tasks", ["outside:WAVES"], "is DataSet, not Callable"),
        ("model.width", 8, "model.width has no effect on 'outside:LINEAR'"),
        ("data.size", 16, "data.size = 16: has no effect on outside:WAVES"),
        ("model.family", "linear", "model.family = 'linear': give small, image-map, image-flat"),
        ("objective.x.kind", "laplac", "did you mean laplace"),
    ],
)
def test_a_part_that_is_not_there_is_named(tmp_path, section, name, message):
    def trained():
        fit(make_settings(BASE, [f"{section}={json.dumps(name)}"]), tmp_path, progress=False)

    with pytest.raises(SettingsError, match=message):
        trained()
