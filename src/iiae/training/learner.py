"""The objective as Lightning wants it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from iiae.data import Splits
from iiae.data.pairing import OTHER_SEED
from iiae.errors import RunError
from iiae.hardware import bf16_pays
from iiae.model import IIAE
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
from iiae.runs import CHECKPOINT, save_history
from iiae.settings import Settings
from iiae.training.checkpoints import out_of_patience
from iiae.training.processes import all_sum, any_process
from iiae.types import Pair, PartPaired

LEARNING_STEPS = 500  # by then z_s should tell something
COLLAPSED = 1e-2  # nats of KL[q(z_s given x, y) || p] under which z_s tells nothing


class Learner(L.LightningModule):
    """The objective as Lightning wants it; keeps one history row an epoch."""

    def __init__(self, model: IIAE, settings: Settings, data: Splits, out: Path):
        super().__init__()
        self.model, self.settings, self.data, self.out = model, settings, data, out
        self.images = len(data.train.shapes[0]) == 3
        if self.images:
            self.model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.bf16 = self._computes_in_bf16()
        self.loss = self._loss
        if settings.training.compile:
            # noise from torch's own generator: what the compiler makes on a CPU draws it one by
            # one, which takes a tenth of a feature step; and so the same noise as uncompiled
            self.loss = torch.compile(self._loss, options={"fallback_random": True})
        # Optimised and counted by hand: Lightning's wrappers cost a twentieth of a feature
        # model's step. Its own `global_step` stays 0.
        self.automatic_optimization = False
        self.steps = 0
        steps = max(1, len(data.train) // min(settings.training.batch, len(data.train)))
        self.total = steps * settings.training.epochs
        self.history: list[dict[str, float]] = []
        self.best = math.inf
        self.best_weights: dict[str, Tensor] | None = None  # not yet written
        self.sums = torch.zeros(len(Terms._fields))
        self.counted = 0
        self.started = time.perf_counter()
        self.random_state: dict[str, Any] | None = None
        self.stop_asked = False
        self.rank, self.world = 0, 1

    def training_step(self, batch: Sequence[Pair | PartPaired]) -> None:
        for pair in batch:
            self.optimise(pair)

    def optimise(self, pair: Pair | PartPaired) -> None:
        """One optimiser step."""
        training = self.settings.training
        objective = self.settings.objective
        weights = (
            kl_warmup(self.steps, objective.tau),
            exclusive_weight(self.steps / self.total, objective.exclusive),
        )
        loss, means = self.loss(pair, torch.tensor(weights, device=self.device))
        optimiser: Any = self.optimizers(use_pl_optimizer=False)
        optimiser.param_groups[0]["lr"] = training.learning_rate * self._rate(self.steps)
        optimiser.zero_grad()
        if self.world > 1:
            self.manual_backward(loss)  # averages gradients over the processes
        else:
            loss.backward()
        if training.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self.parameters(), training.gradient_clip)
        optimiser.step()
        self.steps += 1
        self.sums = self.sums.to(means.device) + means
        self.counted += 1

    def _loss(self, pair: Pair | PartPaired, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The loss with the step's `anneal` and `exclusive`; the mean of each term (detached)."""
        if self.images:
            x, y = (v.contiguous(memory_format=torch.channels_last) for v in pair[:2])
            pair = pair._replace(x=x, y=y)
        with torch.autocast(pair.x.device.type, torch.bfloat16, enabled=self.bf16):
            whole = isinstance(pair, Pair)
            q, p = self.model(pair) if whole else self.model.part_paired(pair)
        terms = iiae_terms(pair, q, p) if whole else part_paired_terms(pair, q, p)
        objective = self.settings.objective
        anneal, exclusive = weights
        loss = iiae_loss(terms, objective.beta, objective.lam, anneal, objective.inter, exclusive)
        return loss, torch.stack([term.detach().mean() for term in terms])

    def _computes_in_bf16(self) -> bool:
        """Whether to compute in bfloat16 where that is safe."""
        precision = self.settings.training.precision
        return bf16_pays(self.device) if precision == "auto" else precision == "bf16"

    def make_optimiser(self) -> torch.optim.Adam:
        training = self.settings.training
        return torch.optim.Adam(
            self.parameters(),
            lr=training.learning_rate,
            betas=(training.adam_beta1, 0.999),
            fused=True,
        )

    def configure_optimizers(self) -> torch.optim.Adam:
        return self.make_optimiser()

    def _rate(self, step: int) -> float:
        """1, then linear to 0 over the part of training after `decay_from`."""
        start = self.settings.training.decay_from
        done = step / self.total
        return 1.0 if done <= start or start == 1 else max(0.0, (1 - done) / (1 - start))

    def end_epoch(self) -> None:
        """Validates, writes the history, keeps the best weights, and stops where it must."""
        row = self._row(self.validate())
        self.history.append(row)
        if self.rank == 0:
            save_history(self.out, self.history)
        for logger in self.loggers:
            logger.log_metrics(row, step=self.steps)
        if not math.isfinite(row["validation_loss"]):
            raise _validation_error([])
        self._stop_if_collapsed()
        if row["validation_loss"] < self.best:
            self.best = row["validation_loss"]
            self.best_weights = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self._stop_if_patient()
        self.sums, self.counted = torch.zeros_like(self.sums), 0

    @torch.no_grad()
    def validate(self) -> Terms:
        """Mean terms over the validation set, `(1,)` each: one fixed sample of z a pair."""
        self.model.eval()
        sums, pairs = torch.zeros(len(Terms._fields), device=self.device), 0
        broken: list[int] = []
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self.settings.training.seed)
            batches = self.data.validation.batches(self.settings.evaluation.batch)
            for i, pair in enumerate(batches):
                if self.world > 1:  # each batch in one process, with noise of its own
                    if i % self.world != self.rank:
                        continue
                    torch.manual_seed(self.settings.training.seed + i)
                pair = Pair(*(v.to(self.device) for v in pair))
                q, p = self.model(pair)
                terms = iiae_terms(pair, q, p)
                broken += [pairs + i for i in _not_finite(terms)]
                sums += torch.stack([term.sum() for term in terms])
                pairs += len(pair.x)
        self.model.train()
        if any_process([bool(broken)], self.device)[0]:
            raise _validation_error(broken)
        *sums, pairs = all_sum(torch.cat([sums, sums.new_tensor([pairs])])).cpu().split(1)
        return Terms(*(total / pairs for total in sums))

    def _row(self, held: Terms) -> dict[str, float]:
        objective, step = self.settings.objective, self.steps
        means = all_sum(self.sums) / self.world
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

    def check_finite(self) -> None:
        """Raises RunError, in every process, once any term of this epoch was NaN or infinite."""
        if any_process([not self.finite()], self.device)[0]:
            raise self.broken()

    def finite(self) -> bool:
        """Whether all terms of this epoch were, in this process."""
        return math.isfinite(self.sums.sum().item())

    def broken(self) -> RunError:
        return RunError(
            f"the loss became NaN or infinite at step {self.steps}; {self.out / CHECKPOINT} "
            "holds the last sound state if there is one. It usually helps to lower "
            "training.learning_rate, to set training.gradient_clip=1, or training.precision=32"
        )

    def _stop_if_collapsed(self) -> None:
        told = [row["validation_kl_s"] for row in self.history]
        fell = max(told) >= COLLAPSED or self.steps >= LEARNING_STEPS  # not: has yet to learn
        if len(told) > 1 and fell and max(told[-2:]) < COLLAPSED:
            raise RunError(
                f"the shared latent collapsed: KL[q(z_s given x, y) || p] is {told[-1]:.1e} "
                "nats a pair, so z_s tells nothing. It usually helps to raise the likelihoods' "
                "weights (objective.x.weight, objective.y.weight), to lower objective.beta, or to "
                "lengthen the warm-up objective.tau"
            )

    def _stop_if_patient(self) -> None:
        losses = [row["validation_loss"] for row in self.history]
        if out_of_patience(losses, self.settings.training.patience):
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["iiae"] = {
            "steps": self.steps,
            "history": self.history,
            "best": self.best,
            "sums": self.sums,
            "counted": self.counted,
            "seconds": time.perf_counter() - self.started,
            "random_state": torch.get_rng_state(),
            "cuda_random_state": torch.cuda.get_rng_state_all(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.random_state = state = checkpoint["iiae"]
        self.steps = state["steps"]
        self.history, self.best = state["history"], state["best"]
        self.sums, self.counted = state["sums"], state["counted"]

    def on_train_start(self) -> None:
        self.bf16 = self._computes_in_bf16()  # the device is known now
        self._stop_if_patient()  # a run that stopped early is finished, not trained further
        self.started = time.perf_counter()
        if self.random_state is not None:
            self.started -= self.random_state["seconds"]
        if self.rank:  # other noise than the first process's, whose state is the one kept
            torch.manual_seed(self.settings.training.seed + OTHER_SEED * self.rank + self.steps)
        elif self.random_state is not None:
            torch.set_rng_state(self.random_state["random_state"])
            torch.cuda.set_rng_state_all(self.random_state["cuda_random_state"])


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
