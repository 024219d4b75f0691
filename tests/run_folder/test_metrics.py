import json

from helpers import save_run, small_settings
from iiae.data import load
from iiae.run_folder import (
    METRICS,
    MODEL,
    current_metrics,
    load_metrics,
    save_metrics,
    save_pairs,
    save_weights,
)


def test_metrics_say_how_they_came_about(folder):
    found = load_metrics(folder)["training"]
    assert found["seed"] == 0
    assert found["pairs"] == {"train": 200, "validation": 40, "test": 60}
    assert {"command", "commit", "python", "versions", "hardware"} <= found["made_with"].keys()


def test_sections_of_metrics_do_not_touch_each_other(tmp_path):
    save_run(tmp_path, small_settings())
    save_metrics(tmp_path, "one", {"a": 1})
    save_metrics(tmp_path, "two", {"b": 2})
    save_metrics(tmp_path, "one", {"a": 3})
    found = json.loads((tmp_path / METRICS).read_text())
    assert found["one"]["a"] == 3
    assert found["two"]["b"] == 2


def test_numbers_that_are_not_finite_are_null_in_metrics(tmp_path):
    save_run(tmp_path, small_settings())
    save_metrics(tmp_path, "one", {"a": float("nan"), "b": [float("inf"), 1.0]})
    assert load_metrics(tmp_path)["one"]["a"] is None
    assert load_metrics(tmp_path)["one"]["b"] == [None, 1.0]


def test_sections_of_other_weights_or_data_are_left_out_with_a_word(tmp_path, caplog):
    run = save_run(tmp_path, small_settings())
    pairs = load(run.settings.data)
    save_pairs(tmp_path, pairs)
    save_metrics(tmp_path, "test", {"a": 1}, pairs.test.digest())
    save_metrics(tmp_path, "elsewhere", {"a": 1}, "another digest")
    assert current_metrics(tmp_path).keys() == {"test"}
    assert "section elsewhere is of other data" in caplog.text
    changed = {k: v + 1 if v.is_floating_point() else v for k, v in run.model.state_dict().items()}
    save_weights(tmp_path / MODEL, changed, run.shapes)
    assert current_metrics(tmp_path) == {}
    assert "section test is of other weights" in caplog.text
    save_metrics(tmp_path, "training", {"b": 2})
    assert load_metrics(tmp_path).keys() == {"training"}
