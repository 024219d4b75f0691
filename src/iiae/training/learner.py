"""One optimiser step, one validation, and the state that a run can resume from."""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from iiae.data import PairSet
from iiae.data.sampling import OTHER_SEED
from iiae.model.effects import RATE, CovariateEffects
from iiae.model.iiae import IIAE
from iiae.objectives import (
    Terms,
    elbo,
    exclusive_weight,
    iiae_loss,
    iiae_terms,
    information_bound,
    kl_warmup,
    partial_terms,
)
from iiae.settings import ObjectiveSettings, Settings
from iiae.training.processes import Group, all_sum
from iiae.training.recorded import RecordedStep
from iiae.training.validation import (
    best_epoch,
    check_collapse,
    mean_terms,
    partner_recall,
    validation_error,
)
from iiae.types import Pair, PartialBatch


class Plan(NamedTuple):
    """What is fixed before the first step.

    `total` is the number of optimiser steps, `bf16` whether they compute in bfloat16, `images`
    whether the pairs are of images.
    """

    total: int
    bf16: bool
    images: bool
    group: Group


class Objective(nn.Module):
    """A model and its loss: what is compiled, and what averages gradients over processes."""

    def __init__(self, model: IIAE, settings: ObjectiveSettings, images: bool, bf16: bool):
        super().__init__()
        self.model, self.settings, self.images, self.bf16 = model, settings, images, bf16

    def forward(self, pair: Pair | PartialBatch, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The loss with a step's `anneal` and `exclusive`; the mean of each term (detached)."""
        if self.images:
            x, y = (v.contiguous(memory_format=torch.channels_last) for v in pair[:2])
            pair = pair._replace(x=x, y=y)
        s = self.settings
        whole = isinstance(pair, Pair)
        with torch.autocast(pair.x.device.type, torch.bfloat16, enabled=self.bf16):
            q, p = self.model(pair) if whole else self.model.forward_partial(pair, s.alone)
        terms = iiae_terms(pair, q, p) if whole else partial_terms(pair, q, p)
        anneal, exclusive = weights
        loss = iiae_loss(terms, s.beta, s.lam, anneal, s.inter, exclusive)
        return loss, torch.stack([term.detach().mean() for term in terms])


class Learner:
    """A model that learns; keeps one history row per epoch.

    Args:
        model: To train, in place.
        settings: Of the run.
        plan: Steps, precision and processes.
    """

    def __init__(self, model: IIAE, settings: Settings, plan: Plan):
        self.settings, self.plan = settings, plan
        self.device = plan.group.device
        self.model = model.to(self.device).train()
        if plan.images:
            self.model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        objective = Objective(self.model, settings.objective, plan.images, plan.bf16)
        # noise from torch's own generator: what the compiler makes on a CPU draws it one by one,
        # which takes a tenth of a feature step; and so the same noise as uncompiled
        if settings.training.compile:
            objective.compile(options={"fallback_random": self.device.type == "cpu"})
        self.loss = plan.group.wrap(objective)
        # KL warm-up, exclusive weight and learning rates of a step, where its kernels read them
        self.dials = torch.zeros(4, device=self.device)
        self.optimiser = self._make_optimiser()
        self.step = self._step
        recorded = self.device.type == "cuda" and settings.training.cuda_graph
        if recorded and plan.group.world == 1:
            self.step = RecordedStep(self._step)
        self.steps = 0
        self.history: list[dict[str, float]] = []
        self.sums = torch.zeros(len(Terms._fields), device=self.device)
        self.counted = 0
        self.started = time.perf_counter()
        if plan.group.rank:  # other noise than the first process's
            torch.manual_seed(settings.training.seed + OTHER_SEED * plan.group.rank)

    def _make_optimiser(self) -> torch.optim.Adam:
        """Adam, which reads the learning rates from `dials` if its steps are recorded on a GPU."""
        training, graphed = self.settings.training, self.device.type == "cuda"
        parts = [m for m in self.model.modules() if isinstance(m, CovariateEffects)]
        effects = [parameter for part in parts for parameter in part.parameters()]
        own = {id(parameter) for parameter in effects}
        others = [parameter for parameter in self.model.parameters() if id(parameter) not in own]
        rates = self.dials[2:] if graphed else [training.learning_rate] * 2
        groups = [{"params": others, "lr": rates[0]}, {"params": effects, "lr": rates[1]}]
        return torch.optim.Adam(
            groups[: 2 if effects else 1],
            betas=(training.adam_beta1, 0.999),
            fused=True,
            capturable=graphed,
        )

    def optimise(self, pair: Pair | PartialBatch) -> None:
        """One optimiser step."""
        training, objective = self.settings.training, self.settings.objective
        weights = (
            kl_warmup(self.steps, objective.tau),
            exclusive_weight(self.steps / self.plan.total, objective.exclusive),
        )
        rate = training.learning_rate * self._rate(self.steps)
        rates = rate, RATE * rate  # of networks, and of effects of covariates
        self.dials.copy_(torch.tensor((*weights, *rates)), non_blocking=True)
        if self.device.type == "cpu":
            for group, own in zip(self.optimiser.param_groups, rates, strict=False):
                group["lr"] = own
        self.step(pair)
        self.steps += 1
        self.counted += 1

    def _step(self, pair: Pair | PartialBatch) -> None:
        """What a step computes on the device; nothing here may wait for it."""
        loss, means = self.loss(pair, self.dials[:2])
        self.optimiser.zero_grad()
        loss.backward()
        if self.settings.training.gradient_clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.training.gradient_clip)
        self.optimiser.step()
        self.sums += means

    def _rate(self, step: int) -> float:
        """1, then linear to 0 over the part of training after `decay_from`."""
        start = self.settings.training.decay_from
        done = step / self.plan.total
        return 1.0 if done <= start or start == 1 else max(0.0, (1 - done) / (1 - start))

    def end_epoch(self, validation: PairSet) -> dict[str, float]:
        """Validates and appends a row to the history, which it returns.

        Raises:
            RunError: The validation loss is not finite, or the shared latent collapsed.
        """
        row = self._row(self.validate(validation))
        if self.settings.training.keep == "retrieval":
            row["validation_recall"] = self.recall(validation)
        self.history.append(row)
        if not math.isfinite(row["validation_loss"]):
            raise validation_error([])
        check_collapse([row["validation_kl_s"] for row in self.history], self.steps)
        self.sums.zero_()
        self.counted = 0
        return row

    def improved(self) -> bool:
        """Whether the last epoch is the best so far, in what `training.keep` chooses by."""
        return best_epoch(self.history, self.settings.training.keep) == len(self.history) - 1

    def validate(self, pairs: PairSet) -> Terms:
        """Mean terms over a validation set, `(1,)` each: one fixed sample of z per pair."""
        batch, seed = self.settings.evaluation.batch, self.settings.training.seed
        self.model.eval()
        terms = mean_terms(self.model, pairs, batch, seed, self.plan.group)
        self.model.train()
        return terms

    def recall(self, pairs: PairSet) -> float:
        """Recall@1 of partners by the mean of z_s, the mean of both directions, in [0, 1]."""
        batch, seed = self.settings.evaluation.batch, self.settings.training.seed
        recall = partner_recall(self.model, pairs, batch, seed)
        self.model.train()
        return recall

    def _row(self, held: Terms) -> dict[str, float]:
        objective, step = self.settings.objective, self.steps
        means = all_sum(self.sums) / self.plan.group.world
        train = Terms(*(means / max(1, self.counted)).cpu().split(1))
        values: dict[str, float] = {
            "epoch": len(self.history) + 1,
            "step": step,
            "seconds": time.perf_counter() - self.started,
            "anneal": kl_warmup(step, objective.tau),
            "learning_rate": self.settings.training.learning_rate * self._rate(step),
        }
        for name, terms in (("train", train), ("validation", held)):
            weights = objective.model_dump(include={"beta", "lam", "inter", "exclusive"})
            values[f"{name}_loss"] = iiae_loss(terms, **weights).item()
            values[f"{name}_elbo"] = elbo(terms).item()
            values[f"{name}_information_bound"] = information_bound(terms).item()
            values |= {f"{name}_{k}": v.item() for k, v in terms._asdict().items()}
        return values

    def finite(self) -> bool:
        """Whether all terms of this epoch are finite, in this process."""
        return math.isfinite(self.sums.sum().item())

    def state(self) -> dict[str, Any]:
        """All that a run must keep to resume: tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "bf16": self.plan.bf16,
            "steps": self.steps,
            "history": self.history,
            "sums": self.sums,
            "counted": self.counted,
            "seconds": time.perf_counter() - self.started,
            "random_state": torch.get_rng_state(),
            "cuda_random_state": torch.cuda.get_rng_state_all(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes over a state; on a CPU in float32 the next steps are the same bit for bit."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps, self.history = state["steps"], state["history"]
        if self.device.type == "cuda":
            for group, own in zip(self.optimiser.param_groups, self.dials[2:], strict=False):
                group["lr"] = own
        self.sums.copy_(state["sums"])
        self.counted = state["counted"]
        self.started = time.perf_counter() - state["seconds"]
        if self.plan.group.rank:
            seed = self.settings.training.seed + OTHER_SEED * self.plan.group.rank
            torch.manual_seed(seed + self.steps)
            return
        torch.set_rng_state(state["random_state"])
        torch.cuda.set_rng_state_all(state["cuda_random_state"])
