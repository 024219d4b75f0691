"""Training: data, model, plan, steps, run."""

from iiae.training.fit import fit
from iiae.training.learner import Learner
from iiae.training.processes import first_process

__all__ = ["Learner", "first_process", "fit"]
