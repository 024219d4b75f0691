"""The loss and its means, compiled and plain, without the shape checks of the tests."""

import torch

from iiae.data import load
from iiae.model.build import build_model
from iiae.settings import make_settings
from iiae.training import Learner
from iiae.training.learner import Plan
from iiae.training.processes import Group
from iiae.types import Draw

base = {"data": {"name": "synthetic"}, "model": {"family": "features", "width": 16, "shared": 4}}
losses = []
for compiled in (False, True):
    settings = make_settings(base, [f"training.compile={str(compiled).lower()}"])
    data = load(settings.data)
    torch.manual_seed(0)
    model = build_model(settings.model, settings.objective, data.train.shapes)
    learner = Learner(model, settings, Plan(1, False, False, Group(0, 1, torch.device("cpu"))))
    model.eval()
    pair = data.train.pairs(Draw(torch.arange(32)))
    torch.manual_seed(1)  # compiled or not, noise is the same
    loss, means = learner.loss(pair, torch.tensor([0.5, 3.0]))  # KL warm-up, exclusive weight
    loss.backward()
    losses.append(loss.item())
    assert means.isfinite().all()
assert abs(losses[0] - losses[1]) < 1e-5 * abs(losses[0]), losses
