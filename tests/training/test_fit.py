import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from helpers import SMALL, program, small_settings
from iiae.data import load
from iiae.data.synthetic import SyntheticPairs
from iiae.errors import DataError, IIAEError, Interrupted, RunError, SettingsError
from iiae.evaluation.instances import retrieve_partners
from iiae.model.latents import embed
from iiae.run_folder import (
    BEST,
    CHECKPOINT,
    HISTORY,
    METRICS,
    MODEL,
    SETTINGS,
    current_metrics,
    load_history,
    load_metrics,
    load_run,
    save_metrics,
)
from iiae.settings import dump_settings, make_settings
from iiae.training import Learner, checkpoints, fit, loader
from iiae.training.learner import Plan
from iiae.training.processes import Group
from iiae.training.validation import out_of_patience
from iiae.types import Draw


def weights(folder):
    return load_file(Path(folder) / MODEL)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


class StopsAt(Exception):
    pass


def interrupt_at(monkeypatch, step):
    """Makes training die at an optimiser step, as a crash would, after a checkpoint."""
    original = Learner.optimise

    def step_or_die(self, pair):
        if self.steps == step:
            raise StopsAt
        return original(self, pair)

    monkeypatch.setattr(Learner, "optimise", step_or_die)
    return lambda: monkeypatch.setattr(Learner, "optimise", original)


def test_a_run_folder_holds_what_it_should(tmp_path):
    run = fit(small_settings(), tmp_path, progress=False)
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert {SETTINGS, MODEL, METRICS, HISTORY, CHECKPOINT, BEST} <= files
    assert not any(name.startswith(".") for name in files)
    rows = load_history(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[-1]["step"] == 8
    for name in ("validation_nll_x", "train_kl_s_y", "validation_elbo", "learning_rate"):
        assert name in rows[0]
    assert same(weights(tmp_path), run.model.state_dict())


def test_a_seed_gives_the_same_weights_twice_and_another_seed_others(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit(small_settings(f"training.seed={seed}"), tmp_path / name, progress=False)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_training_lowers_the_loss(tmp_path):
    fit(small_settings("training.epochs=12"), tmp_path, progress=False)
    losses = [row["validation_loss"] for row in load_history(tmp_path)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("step", [1, 3, 4, 5, 8, 11])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path, monkeypatch, step, group
):
    monkeypatch.setattr(checkpoints, "VECTOR_STEPS", group)
    settings = small_settings("training.epochs=3", "training.checkpoint_seconds=0")
    fit(settings, tmp_path / "whole", progress=False)
    undo = interrupt_at(monkeypatch, max(step, group))  # after the first saved state
    with pytest.raises(StopsAt):
        fit(settings, tmp_path / "parts", progress=False)
    undo()
    fit(settings, tmp_path / "parts", resume=True, progress=False)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    timeless = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in load_history(tmp_path / name)]
        for name in ("whole", "parts")
    ]
    assert timeless[0] == timeless[1]


def test_a_run_resumed_with_worker_processes_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "VECTOR_STEPS", 1)
    settings = small_settings(
        "training.epochs=2", "training.checkpoint_seconds=0", "training.workers=1"
    )
    fit(settings, tmp_path / "whole", progress=False)
    undo = interrupt_at(monkeypatch, 3)
    with pytest.raises(StopsAt):
        fit(settings, tmp_path / "parts", progress=False)
    undo()
    fit(settings, tmp_path / "parts", resume=True, progress=False)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def start(out, overrides, resume=False):
    file = out.with_suffix(".toml")
    file.write_text(dump_settings(make_settings(SMALL, overrides)))
    command = program("train", file, out, *["--resume"] * resume)
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for(path, process, seconds=60):
    until = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.slow
