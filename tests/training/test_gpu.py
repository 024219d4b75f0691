"""What only a GPU can show: recorded steps, compiled ones, BatchNorm over processes."""

import subprocess

import pytest
import torch

from helpers import SMALL, program
from iiae.data import load
from iiae.distributions import DiagonalNormal
from iiae.model.build import build_model
from iiae.run_folder import load_history
from iiae.settings import make_settings
from iiae.training import Learner, fit
from iiae.training.learner import Plan
from iiae.training.processes import Group
from iiae.training.recorded import WARM_UP, RecordedStep
from iiae.types import Draw, Pair

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
STEPS = WARM_UP + 4
IMAGES = {
    "data": {"name": "digits-cdcb", "size": 16, "limit": 200},
    "model": {"family": "small", "width": 4, "shared": 2},
    "training": {"batch": 20},
}


def learner(*overrides):
    settings = make_settings(SMALL, list(overrides))
    data = load(settings.data)
    torch.manual_seed(0)
    model = build_model(settings.model, settings.objective, data.train.shapes)
    images = len(data.train.shapes[0]) == 3
    plan = Plan(100, False, images, Group(0, 1, torch.device("cuda")))
    return Learner(model, settings, plan), data.train


def batches(train, count, size=16):
    for i in range(count):
        pair = train.pairs(Draw(torch.arange(i, i + size) % len(train)))
        yield Pair(pair.x.cuda(), pair.y.cuda())


def test_recorded_steps_learn_what_plain_ones_do(monkeypatch):
    monkeypatch.setattr(DiagonalNormal, "rsample", lambda self: self.loc)
    weights = []
    for graph in ("true", "false"):
        one, train = learner(f"training.cuda_graph={graph}", "training.gradient_clip=5")
        assert isinstance(one.step, RecordedStep) == (graph == "true")
        for pair in batches(train, STEPS):
            one.optimise(pair)
        assert one.counted == one.steps == STEPS
        weights.append([*one.model.parameters(), one.sums])
    for recorded, plain in zip(*weights, strict=True):
        torch.testing.assert_close(recorded, plain, rtol=1e-3, atol=1e-4)


def test_a_recorded_step_draws_new_noise_and_takes_the_rate_of_now():
    one, train = learner("training.learning_rate=1e-12")
    [pair] = batches(train, 1)
    means = []
    for _ in range(STEPS):
        one.sums.zero_()
        one.optimise(pair)
        means.append(tuple(one.sums[:2].tolist()))
    assert len(set(means)) == STEPS  # reconstructions of other samples
    before = [p.detach().clone() for p in one.model.parameters()]
    one.settings = make_settings(SMALL, ["training.learning_rate=0.1"])
    one.optimise(pair)
    assert one.step.graph is not None
    moved = [
        (p - b).abs().max().item() for p, b in zip(one.model.parameters(), before, strict=True)
    ]
    assert max(moved) > 0.01


def test_a_batch_of_another_shape_is_computed_as_it_is():
    one, train = learner()
    for pair in batches(train, STEPS):
        one.optimise(pair)
    for pair in batches(train, 2, size=7):
        one.optimise(pair)
    for pair in batches(train, 2):
        one.optimise(pair)
    assert one.steps == STEPS + 4 and one.finite()


@pytest.mark.parametrize("network", ["image", "features"])
def test_training_on_the_gpu_resumes(tmp_path, network):
    base = SMALL if network == "features" else IMAGES
    fit(make_settings(base, ["training.epochs=2"]), tmp_path, progress=False)
    settings = make_settings(base, ["training.epochs=4"])
    run = fit(settings, tmp_path, progress=False, resume=True)
    rows = load_history(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["validation_loss"] < rows[0]["validation_loss"]
    assert run.model.active.device.type == "cpu"


def test_compiled_and_recorded_steps_learn_what_plain_ones_do():
    done = subprocess.run(program("compiled_gpu_steps"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_batchnorm_over_two_processes_is_that_of_the_whole_batch(tmp_path):
    started = [
        subprocess.Popen(
            program("batchnorm_of_two_on_a_gpu", rank, tmp_path / "store"),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors[-3000:]
