"""Curves for other programs."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from helpers import small_settings
from iiae.errors import MissingExtra
from iiae.run_folder import load_history
from iiae.training import fit


def module(monkeypatch, name, **functions):
    made = ModuleType(name)
    made.__spec__ = SimpleNamespace(name=name, loader=None)
    vars(made).update(functions)
    monkeypatch.setitem(sys.modules, name, made)


def test_wandb_gets_every_epoch_and_the_settings(tmp_path, monkeypatch):
    logged, begun, ended = [], [], []
    run = SimpleNamespace(
        log=lambda values, step: logged.append((step, values)), finish=lambda: ended.append(True)
    )
    module(monkeypatch, "wandb", init=lambda **given: begun.append(given) or run)
    fit(small_settings('training.logger="wandb"'), tmp_path / "mine", progress=False)
    (given,) = begun
    assert given["name"] == "mine" and given["config"]["training"]["logger"] == "wandb"
    assert [values["epoch"] for _, values in logged] == [1, 2]
    assert logged[0][0] == logged[0][1]["step"] > 0
    assert ended == [True]


def test_mlflow_gets_every_epoch_and_the_settings(tmp_path, monkeypatch):
    calls = []
    names = ("set_experiment", "start_run", "log_dict", "log_metrics", "end_run")
    record = {n: lambda *a, n=n, **k: calls.append((n, a, k)) for n in names}
    module(monkeypatch, "mlflow", **record)
    fit(small_settings('training.logger="mlflow"'), tmp_path / "mine", progress=False)
    assert [name for name, *_ in calls] == [*names[:3], "log_metrics", "log_metrics", "end_run"]
    assert calls[1][2] == {"run_name": "mine"}
    written = load_history(tmp_path / "mine")
    for (_, (values,), where), row in zip(calls[3:5], written, strict=True):
        assert values == pytest.approx(row) and where["step"] == row["step"]


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_logger_that_is_missing_is_named_before_training(tmp_path, monkeypatch, name):
    monkeypatch.setattr("iiae.training.loggers.find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=rf"iiae\[{name}\]"):
        fit(small_settings(f'training.logger="{name}"'), tmp_path / "mine", progress=False)
    assert not list((tmp_path / "mine").glob("*"))


def test_none_writes_no_curves(tmp_path):
    fit(small_settings('training.logger="none"'), tmp_path, progress=False)
    assert not (tmp_path / "tensorboard").exists()