def test_kill_minus_9_at_any_moment_loses_nothing(tmp_path):
    overrides = ["training.epochs=100", "training.checkpoint_seconds=0"]
    settings = make_settings(SMALL, overrides)
    fit(settings, tmp_path / "whole", progress=False)
    out = tmp_path / "killed"
    for epochs in (1, 4, 20):  # lost after so many epochs more
        reached = len(load_history(out))
        process = start(out, overrides, resume=(out / CHECKPOINT).exists())
        while len(load_history(out)) < reached + epochs:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.01)
        time.sleep(0.007 * epochs)  # anywhere in an epoch
        process.kill()
        process.communicate()
        assert not (out / MODEL).exists()
    fit(settings, out, resume=True, progress=False)
    assert same(weights(tmp_path / "whole"), weights(out))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_save_and_say_how_to_resume(tmp_path, number):
    overrides = ["training.epochs=2000", "training.checkpoint_seconds=1000"]
    out = tmp_path / "run"
    process = start(out, overrides)
    wait_for(out / HISTORY, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Interrupted: stopped at step" in errors
    assert f"iiae.fit(..., out={str(out)!r}, resume=True)" in errors
    state = torch.load(out / CHECKPOINT, weights_only=True)
    assert state["iiae"]["steps"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_the_step_it_stops_at(tmp_path, monkeypatch, number):
    before = signal.getsignal(number)
    monkeypatch.setattr(checkpoints, "VECTOR_STEPS", 2)
    original = Learner.optimise

    def ask(self, pair):
        if self.steps == 5:
            os.kill(os.getpid(), number)
        return original(self, pair)

    settings = small_settings("training.epochs=3", "training.checkpoint_seconds=1000")
    fit(settings, tmp_path / "whole", progress=False)
    monkeypatch.setattr(Learner, "optimise", ask)
    with pytest.raises(Interrupted, match="stopped at step 6 of 12"):
        fit(settings, tmp_path / "parts", progress=False)
    assert signal.getsignal(number) is before
    monkeypatch.setattr(Learner, "optimise", original)
    fit(settings, tmp_path / "parts", resume=True, progress=False)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_resume_refuses_settings_of_another_model(tmp_path):
    fit(small_settings(), tmp_path, progress=False)
    with pytest.raises(SettingsError, match=r"trained with model.shared = 4, not 5"):
        fit(small_settings("model.shared=5"), tmp_path, resume=True, progress=False)


def test_resume_needs_a_checkpoint(tmp_path):
    with pytest.raises(RunError, match="nothing to resume"):
        fit(small_settings(), tmp_path, resume=True, progress=False)


def test_a_finished_run_can_be_resumed_for_more_epochs(tmp_path):
    fit(small_settings(), tmp_path, progress=False)
    fit(small_settings("training.epochs=4"), tmp_path, resume=True, progress=False)
    assert [row["epoch"] for row in load_history(tmp_path)] == [1, 2, 3, 4]


def test_a_nan_stops_with_the_step_a_remedy_and_a_checkpoint_of_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "VECTOR_STEPS", 1)
    settings = small_settings(
        "training.learning_rate=1e30", "training.epochs=5", "training.checkpoint_seconds=0"
    )
    with pytest.raises(
        RunError, match=r"NaN or infinite at step \d+.*lower\s+training.learning_rate"
    ):
        fit(settings, tmp_path, progress=False)
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert all(v.isfinite().all() for v in state["iiae"]["model"].values())


def test_a_collapsed_shared_latent_stops_with_a_remedy(tmp_path):
    settings = small_settings(
        "objective.x.weight=0.01", "objective.y.weight=0.01", "objective.beta=200",
        "objective.tau=0", "training.epochs=60", "training.learning_rate=0.01",
        "training.decay_from=1",
    )  # fmt: skip
    with pytest.raises(RunError, match=r"shared latent collapsed.*lower objective.beta"):
        fit(settings, tmp_path, progress=False)


def test_early_stop_waits_for_patience(tmp_path):
    settings = small_settings(
        "training.patience=2", "training.epochs=50", "training.learning_rate=0.3"
    )
    fit(settings, tmp_path, progress=False)
    losses = [row["validation_loss"] for row in load_history(tmp_path)]
    assert len(losses) < 50
    assert len(losses) - 1 - losses.index(min(losses)) == 2


def test_patience_counts_epochs_by_what_is_kept():
    rows = [
        {"validation_loss": loss, "validation_recall": recall}
        for loss, recall in ((3.0, 0.1), (1.0, 0.2), (2.0, 0.3), (2.0, 0.3), (2.5, 0.2))
    ]
    training = small_settings("training.patience=3").training
    assert out_of_patience(rows, training)
    assert not out_of_patience(rows[:4], training)
    by_retrieval = training.model_copy(update={"keep": "retrieval"})
    assert not out_of_patience(rows, by_retrieval)
    assert out_of_patience([*rows, rows[0]], by_retrieval)
    assert not out_of_patience(rows, training.model_copy(update={"patience": None}))
    assert not out_of_patience([], training)


def test_the_best_weights_are_kept(tmp_path):
    run = fit(
        small_settings("training.epochs=8", "training.learning_rate=0.3"), tmp_path, progress=False
    )
    rows = load_history(tmp_path)
    data = load(run.settings.data)
    plan = Plan(1, False, False, Group(0, 1, torch.device("cpu")))
    terms = Learner(run.model, run.settings, plan).validate(data.validation)
    best = min(rows, key=lambda row: row["validation_loss"])
    assert terms.kl_s.item() == pytest.approx(best["validation_kl_s"], rel=1e-5)


def test_an_unwritable_folder_is_said_in_one_line(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(RunError, match=r"is a file; out=... names a folder"):
        fit(small_settings(), blocked, progress=False)
    with pytest.raises(RunError, match="cannot be written to"):
        fit(small_settings(), blocked / "run", progress=False)


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "VECTOR_STEPS", 1)
    settings = small_settings("training.checkpoint_seconds=0")
    original = torch.save
    saved = []

    def full_after_two(state, path, *args, **kwargs):
        original(state, path, *args, **kwargs)
        saved.append(path)
        if len(saved) > 2:
            Path(path).write_bytes(b"half of i")
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full_after_two)
    with pytest.raises(RunError, match="disk is full; the file that was there before is kept"):
        fit(settings, tmp_path, progress=False)
    monkeypatch.setattr(torch, "save", original)
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["iiae"]["steps"] == 2
    fit(settings, tmp_path, resume=True, progress=False)


