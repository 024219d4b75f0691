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
from iiae.results import CategoryRetrieval, Readability, load_results
from iiae.run_folder import CHECKPOINT, MODEL, load_history, load_run
from iiae.settings import dump_settings
from iiae.sweep.pareto import LEAKS, sweep_table
from iiae.sweep.run import LOG, _retrieval, plan, select, sweep
from results_made import evaluation, scores


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


def test_a_plan_is_every_combination_with_its_own_folder():
    found = plan(["objective.lam=0,0.3", "objective.beta=1"], [0, 7])
    assert [one.values for one in found] == [
        {"objective.lam": lam, "objective.beta": "1", "training.seed": seed}
        for lam in ("0", "0.3")
        for seed in ("0", "7")
    ]
    assert found[0].name == "000-lam=0-beta=1-seed=0"
    assert len({one.name for one in found}) == 4


def test_settings_of_one_name_are_told_apart_and_names_are_safe():
    (one,) = plan(["objective.x.weight=1", "objective.y.weight=2", "data.root=a/../b"])
    assert one.name == "000-objective.x.weight=1-objective.y.weight=2-data.root=a_.._b"


def test_commas_in_brackets_belong_to_the_value():
    found = plan(["evaluation.cutoffs=[1,2],[3]"])
    assert [one.values["evaluation.cutoffs"] for one in found] == ["[1,2]", "[3]"]


@pytest.mark.parametrize(
    ("over", "seeds", "message"),
    [
        ([], [], "nothing to sweep"),
        (["objective.lam"], [], "write section.name=value,value"),
        (["objective.lam="], [], "none of them empty"),
        (["objective.lam=1,,2"], [], "none of them empty"),
        (["objective.lam=1,1"], [], "1 comes twice"),
        (["objective.lam=1", "objective.lam=2"], [], "swept already"),
        (["training.seed=1"], [2], "in --over and in --seeds"),
    ],
)
def test_what_cannot_be_planned_is_refused(over, seeds, message):
    with pytest.raises(SettingsError, match=message):
        plan(over, seeds)


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ("objective.lamda=1", "did you mean lam"),
        ("objective.lam=much", "objective.lam = 'much'"),
        ("training.epochs=1,0", "training.epochs = 0"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(experiment, tmp_path, over, message):
    with pytest.raises(SettingsError, match=message):
        sweep(experiment, [over], tmp_path / "out")
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


def test_a_row_of_classes_has_the_chance_of_the_measure_that_it_shows():
    each = ((0.4, 0.45), (0.5, 0.35), (0.3, 0.45))
    x, y, own = (scores(**{"map@all": one}) for one in each)
    test = evaluation(30, None, Readability({}, {}))
    row = _retrieval(test._replace(categories=CategoryRetrieval("test", 3, x, y, None, own)))
    assert row["measure"] == "map@all"
    assert (row["recall_x_to_y"], row["recall_y_to_x"]) == (0.4, 0.5)
    assert row["chance"] == pytest.approx(0.4)
    assert row["exclusive_y_to_x"] is None


def test_the_picture_is_a_png(swept):
    with Image.open(swept[2].picture) as image:
        assert image.format == "PNG"
        assert image.width > 800


@pytest.mark.slow
def test_trained_runs_are_evaluated_and_half_done_ones_gone_on_with(experiment, tmp_path):
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
    assert said.strip() == "stopped; the same command goes on with the sweep"
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


def test_a_sweep_scores_its_runs_without_labels_and_selects_the_highest(swept):
    rows = swept[2].rows
    done = [row for row in rows if row["status"] == "done"]
    assert all(isinstance(row["label_free_balance"], float) for row in done)
    assert select(rows, "nats")["status"] == "done"
    made = [
        {"run": "a", "label_free_nats": 0.1},
        {"run": "b", "label_free_nats": 0.2},
        {"run": "c"},
    ]
    assert select(made, "nats")["run"] == "b"


def test_a_score_that_is_none_or_that_no_run_has_is_refused(tmp_path, iiae):
    with pytest.raises(SettingsError, match="--select fame: is no score; choose one of nats"):
        select([], "fame")
    with pytest.raises(RunError, match="no run of the sweep has this score"):
        select([{"run": "a", "status": "failed"}], "nats")
    over = ["--over", "objective.lam=0,1", "--out", tmp_path / "out", "--select", "fame"]
    code, _, err = iiae("sweep", tmp_path / "none.toml", *over)
    assert code == 2
    assert "is no score" in err
