import sys
from pathlib import Path

import pytest
from PIL import Image

import translation
from iiae.data import load
from iiae.model.build import build_model
from iiae.settings import load_settings
from translation import Row, table

ROOT = Path(__file__).parents[2]


def run_study(monkeypatch, out):
    given = [str(ROOT / "experiments" / "digits-cdcb.toml"), "--quick", "--seeds", "0"]
    small = [
        "--set",
        "data.limit=64",
        "--set",
        "model.width=4",
        "--set",
        "evaluation.translations=40",
    ]
    monkeypatch.setattr(sys, "argv", ["translation.py", *given, *small, "--out", str(out)])
    translation.main()


def test_the_study_runs_and_a_repeat_trains_nothing(monkeypatch, tmp_path, capsys):
    run_study(monkeypatch, tmp_path)
    first = capsys.readouterr().out
    lines = [line for line in first.splitlines() if line.startswith("| ")]
    assert len(lines) == 1 + 2 * 4
    for to in "xy":
        with Image.open(tmp_path / "seed-0" / f"test-to-{to}.png") as image:
            assert image.width > 8 * 64 and image.height > 8 * 64
    (tmp_path / "seed-0" / "test.json").unlink()

    def refuse(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(translation, "train_regression", refuse)
    monkeypatch.setattr(translation.iiae, "fit", refuse)
    run_study(monkeypatch, tmp_path)
    assert capsys.readouterr().out == first


def test_means_are_over_seeds_and_what_is_not_measured_is_a_dash():
    rows = [
        Row("a", "x", seed, ssim=seed / 2, l1=0.1, diversity=0.0, content=float("nan"))
        for seed in (0, 1)
    ]
    assert table(rows).splitlines()[-1] == "| a | x | 0.250 | 0.100 | 0.000 | - |"
    assert "kernel" not in table(rows)


@pytest.mark.parametrize("to", ["x", "y"])
def test_regression_learns_to_predict_the_partner(to):
    overrides = ["data.limit=256", "model.width=8", "training.epochs=8", "training.batch=16"]
    settings = load_settings(ROOT / "experiments" / "digits-cdcb.toml", overrides)
    data = load(settings.data)
    model = translation.Regression(
        build_model(settings.model, settings.objective, data.train.shapes), to
    )
    before = translation.validation_difference(model, data, to)
    translation.train_regression(model, settings, data, to)
    assert translation.validation_difference(model, data, to) < 0.9 * before