def test_a_checkpoint_with_pickled_code_is_not_loaded(tmp_path):
    settings = small_settings()
    fit(settings, tmp_path, progress=False)
    torch.save({"global_step": 1, "evil": Path("x")}, tmp_path / CHECKPOINT)
    with pytest.raises(RunError, match="damaged"):
        fit(settings, tmp_path, resume=True, progress=False)


def test_pairs_that_fit_stay_on_the_device(monkeypatch):
    pairs = load(small_settings().data).train
    device = torch.device("meta")
    monkeypatch.setattr(loader, "free_memory", lambda device: 3 * pairs.held_bytes)
    assert loader.keep_on_device_if_it_fits(pairs, device)[Draw(torch.arange(3))].x.device == device
    assert loader.keep_on_device_if_it_fits(pairs, torch.device("cpu")) is pairs
    monkeypatch.setattr(loader, "free_memory", lambda device: pairs.held_bytes)
    assert loader.keep_on_device_if_it_fits(pairs, device) is pairs


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "wrong", [["data.name=arrays", "data.x=gone.npy"], ["model.family=small"], ["training.batch=1"]]
)
def test_a_start_that_fails_leaves_a_finished_run_as_it_was(tmp_path, overwrite, wrong):
    fit(small_settings(), tmp_path, progress=False)
    before = contents(tmp_path)
    with pytest.raises(IIAEError):
        fit(small_settings(*wrong), tmp_path, progress=False, overwrite=overwrite)
    assert contents(tmp_path) == before


def test_a_run_is_replaced_only_when_asked(tmp_path):
    fit(small_settings(), tmp_path, progress=False)
    before = contents(tmp_path)
    with pytest.raises(RunError, match=r"holds a finished run; .*overwrite=True"):
        fit(small_settings("training.seed=1"), tmp_path, progress=False)
    assert contents(tmp_path) == before
    save_metrics(tmp_path, "test", {"pairs": 60})
    (tmp_path / "report.html").write_text("of the first run")
    fit(small_settings("training.seed=1"), tmp_path, progress=False, overwrite=True)
    assert load_metrics(tmp_path).keys() == {"training"}
    assert not (tmp_path / "report.html").exists()
    assert load_run(tmp_path).settings.training.seed == 1


def test_an_unfinished_run_is_not_overwritten_by_accident(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "VECTOR_STEPS", 1)
    settings = small_settings("training.checkpoint_seconds=0")
    undo = interrupt_at(monkeypatch, 3)
    with pytest.raises(StopsAt):
        fit(settings, tmp_path, progress=False)
    undo()
    with pytest.raises(RunError, match="has not finished; resume it with resume=True"):
        fit(settings, tmp_path, progress=False)


def test_training_further_leaves_no_result_of_the_earlier_weights(tmp_path):
    fit(small_settings(), tmp_path, progress=False)
    save_metrics(tmp_path, "test", {"pairs": 60})
    fit(small_settings("training.epochs=3"), tmp_path, resume=True, progress=False)
    assert current_metrics(tmp_path).keys() == {"training"}


