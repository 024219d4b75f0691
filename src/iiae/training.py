"""Training with Lightning; nothing else imports it."""

from __future__ import annotations

import logging
import math
import signal
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import CheckpointIO
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import DataLoader

from iiae.data import PairSet, Splits, load
from iiae.data.pairing import AlignedBatches
from iiae.errors import Interrupted, RunError, SettingsError
from iiae.files import write_atomically
from iiae.model import IIAE, build_model, embed, select_active
from iiae.objectives import Terms, elbo, iiae_loss, iiae_terms, information_bound, kl_warmup
from iiae.runs import (
    BEST,
    CHECKPOINT,
    HISTORY,
    MODEL,
    SETTINGS,
    Run,
    Shapes,
    load_run,
    save_history,
    save_metrics,
    save_settings,
    save_weights,
)
from iiae.settings import Settings, load_settings
from iiae.types import Pair

ACTIVE_PAIRS = 10_000
FEATURE_STEPS, IMAGE_STEPS = 16, 1  # optimiser steps that Lightning handles in one go
LEARNING_STEPS = 500  # by then z_s should tell something
COLLAPSED = 1e-2  # nats of KL[q(z_s given x, y) || p] under which z_s tells nothing
MAY_CHANGE = ("training.epochs", "training.patience", "training.checkpoint_seconds")


