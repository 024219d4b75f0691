"""Compiled and recorded steps on a GPU beside plain ones."""

import torch

from iiae.data import load
from iiae.distributions import DiagonalNormal
from iiae.model.build import build_model
from iiae.settings import make_settings
from iiae.training import Learner
from iiae.training.learner import Plan
from iiae.training.processes import Group
from iiae.types import Draw, Pair

DiagonalNormal.rsample = lambda self: self.loc
base = {"data": {"name": "digits-cdcb", "size": 16}, "model": {"family": "small"}}
sums = []
for compiled in ("false", "true"):
    settings = make_settings(base, ["training.compile=" + compiled])
    data = load(settings.data)
    torch.manual_seed(0)
    model = build_model(settings.model, settings.objective, data.train.shapes)
    plan = Plan(100, False, True, Group(0, 1, torch.device("cuda")))
    learner = Learner(model, settings, plan)
    for i in range(6):
        pair = data.train.pairs(Draw(torch.arange(i, i + 32)))
        learner.optimise(Pair(pair.x.cuda(), pair.y.cuda()))
    sums.append(learner.sums.cpu())
torch.testing.assert_close(sums[0], sums[1], rtol=2e-3, atol=1e-2)
