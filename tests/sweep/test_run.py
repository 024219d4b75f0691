import csv
import json
import signal
import subprocess
import sys
import time

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from helpers import small_settings
from iiae.errors import MissingExtra, RunError, SettingsError
from iiae.files.atomic import write_text
from iiae.results import load_results
from iiae.run_folder import CHECKPOINT, MODEL, load_history, load_run
from iiae.settings import dump_settings
from iiae.sweep.pareto import LEAKS, sweep_table
from iiae.sweep.processes import LOG, WANTED, run_one
from iiae.sweep.rows import select
from iiae.sweep.run import sweep


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    path = tmp_path_factory.mktemp("experiment") / "small.toml"
    path.write_text(dump_settings(small_settings("training.epochs=1")))
    return path


@pytest.fixture(scope="module")
def swept(experiment, tmp_path_factory):
    """A good run, and one that fails: `small` networks take images."""
    out = tmp_path_factory.mktemp("sweep") / "out"
    seen = []
    over = ["model.family=features,small", "objective.lam=0.5"]
    found = sweep(experiment, over, out, processes=2, progress=lambda *n: seen.append(n))
    return out, over, found, seen


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ("objective.lamda=1", "did you mean objective.lam"),
        ("objective.lam=much", "objective.lam = 'much'"),
        ("training.epochs=1,0", "training.epochs = 0"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(experiment, tmp_path, over, message):
    with pytest.raises(SettingsError, match=message):
        sweep(str(experiment), over, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_refused(experiment, tmp_path, swept):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="holds other files"):
        sweep(experiment, ["objective.lam=0"], tmp_path)
    with pytest.raises(RunError, match="is a file"):
        sweep(experiment, ["objective.lam=0"], tmp_path / "notes.txt")
    with pytest.raises(RunError, match="another sweep, with other values"):
        sweep(experiment, ["objective.lam=0.5"], swept[0])
    other = tmp_path / "other.toml"
    other.write_text(dump_settings(small_settings("training.epochs=3")))
    with pytest.raises(RunError, match="another sweep, with other settings"):
        sweep(other, swept[1], swept[0])


def test_without_its_extras_a_sweep_says_so_before_training(experiment, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match="iiae sweep needs the extra 'report'"):
        sweep(experiment, ["objective.lam=0"], tmp_path / "out")


def test_every_combination_is_a_run_and_a_row(swept):
    out, _, found, seen = swept
    with (out / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == [row["run"] for row in found.rows]
    done = [row for row in rows if row["status"] == "done"]
    assert len(done) == 1
    for row in done:
        run = load_run(out / row["run"])
        assert run.settings.objective.lam == float(row["objective.lam"])
        test = load_results(run.folder).test
        assert float(row["recall_x_to_y"]) == test.retrieval.shared_x_to_y.recall[1].rate
        assert float(row["kl_s_x"]) == test.nats.kl_s_x
        assert row["largest_leak_mean_of"].endswith(
            ("from z_x", "from z_y", "from z_s given x", "from z_s given y")
        )
        assert all(0 <= float(row[name]) <= 1 for name in LEAKS)
        assert float(row["seconds"]) > 0
    assert seen[-1] == (2, 2)


def test_a_failed_run_is_recorded_and_stops_no_other(swept):
    _, _, found, _ = swept
    failed = [row for row in found.rows if row["status"] == "failed"]
    assert [row["model.family"] for row in failed] == ["small"]
    assert failed[0]["message"].startswith("SettingsError: model.family = 'small' takes")
    table = sweep_table(found.rows)
    assert "Failed, 1 of 2" in table.note
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert table.rows[1][:2] == ["small", "0.5"]
    assert table.rows[1][2] == "-"


def test_the_picture_is_a_png(swept):
    with Image.open(swept[2].picture) as image:
        assert image.format == "PNG"
        assert image.width > 800


@pytest.mark.slow
def test_trained_runs_are_evaluated_and_half_done_ones_resumed(experiment, tmp_path):
    out, over = tmp_path / "out", ["objective.lam=0,1"]
    first = sweep(experiment, over, out, processes=2)
    trained, cut = (out / row["run"] for row in first.rows)
    metrics = json.loads((trained / "metrics.json").read_text())
    del metrics["test"]
    (trained / "metrics.json").write_text(json.dumps(metrics))
    before = (trained / MODEL).stat().st_mtime_ns
    weights, history = load_file(cut / MODEL), load_history(cut)
    # as a run is left whose last epoch was saved, and nothing after it
    (cut / MODEL).unlink()
    (cut / "metrics.json").unlink()
    assert (cut / CHECKPOINT).is_file()
    second = sweep(experiment, over, out, processes=2)
    assert (trained / MODEL).stat().st_mtime_ns == before
    again = load_file(cut / MODEL)
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    assert load_history(cut) == history
    assert [{**row, "seconds": 0} for row in first.rows] == [
        {**row, "seconds": 0} for row in second.rows
    ]


@pytest.mark.slow
def test_ctrl_c_saves_the_runs_under_way(tmp_path):
    (tmp_path / "long.toml").write_text(dump_settings(small_settings("training.epochs=100000")))
    command = [
        sys.executable, "-c", "from iiae.commands.app import main; main()", "sweep", "long.toml",
        "--over", "objective.lam=0,1,2", "--out", "out",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list((tmp_path / "out").glob("*/history.csv"))) == 2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip() == "stopped; the same command resumes the sweep"
    saved = sorted(path.parent.parent for path in (tmp_path / "out").glob(f"*/{CHECKPOINT}"))
    assert [path.name for path in saved] == ["000-lam=0", "001-lam=1"]
    assert all("Interrupted: stopped at step" in (path / LOG).read_text() for path in saved)


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_the_command_keeps_finished_runs_and_says_what_failed(swept, experiment, iiae):
    out, over, found, _ = swept
    model = out / found.rows[0]["run"] / MODEL
    before = model.stat().st_mtime_ns
    command = ("sweep", experiment, "--out", out)
    code, shown, err = iiae(*command, *[word for one in over for word in ("--over", one)])
    assert code == 0, err
    assert "Sweep of 2 runs" in shown
    assert "Failed, 1 of 2: 001-family=small" in " ".join(shown.split())
    assert model.stat().st_mtime_ns == before
    assert "pareto.png" in shown
    assert "most balance on validation pairs" in shown
    code, _, err = iiae(*command, "--seeds", "a")
    assert code == 2
    assert "--seeds a: must be whole numbers" in err


def test_a_run_that_is_stopped_before_all_its_scores_is_not_finished(tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    folder = tmp_path / "out" / "000"
    write_text(folder / WANTED, dump_settings(small_settings("training.epochs=1")))
    with monkeypatch.context() as patch:
        patch.setattr("iiae.evidence.label_free.label_free_scores", stopped)
        with pytest.raises(KeyboardInterrupt):
            run_one(folder)
    assert load_results(folder).test is None
    run_one(folder)
    assert load_results(folder).test
    assert load_results(folder).label_free


def test_a_run_with_one_validation_pair_is_evaluated_without_label_free_scores(tmp_path):
    folder = tmp_path / "out" / "000"
    settings = small_settings("training.epochs=1", "data.validation=1")
    write_text(folder / WANTED, dump_settings(settings))
    run_one(folder)
    assert load_results(folder).test
    assert load_results(folder).label_free is None


def test_a_sweep_scores_its_runs_without_labels_and_selects_the_highest(swept):
    rows = swept[2].rows
    done = [row for row in rows if row["status"] == "done"]
    assert all(isinstance(row["label_free_balance"], float) for row in done)
    assert select(rows, "nats")["status"] == "done"


def test_the_command_refuses_a_score_that_is_none(tmp_path, iiae):
    over = ["--over", "objective.lam=0,1", "--out", tmp_path / "out", "--select", "fame"]
    code, _, err = iiae("sweep", tmp_path / "none.toml", *over)
    assert code == 2
    assert "is no score" in err