def fit(
    settings: Settings,
    out: str | Path,
    data: Splits | None = None,
    model: IIAE | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Run:
    """Trains a model, writes its run folder, and returns the run.

    The weights kept are those of the lowest validation loss, or the last ones
    (`training.keep`); the active dimensions of z_s are chosen on training pairs.

    Args:
        settings: What to learn, from what, how.
        out: The run folder.
        data: Pairs to use instead of those that `settings.data` names.
        model: Model to train instead of the one that settings describe.
        resume: Go on where a stopped run in `out` was; bit for bit on a CPU in float32.
        progress: Show a progress bar.

    Raises:
        DataError: The data is missing or damaged.
        SettingsError: Settings do not fit the data, or those of the run to resume.
        RunError: The folder cannot be used, or training had to stop.
        Interrupted: Ctrl-C; the state was saved.
    """
    out = Path(out)
    checkpoint = _prepare(out, settings, resume)
    data = data or load(settings.data)
    _check_sizes(data)
    torch.manual_seed(settings.training.seed)
    shapes = data.train.shapes
    model = model or build_model(settings.model, settings.objective, shapes)
    learner = Learner(model, settings, data, out)
    sampler = AlignedBatches(len(data.train), settings.training.batch, settings.training.seed)
    if checkpoint:
        sampler.seek(_steps_done(checkpoint))
    save_settings(out, settings)
    with _quiet(), _stop_on_interrupt(learner):
        trainer = L.Trainer(
            **_trainer_options(settings, out),
            callbacks=[_Keeper(learner), *([_Bar(learner)] if progress else [])],
        )
        loader = _Loader(data.train, sampler, settings.training.workers)
        trainer.fit(learner, loader, ckpt_path=checkpoint, weights_only=True)
    return _finish(learner, shapes)


class Learner(L.LightningModule):
    """The objective as Lightning wants it; keeps one history row an epoch."""

    def __init__(self, model: IIAE, settings: Settings, data: Splits, out: Path):
        super().__init__()
        self.model, self.settings, self.data, self.out = model, settings, data, out
        self.images = len(data.train.shapes[0]) == 3
        if self.images:
            self.model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.loss = torch.compile(self._loss) if settings.training.compile else self._loss
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

    def training_step(self, batch: Sequence[Pair]) -> None:
        for pair in batch:
            self.optimise(pair)

    def optimise(self, pair: Pair) -> None:
        """One optimiser step."""
        training = self.settings.training
        anneal = torch.tensor(
            kl_warmup(self.steps, self.settings.objective.tau), device=self.device
        )
        loss, means = self.loss(pair, anneal)
        optimiser: Any = self.optimizers(use_pl_optimizer=False)
        optimiser.param_groups[0]["lr"] = training.learning_rate * self._rate(self.steps)
        optimiser.zero_grad()
        loss.backward()
        if training.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self.parameters(), training.gradient_clip)
        optimiser.step()
        self.steps += 1
        self.sums = self.sums.to(means.device) + means
        self.counted += 1

    def _loss(self, pair: Pair, anneal: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and the mean of each term (detached)."""
        if self.images:
            pair = Pair(*(v.contiguous(memory_format=torch.channels_last) for v in pair))
        half = self.settings.training.precision == "bf16"
        with torch.autocast(pair.x.device.type, torch.bfloat16, enabled=half):
            q, p = self.model(pair)
        terms = iiae_terms(pair, q, p)
        objective = self.settings.objective
        loss = iiae_loss(terms, objective.beta, objective.lam, anneal)
        return loss, torch.stack([term.detach().mean() for term in terms])

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
        save_history(self.out, self.history)
        for logger in self.loggers:
            logger.log_metrics(row, step=self.steps)
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
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self.settings.training.seed)
            for pair in self.data.validation.batches(self.settings.evaluation.batch):
                pair = Pair(*(v.to(self.device) for v in pair))
                q, p = self.model(pair)
                sums += torch.stack([term.sum() for term in iiae_terms(pair, q, p)])
                pairs += len(pair.x)
        self.model.train()
        return Terms(*(sums / pairs).cpu().split(1))

    def _row(self, held: Terms) -> dict[str, float]:
        objective, step = self.settings.objective, self.steps
        train = Terms(*(self.sums / max(1, self.counted)).cpu().split(1))
        values: dict[str, float] = {
            "epoch": len(self.history) + 1,
            "step": step,
            "seconds": time.perf_counter() - self.started,
            "anneal": kl_warmup(step, objective.tau),
            "learning_rate": self.settings.training.learning_rate * self._rate(step),
        }
        for name, terms in (("train", train), ("validation", held)):
            values[f"{name}_loss"] = iiae_loss(terms, objective.beta, objective.lam).item()
            values[f"{name}_elbo"] = elbo(terms).item()
            values[f"{name}_information_bound"] = information_bound(terms).item()
            values |= {f"{name}_{k}": v.item() for k, v in terms._asdict().items()}
        return values

    def check_finite(self) -> None:
        """Raises RunError once any term of this epoch was NaN or infinite."""
        if math.isfinite(self.sums.sum().item()):
            return
        raise RunError(
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
        patience = self.settings.training.patience
        losses = [row["validation_loss"] for row in self.history]
        if patience and len(losses) - 1 - losses.index(min(losses)) >= patience:
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
        self.started = time.perf_counter()
        if self.random_state is not None:
            self.started -= self.random_state["seconds"]
            torch.set_rng_state(self.random_state["random_state"])
            torch.cuda.set_rng_state_all(self.random_state["cuda_random_state"])


class _Loader:
    """Groups of batches in the order of a sampler, made here or in worker processes.

    A group is what Lightning handles in one go. Feature models take a few milliseconds a step,
    of which Lightning's bookkeeping would be a tenth; once a group it is not noticed.

    Has the state methods by which Lightning knows that a loader goes on in mid-epoch; the
    position itself is the sampler's, which `fit` has set.
    """

    def __init__(self, pairs: PairSet, sampler: AlignedBatches, workers: int):
        self.pairs, self.sampler, self.workers = pairs, sampler, workers
        self.group = IMAGE_STEPS if len(pairs.shapes[0]) == 3 else FEATURE_STEPS

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.group)

    def __iter__(self) -> Iterator[list[Pair]]:
        batches = self._batches()
        while group := list(islice(batches, self.group)):
            yield group

    def _batches(self) -> Iterator[Pair]:
        if self.workers == 0:
            return map(self.pairs.pairs, self.sampler)
        return iter(
            DataLoader(
                self.pairs,  # pyright: ignore[reportArgumentType]
                batch_size=None,
                sampler=self.sampler,
                num_workers=self.workers,
                # a generator of its own: otherwise every epoch would advance torch's
                generator=torch.Generator(),
            )
        )

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class _Keeper(L.Callback):
    """Ends each epoch; saves the state every so often, at the end, and when asked to stop."""

    def __init__(self, learner: Learner):
        self.learner = learner
        self.saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        learner = self.learner
        # on a GPU a look at the terms waits for them, so look seldom
        if learner.device.type == "cpu" or batch_idx % 50 == 0:
            learner.check_finite()
        if trainer.is_last_batch:
            return  # the epoch's end saves
        if self._due():
            self._save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.learner.end_epoch()
        last = len(self.learner.history) == self.learner.settings.training.epochs
        if self._due() or last or trainer.should_stop:
            self._save(trainer)

    def _due(self) -> bool:
        late = time.monotonic() - self.saved >= self.learner.settings.training.checkpoint_seconds
        return late or self.learner.stop_asked

    def _save(self, trainer: L.Trainer) -> None:
        learner = self.learner
        learner.check_finite()
        if learner.best_weights is not None:
            save_weights(learner.out / BEST, learner.best_weights, learner.data.train.shapes)
            learner.best_weights = None
        trainer.save_checkpoint(learner.out / CHECKPOINT)
        self.saved = time.monotonic()
        if self.learner.stop_asked:
            raise Interrupted(
                f"stopped at step {self.learner.steps} of {self.learner.total}; go on with: "
                f"iiae train --resume --out {self.learner.out}"
            )


class _Bar(L.Callback):
    """A progress bar with the terms that matter; one line an epoch where there is no terminal."""

    def __init__(self, learner: Learner):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.learner = learner
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[terms]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.shown = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        self.bar.start()
        self.task = self.bar.add_task("training", total=self.learner.total, terms="")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if now - self.shown < 0.5:
            return
        self.shown = now
        means = Terms(*(self.learner.sums / max(1, self.learner.counted)).tolist())
        text = (
            f"nll {means.nll_x:.0f} {means.nll_y:.0f}  kl s {means.kl_s:.1f} x {means.kl_x:.1f} "
            f"y {means.kl_y:.1f}  s|x {means.kl_s_x:.1f} s|y {means.kl_s_y:.1f}"
        )
        self.bar.update(self.task, completed=self.learner.steps, terms=text)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        row = self.learner.history[-1]
        self.console.print(
            f"epoch {row['epoch']:.0f}/{self.learner.settings.training.epochs}  "
            f"{row['seconds']:.0f} s  validation loss {row['validation_loss']:.1f}  "
            f"elbo {row['validation_elbo']:.1f}  bound {row['validation_information_bound']:.1f} "
            "nats a pair"
        )

    def teardown(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        self.bar.stop()


class AtomicCheckpoints(CheckpointIO):
    """Checkpoints that are whole or not there, and hold no pickled code."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        write_atomically(Path(path), lambda temporary: _torch_save(checkpoint, temporary))

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def _torch_save(checkpoint: dict[str, Any], path: Path) -> None:
    try:
        torch.save(checkpoint, path)
    except RuntimeError as error:  # torch's zip writer hides the system's reason
        raise OSError(28, "No space left on device") from error


def _trainer_options(settings: Settings, out: Path) -> dict[str, Any]:
    return {
        "max_epochs": settings.training.epochs,
        "accelerator": "auto",
        "devices": 1,
        "num_sanity_val_steps": 0,
        "logger": _loggers(out),
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "default_root_dir": out,
        "plugins": [AtomicCheckpoints()],
    }


def _loggers(out: Path) -> Any:
    """TensorBoard's files where it is installed."""
    if find_spec("tensorboard") is None:
        return False
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(out, name="", version="tensorboard")


def _prepare(out: Path, settings: Settings, resume: bool) -> Path | None:
    """The checkpoint to go on from, if any; a folder that can be written to.

    Files of an earlier run in the same folder go first, so that none can be taken for this
    run's.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file; --out names a folder")
    checkpoint = out / CHECKPOINT
    if resume:
        if not checkpoint.is_file():
            raise RunError(f"{out}: nothing to resume: it has no {CHECKPOINT}")
        _check_same(load_settings(out / SETTINGS), settings, out)
        return checkpoint
    for name in (MODEL, HISTORY, CHECKPOINT, BEST):
        try:
            (out / name).unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"{out}: cannot be written to: {error.strerror}") from error
    return None


def _steps_done(checkpoint: Path) -> int:
    try:
        state = torch.load(checkpoint, weights_only=True)
        return state["iiae"]["steps"]
    except (RuntimeError, UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise RunError(f"{checkpoint}: damaged, or not written by iiae train") from error


def _check_same(before: Settings, now: Settings, out: Path) -> None:
    old, new = (_flat(s.model_dump()) for s in (before, now))
    for name in old.keys() | new.keys():
        if name != "title" and name not in MAY_CHANGE and old.get(name) != new.get(name):
            raise SettingsError(
                f"{out} was trained with {name} = {old.get(name)}, not {new.get(name)}; resume it "
                "with its own settings (leave the file out), or choose another --out"
            )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else None
        flat |= inner if inner is not None else {prefix + key: value}
    return flat


def _check_sizes(data: Splits) -> None:
    for name, part in data._asdict().items():
        if len(part) < (2 if name == "train" else 1):
            raise SettingsError(f"the {name} set has {len(part)} pairs; more are needed")


def _finish(learner: Learner, shapes: Shapes) -> Run:
    """Keeps the chosen weights, finds the active dimensions and writes the run's files."""
    settings, model, out = learner.settings, learner.model, learner.out
    if settings.training.keep == "best":
        model.load_state_dict(load_file(out / BEST))
    model.cpu()
    train = learner.data.train
    sample = max(1, ACTIVE_PAIRS // settings.evaluation.batch)
    some = islice(train.batches(settings.evaluation.batch), sample)
    active = select_active(embed(model, some), settings.evaluation.active_threshold)
    model.active.copy_(active)
    save_weights(out / MODEL, model.state_dict(), shapes)
    losses = [row["validation_loss"] for row in learner.history]
    summary = {
        "seed": settings.training.seed,
        "epochs": len(learner.history),
        "kept_epoch": losses.index(min(losses)) + 1
        if settings.training.keep == "best"
        else len(losses),
        "validation_loss": min(losses) if settings.training.keep == "best" else losses[-1],
        "seconds": learner.history[-1]["seconds"],
        "pairs_per_second": learner.history[-1]["step"]
        * min(settings.training.batch, len(train))
        / learner.history[-1]["seconds"],
        "pairs": {name: len(part) for name, part in learner.data._asdict().items()},
        "parameters": sum(p.numel() for p in model.parameters()),
        "active_dimensions": int(active.sum()),
        "shared_dimensions": len(active),
    }
    save_metrics(out, "training", summary)
    return load_run(out, model)


@contextmanager
def _stop_on_interrupt(learner: Learner) -> Iterator[None]:
    """The first Ctrl-C asks training to save and stop after the step; the second stops at once."""

    def ask(number: int, frame: Any) -> None:
        if learner.stop_asked:
            raise KeyboardInterrupt
        learner.stop_asked = True

    try:
        before = signal.signal(signal.SIGINT, ask)
    except ValueError:  # not in the main thread, where signals cannot be set
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's hints are for those who write trainers, not for those who run this one."""
    names = ("lightning.pytorch", "lightning.fabric")
    levels = [logging.getLogger(name).level for name in names]
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", message=".*num_workers.*|.*isinstance.*LeafSpec.*")
        try:
            yield
        finally:
            for name, level in zip(names, levels, strict=True):
                logging.getLogger(name).setLevel(level)