def test_resume_with_fewer_epochs_than_done_changes_nothing(tmp_path):
    fit(small_settings("training.epochs=4"), tmp_path, progress=False)
    before = contents(tmp_path)
    with pytest.raises(RunError, match="4 epochs are done; give at least so many"):
        fit(small_settings(), tmp_path, resume=True, progress=False)
    assert contents(tmp_path) == before
    fit(small_settings("training.epochs=5"), tmp_path, resume=True, progress=False)
    assert len(load_history(tmp_path)) == 5


def patient_settings(*more):
    return small_settings(
        "training.patience=2", "training.epochs=50", "training.learning_rate=0.3", *more
    )


def test_a_run_that_stopped_early_does_not_creep_on(tmp_path):
    fit(patient_settings(), tmp_path, progress=False)
    epochs = len(load_history(tmp_path))
    with pytest.raises(RunError, match=f"stopped early after epoch {epochs}.*raise training.patie"):
        fit(patient_settings(), tmp_path, resume=True, progress=False)
    (tmp_path / MODEL).unlink()  # as if killed between the last epoch and the end
    fit(patient_settings(), tmp_path, resume=True, progress=False)
    assert len(load_history(tmp_path)) == epochs
    further = patient_settings("training.patience=3")
    fit(further, tmp_path, resume=True, progress=False)
    assert len(load_history(tmp_path)) > epochs


def array_settings(folder, **paths):
    settings = small_settings().model_dump(mode="json", exclude_defaults=True)
    return make_settings({**settings, "data": {"name": "arrays", **paths}})


def test_resume_takes_moved_data_and_refuses_changed_data(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 100, 6))
    for name, rows in (("x", x), ("moved", x), ("y", y), ("changed", x[1:]), ("less", y[1:])):
        np.save(tmp_path / f"{name}.npy", rows)
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "run"
    fit(array_settings(out, x="x.npy", y="y.npy"), out, progress=False)
    assert load_run(out).settings.data.x == str(tmp_path / "x.npy")
    monkeypatch.chdir("/")
    moved = array_settings(out, x=str(tmp_path / "moved.npy"), y=str(tmp_path / "y.npy"))
    fit(moved, out, resume=True, progress=False)
    changed = array_settings(out, x=str(tmp_path / "changed.npy"), y=str(tmp_path / "less.npy"))
    with pytest.raises(RunError, match="the data has changed since training began"):
        fit(changed, out, resume=True, progress=False)


def test_an_outlier_among_the_validation_pairs_is_named_and_nothing_is_lost(tmp_path):
    data = load(small_settings().data)
    data.validation.x[17, 0] = 1e20
    with pytest.raises(RunError, match=r"pair 17 of the validation set is NaN or infinite"):
        fit(small_settings(), tmp_path, data=data, progress=False)


def test_active_dimensions_are_chosen_on_a_random_sample(tmp_path, monkeypatch):
    """Rows sorted by session: one factor varies in the last quarter alone."""
    monkeypatch.setattr(sys.modules["iiae.training.fit"], "ACTIVE_PAIRS", 100)
    drawn = []
    original = SyntheticPairs.pairs
    monkeypatch.setattr(
        SyntheticPairs, "pairs", lambda self, draw: (drawn.append(draw), original(self, draw))[1]
    )
    fit(small_settings(), tmp_path, progress=False)
    (sample,) = [draw.indices for draw in drawn if len(draw.indices) == 100]
    assert sample.max() > 180  # of 200: not the first ones
    assert len(sample.unique()) == 100


@pytest.mark.parametrize("pays", [True, False])
def test_automatic_precision_is_what_the_machine_is_fast_at(tmp_path, monkeypatch, pays):
    monkeypatch.setattr(sys.modules["iiae.training.fit"], "bf16_pays", lambda *run: pays)
    fit(small_settings("training.precision=auto"), tmp_path / "auto", progress=False)
    same_as = "bf16" if pays else "32"
    fit(small_settings(f"training.precision={same_as}"), tmp_path / "set", progress=False)
    assert same(weights(tmp_path / "auto"), weights(tmp_path / "set"))
    summary = json.loads((tmp_path / "auto" / METRICS).read_text())["training"]
    assert summary["precision"] == same_as


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_images_train_in_both_precisions(tmp_path, precision):
    settings = make_settings(
        {
            "data": {"name": "digits-cdcb", "size": 16, "limit": 100},
            "model": {"width": 4, "shared": 2, "exclusive": 2},
            "training": {"epochs": 1, "batch": 32, "precision": precision},
        }
    )
    run = fit(settings, tmp_path, progress=False)
    assert all(p.dtype == torch.float32 for p in run.model.parameters())
    assert load_run(tmp_path).shapes == ((3, 16, 16), (3, 16, 16))


