"""One optimiser step, one validation, and the state that a run can resume from."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from iiae.data import PairSet
from iiae.data.sampling import OTHER_SEED
from iiae.errors import RunError
from iiae.metrics.retrieval import partner_ranks
from iiae.model.iiae import IIAE
from iiae.model.latents import embed
from iiae.objectives import (
    Terms,
    elbo,
    exclusive_weight,
    iiae_loss,
    iiae_terms,
    information_bound,
    kl_warmup,
    part_paired_terms,
)
from iiae.settings import ObjectiveSettings, Settings
from iiae.training.processes import Group, all_sum, any_process
from iiae.training.recorded import RecordedStep
from iiae.types import Pair, PartPaired, mapped

RANKED_PAIRS = 2000  # validation pairs among which partners are looked for
LEARNING_STEPS = 500  # by then z_s should hold something
COLLAPSED = 1e-2  # nats of KL[q(z_s given x, y) || p] under which z_s holds nothing


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

    def forward(self, pair: Pair | PartPaired, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The loss with a step's `anneal` and `exclusive`; the mean of each term (detached)."""
        if self.images:
            x, y = (v.contiguous(memory_format=torch.channels_last) for v in pair[:2])
            pair = pair._replace(x=x, y=y)
        whole = isinstance(pair, Pair)
        with torch.autocast(pair.x.device.type, torch.bfloat16, enabled=self.bf16):
            q, p = self.model(pair) if whole else self.model.part_paired(pair)
        terms = iiae_terms(pair, q, p) if whole else part_paired_terms(pair, q, p)
        anneal, exclusive = weights
        s = self.settings
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
        # KL warm-up, exclusive weight and learning rate of a step, where its kernels read them
        self.dials = torch.zeros(3, device=self.device)
        graphed = self.device.type == "cuda"
        self.optimiser = torch.optim.Adam(
            self.model.parameters(),
            lr=self.dials[2] if graphed else settings.training.learning_rate,
            betas=(settings.training.adam_beta1, 0.999),
            fused=True,
            capturable=graphed,
        )
        self.step = self._step
        if graphed and settings.training.cuda_graph and plan.group.world == 1:
            self.step = RecordedStep(self._step)
        self.steps = 0
        self.history: list[dict[str, float]] = []
        self.sums = torch.zeros(len(Terms._fields), device=self.device)
        self.counted = 0
        self.started = time.perf_counter()
        if plan.group.rank:  # other noise than the first process's
            torch.manual_seed(settings.training.seed + OTHER_SEED * plan.group.rank)

    def optimise(self, pair: Pair | PartPaired) -> None:
        """One optimiser step."""
        training, objective = self.settings.training, self.settings.objective
        weights = (
            kl_warmup(self.steps, objective.tau),
            exclusive_weight(self.steps / self.plan.total, objective.exclusive),
        )
        rate = training.learning_rate * self._rate(self.steps)
        self.dials.copy_(torch.tensor((*weights, rate)), non_blocking=True)
        if self.device.type == "cpu":
            self.optimiser.param_groups[0]["lr"] = rate
        self.step(pair)
        self.steps += 1
        self.counted += 1

    def _step(self, pair: Pair | PartPaired) -> None:
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
            raise _validation_error([])
        self._check_collapse()
        self.sums.zero_()
        self.counted = 0
        return row

    def improved(self) -> bool:
        """Whether the last epoch is the best so far, in what `training.keep` chooses by."""
        return best_epoch(self.history, self.settings.training.keep) == len(self.history) - 1

    @torch.no_grad()
    def validate(self, pairs: PairSet) -> Terms:
        """Mean terms over a validation set, `(1,)` each: one fixed sample of z per pair."""
        rank, world, _ = self.plan.group
        seed = self.settings.training.seed
        self.model.eval()
        sums, count = torch.zeros(len(Terms._fields), device=self.device), 0
        broken: list[int] = []
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            for i, pair in enumerate(pairs.batches(self.settings.evaluation.batch)):
                if world > 1:  # each batch in one process, with noise of its own
                    if i % world != rank:
                        continue
                    torch.manual_seed(seed + i)
                pair = mapped(pair, lambda v: v.to(self.device))
                q, p = self.model(pair)
                terms = iiae_terms(pair, q, p)
                broken += [count + place for place in _not_finite(terms)]
                sums += torch.stack([term.sum() for term in terms])
                count += len(pair.x)
        self.model.train()
        if any_process([bool(broken)], self.device)[0]:
            raise _validation_error(broken)
        *sums, total = all_sum(torch.cat([sums, sums.new_tensor([count])])).cpu().split(1)
        return Terms(*(part / total for part in sums))

    def recall(self, pairs: PairSet) -> float:
        """Recall@1 of partners by the mean of z_s, the mean of both directions, in [0, 1]."""
        index = pairs.sample(RANKED_PAIRS, self.settings.training.seed)
        found = embed(self.model, pairs.batches(self.settings.evaluation.batch, index))
        self.model.train()
        x, y = found.shared_given_x.mean, found.shared_given_y.mean
        ranks = torch.cat([partner_ranks(x, y), partner_ranks(y, x)])
        return (ranks == 0).double().mean().item()

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

    def _check_collapse(self) -> None:
        held = [row["validation_kl_s"] for row in self.history]
        fell = max(held) >= COLLAPSED or self.steps >= LEARNING_STEPS  # not: has yet to learn
        if len(held) > 1 and fell and max(held[-2:]) < COLLAPSED:
            raise RunError(
                f"the shared latent collapsed: KL[q(z_s given x, y) || p] is {held[-1]:.1e} "
                "nats per pair, so z_s holds nothing. It usually helps to raise the likelihoods' "
                "weights (objective.x.weight, objective.y.weight), to lower objective.beta, or to "
                "lengthen the warm-up objective.tau"
            )

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
        for group in self.optimiser.param_groups if self.device.type == "cuda" else ():
            group["lr"] = self.dials[2]
        self.sums.copy_(state["sums"])
        self.counted = state["counted"]
        self.started = time.perf_counter() - state["seconds"]
        if self.plan.group.rank:
            seed = self.settings.training.seed + OTHER_SEED * self.plan.group.rank
            torch.manual_seed(seed + self.steps)
            return
        torch.set_rng_state(state["random_state"])
        torch.cuda.set_rng_state_all(state["cuda_random_state"])


def best_epoch(history: Sequence[Mapping[str, float]], keep: str) -> int:
    """Place of the epoch with the lowest validation loss, or with most partners found.

    Of epochs that find as many, the one of the lowest loss; of equal ones the first.
    """
    rows = [(-row["validation_recall"] if keep == "retrieval" else 0.0, row["validation_loss"])
            for row in history]  # fmt: skip
    return rows.index(min(rows))


def out_of_patience(losses: Sequence[float], patience: int | None) -> bool:
    """Whether the last `patience` epochs all failed to lower the validation loss."""
    if patience is None or not losses:
        return False
    return len(losses) - 1 - losses.index(min(losses)) >= patience


def _not_finite(terms: Terms) -> list[int]:
    """Places of the pairs whose loss is NaN or infinite."""
    each = torch.stack(list(terms)).sum(0)
    return (~each.isfinite()).nonzero().flatten().tolist()


def _validation_error(pairs: Sequence[int]) -> RunError:
    where = f"pair {pairs[0]} of the validation set" if pairs else "the validation set"
    return RunError(
        f"the loss of {where} is NaN or infinite: its values are far from those of the training "
        "pairs. Look for an outlier there, or lower training.learning_rate"
    )
