"""Training in several processes, on the CPU."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from helpers import SMALL, program, small_settings
from iiae.data.sampling import AlignedBatches
from iiae.errors import SettingsError
from iiae.run_folder import CHECKPOINT, HISTORY, METRICS, MODEL, load_history, load_run
from iiae.settings import dump_settings, make_settings
from iiae.training import fit
from iiae.training.processes import all_sum, any_process


def start(out, *overrides, flags=(), launcher=(), variables=None):
    """A process group of its own, so that it can be ended whole."""
    file = out.with_suffix(".toml")
    file.write_text(dump_settings(make_settings(SMALL, overrides)))
    python, *words = program("train", file, out, *flags)
    return subprocess.Popen(
        [python, *launcher, *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | (variables or {}),
    )  # fmt: skip


def train(*arguments, **options):
    process = start(*arguments, **options)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors[-3000:]


def timeless(folder):
    """History without what is no result: times."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in load_history(folder)]


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("pairs", [203, 6])
def test_processes_share_batches_without_repeating_or_losing_a_pair(pairs, world):
    one = AlignedBatches(pairs, 20, seed=3)
    parts = [AlignedBatches(pairs, 20, seed=3) for _ in range(world)]
    for rank, part in enumerate(parts):
        part.share(rank, world)
    for epoch in range(2):
        for sampler in (one, *parts):
            sampler.set_epoch(epoch)
        whole = [draw.indices for draw in one]
        for i, draws in enumerate(zip(*parts, strict=True)):
            joined = torch.cat([draw.indices for draw in draws])
            assert torch.equal(joined, whole[i][: len(joined)])
            assert len(whole[i]) - len(joined) < world  # less only where a batch is all pairs
            assert len({len(draw.indices) for draw in draws}) == 1
            assert len({draw.seed for draw in draws}) == world


def test_one_process_takes_every_pair_of_the_order():
    one, shared = AlignedBatches(50, 10, seed=3), AlignedBatches(50, 10, seed=3)
    shared.share(0, 1)
    for a, b in zip(one, shared, strict=True):
        assert torch.equal(a.indices, b.indices)
        assert a.seed == b.seed


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    with pytest.raises(SettingsError, match=r"training.batch = 9 over 2 processes.*multiple of 2"):
        AlignedBatches(100, 9, 0).share(0, 2)
    with pytest.raises(SettingsError, match="over 4 processes"):
        AlignedBatches(3, 9, 0).share(0, 4)


def test_alone_nothing_is_summed():
    assert all_sum(torch.ones(2)).tolist() == [1, 1]
    assert any_process([True, False], torch.device("cpu")) == [True, False]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(4,), (4, 5, 3)])