def test_gradient_clipping_changes_the_steps(tmp_path):
    fit(small_settings(), tmp_path / "free", progress=False)
    fit(small_settings("training.gradient_clip=1e-3"), tmp_path / "clipped", progress=False)
    assert not same(weights(tmp_path / "free"), weights(tmp_path / "clipped"))


def test_training_without_some_partners_lowers_the_loss_and_resumes(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "VECTOR_STEPS", 1)
    settings = small_settings(
        "data.missing=0.3", "training.epochs=6", "training.checkpoint_seconds=0"
    )
    fit(settings, tmp_path / "whole", progress=False)
    rows = load_history(tmp_path / "whole")
    assert rows[-1]["step"] == 6 * 4
    assert rows[-1]["validation_loss"] < rows[0]["validation_loss"]
    undo = interrupt_at(monkeypatch, 7)
    with pytest.raises(StopsAt):
        fit(settings, tmp_path / "parts", progress=False)
    undo()
    fit(settings, tmp_path / "parts", resume=True, progress=False)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_a_large_exclusive_weight_empties_the_exclusive_latents(tmp_path):
    def kept(weight):
        settings = small_settings(f"objective.exclusive={weight}", "training.epochs=20")
        fit(settings, tmp_path / str(weight), progress=False)
        row = load_history(tmp_path / str(weight))[-1]
        return row["validation_kl_x"] + row["validation_kl_y"]

    assert kept(100) < 0.5 * kept(1)


def test_pairs_that_a_likelihood_cannot_hold_are_refused_before_anything_is_written(tmp_path):
    settings = small_settings("objective.y.kind=bernoulli")
    with pytest.raises(DataError, match=r"train y: values from .*; bernoulli is of values in \[0"):
        fit(settings, tmp_path / "run", progress=False)
    assert not list((tmp_path / "run").iterdir())


def test_weights_of_the_epoch_that_finds_most_partners_are_kept(tmp_path, monkeypatch):
    recalls = iter([0.5, 0.75, 0.75, 0.25])
    monkeypatch.setattr(Learner, "recall", lambda self, pairs: next(recalls))
    settings = small_settings("training.keep=retrieval", "training.epochs=4")
    fit(settings, tmp_path, progress=False)
    rows = load_history(tmp_path)
    assert [row["validation_recall"] for row in rows] == [0.5, 0.75, 0.75, 0.25]
    wanted = 2 + (rows[2]["validation_loss"] < rows[1]["validation_loss"])  # of equal ones the loss
    assert load_metrics(tmp_path)["training"]["kept_epoch"] == wanted


def test_recall_of_validation_pairs_is_that_of_their_partners(tmp_path):
    settings = small_settings("training.keep=retrieval", "training.epochs=3")
    run = fit(settings, tmp_path, progress=False)
    pairs = load(settings.data).validation
    retrieval = retrieve_partners(embed(run.model, pairs.batches(50)), run.model.active)
    kept = int(load_metrics(tmp_path)["training"]["kept_epoch"]) - 1
    both = (retrieval.shared_x_to_y.recall[1].rate + retrieval.shared_y_to_x.recall[1].rate) / 2
    assert load_history(tmp_path)[kept]["validation_recall"] == pytest.approx(both)


def test_a_resumed_run_keeps_the_precision_it_began_with(tmp_path, monkeypatch):
    module, settings = sys.modules["iiae.training.fit"], small_settings("training.precision=auto")
    monkeypatch.setattr(module, "bf16_pays", lambda *run: True)
    fit(settings, tmp_path, progress=False)
    monkeypatch.setattr(module, "bf16_pays", lambda *run: False)  # another machine
    longer = small_settings(
        "training.precision=auto", f"training.epochs={2 + settings.training.epochs}"
    )
    fit(longer, tmp_path, resume=True, progress=False)
    assert json.loads((tmp_path / METRICS).read_text())["training"]["precision"] == "bf16"
