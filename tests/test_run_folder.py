import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers import save_run, small_settings
from iiae.data import load
from iiae.errors import RunError
from iiae.run_folder import (
    METRICS,
    MODEL,
    SETTINGS,
    current_metrics,
    load_metrics,
    load_pairs,
    load_run,
    save_metrics,
    save_pairs,
    save_weights,
    weights_digest,
)
from iiae.training import fit


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    fit(small_settings(), path, progress=False)
    return path


def test_a_loaded_run_gives_the_same_answers(folder):
    x = torch.randn(5, 32)
    one, other = load_run(folder), load_run(folder)
    assert torch.equal(one.model.encode_x(x).shared.mean, other.model.encode_x(x).shared.mean)
    assert not one.model.training
    assert one.settings == small_settings()


def test_the_digest_is_of_the_weights_and_not_of_the_files_order(tmp_path):
    run = save_run(tmp_path, small_settings())
    path, weights = tmp_path / MODEL, load_file(tmp_path / MODEL)
    digest = weights_digest(tmp_path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    turned = json.dumps(dict(reversed(header.items()))).encode()
    path.write_bytes(len(turned).to_bytes(8, "little") + turned + content[8 + size :])
    assert weights_digest(tmp_path) == digest
    name = next(name for name, tensor in weights.items() if tensor.is_floating_point())
    for changed in (
        {name: weights[name] + 1},
        {name: weights[name].double()},
        {name: weights[name].unsqueeze(0)},
        {"another": torch.zeros(1)},
    ):
        save_weights(path, {**weights, **changed}, run.shapes)
        assert weights_digest(tmp_path) != digest
    path.write_bytes(b"damaged")
    with pytest.raises(RunError, match="cannot be read"):
        weights_digest(tmp_path)


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


def test_a_run_records_which_pairs_train_validate_and_test(folder):
    data, record = load(small_settings().data), load_pairs(folder)
    for name, pairs in data._asdict().items():
        assert record[name].digest == pairs.digest()
        assert record[name].pairs == len(pairs)
    assert len({record[name].digest for name in record}) == 3


def copy(folder, to, without=()):
    to.mkdir()
    for name in (SETTINGS, MODEL):
        if name not in without:
            (to / name).write_bytes((folder / name).read_bytes())
    return to


def test_what_is_no_run_is_refused(folder, tmp_path):
    with pytest.raises(RunError, match=r"not a run folder: it has no settings.toml"):
        load_run(tmp_path)
    with pytest.raises(RunError, match=r"has no model.safetensors"):
        load_run(copy(folder, tmp_path / "a", {MODEL}))


def test_damaged_weights_are_refused(folder, tmp_path):
    cut = copy(folder, tmp_path / "cut")
    (cut / MODEL).write_bytes((cut / MODEL).read_bytes()[:1000])
    with pytest.raises(RunError, match="damaged, or not of these settings"):
        load_run(cut)
    other = copy(folder, tmp_path / "other")
    save_file({"a": torch.zeros(1)}, other / MODEL, {"shapes": "[[32], [32]]"})
    with pytest.raises(RunError, match="damaged, or not of these settings"):
        load_run(other)
    foreign = copy(folder, tmp_path / "foreign")
    save_file({"a": torch.zeros(1)}, foreign / MODEL)
    with pytest.raises(RunError, match="damaged, or not of these settings"):
        load_run(foreign)


def test_an_unfinished_run_says_how_to_go_on(folder, tmp_path):
    unfinished = copy(folder, tmp_path / "u", {MODEL})
    (unfinished / "checkpoints").mkdir()
    (unfinished / "checkpoints" / "last.ckpt").write_bytes(b"")
    with pytest.raises(RunError, match="training has not finished: iiae train --resume --out"):
        load_run(unfinished)