def test_moments_and_gradients_over_processes_are_those_of_one(shape):
    python, *words = program("batchnorm_of_two", *shape)
    done = subprocess.run(
        [python, *launcher(), *words], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("same") == 2


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def launcher():
    options = ["--nproc-per-node=2", "--master-addr=127.0.0.1", f"--master-port={free_port()}"]
    return ["-m", "torch.distributed.run", *options]


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 4])
def test_the_losses_of_several_processes_are_those_of_one(tmp_path, world):
    """In float64 and without noise, so that all that could differ is what processes do together.

    Two processes draw other noise than one, and in float32 Adam takes steps of full length along
    gradients that are rounding error alone (those of a bias before a BatchNorm).
    """
    common = ("training.batch=100", "training.epochs=4")
    train(tmp_path / "one", *common, flags=["--exact"])
    train(tmp_path / "more", *common, f"training.devices={world}", flags=["--exact"])
    one, more = timeless(tmp_path / "one"), timeless(tmp_path / "more")
    assert len(one) == 4
    for a, b in zip(one, more, strict=True):
        assert a.keys() == b.keys()
        for name, value in a.items():
            assert b[name] == pytest.approx(value, rel=1e-6), name
    a, b = (load_file(tmp_path / name / MODEL) for name in ("one", "more"))
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_allclose(b[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def under_srun(rank, nodes, tasks=2):
    """Variables that srun sets, of one of two tasks on so many nodes."""
    each = tasks // nodes
    return {
        "SLURM_JOB_NAME": "iiae", "SLURM_JOB_ID": "7", "SLURM_NTASKS": str(tasks),
        "SLURM_NTASKS_PER_NODE": str(each), "SLURM_NNODES": str(nodes), "SLURM_PROCID": str(rank),
        "SLURM_NODEID": str(rank // each), "SLURM_LOCALID": str(rank % each),
        "SLURM_NODELIST": "127.0.0.1",
    }  # fmt: skip


def train_under_srun(out, *overrides, nodes):
    devices = (f"training.nodes={nodes}", f"training.devices={2 // nodes}")
    port = {"MASTER_PORT": str(free_port())}
    tasks = [
        start(out, *overrides, *devices, variables=under_srun(rank, nodes) | port)
        for rank in range(2)
    ]
    for task in tasks:
        _, errors = task.communicate(timeout=200)
        assert task.returncode == 0, errors[-3000:]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (under_srun(0, 1), r"started 2 processes in all"),
        (under_srun(0, 2, tasks=4), r"started 4 processes in all"),
        (
            {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"},
            "started 4 processes in all",
        ),
    ],
)
def test_processes_that_settings_do_not_know_of_are_refused(
    tmp_path, monkeypatch, variables, message
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message):
        fit(small_settings(), tmp_path, progress=False)


def test_srun_without_tasks_a_node_is_refused_with_what_would_be_right(tmp_path, monkeypatch):
    for name, value in under_srun(0, 1).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(SettingsError, match="--ntasks-per-node=2"):
        fit(small_settings("training.devices=2"), tmp_path, progress=False)


@pytest.mark.slow
def test_torchrun_srun_and_the_own_launcher_give_the_same(tmp_path):
    settings = ("training.batch=100", "training.devices=2")
    train(tmp_path / "own", *settings)
    train(tmp_path / "torchrun", *settings, launcher=launcher())
    assert timeless(tmp_path / "own") == timeless(tmp_path / "torchrun")
    for nodes in (1, 2):
        out = tmp_path / f"slurm{nodes}"
        train_under_srun(out, *settings[:1], nodes=nodes)
        assert timeless(tmp_path / "own") == timeless(out)
    metrics = json.loads((tmp_path / "own" / METRICS).read_text())
    assert metrics["training"]["pairs"]["train"] == 200
    assert load_run(tmp_path / "own").model.encode_x(torch.zeros(2, 32)).shared.mean.shape == (2, 4)


@pytest.mark.slow
def test_a_killed_run_of_two_processes_is_resumed_by_one(tmp_path):
    common = ["training.batch=100", "training.checkpoint_seconds=0"]
    out = tmp_path / "run"
    process = start(out, *common, "training.epochs=500", "training.devices=2")
    until = time.monotonic() + 100
    while len(load_history(out)) < 3:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert (out / CHECKPOINT).is_file()
    reached = len(load_history(out))
    settings = make_settings(SMALL, [*common, f"training.epochs={reached + 2}"])
    run = fit(settings, out, resume=True, progress=False)
    rows = load_history(run.folder)
    assert [row["epoch"] for row in rows] == list(range(1, reached + 3))
    assert rows[-1]["step"] == 2 * (reached + 2)


@pytest.mark.slow
def test_the_command_trains_in_two_processes_and_speaks_once(tmp_path):
    (tmp_path / "s.toml").write_text(dump_settings(small_settings("training.devices=2")))
    done = subprocess.run(
        [sys.executable, "-m", "iiae", "train", tmp_path / "s.toml", "--out", tmp_path / "run"],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote") == 1
    assert done.stderr.count("epoch 2/2") == 1
    assert (tmp_path / "run" / HISTORY).is_file()
