"""Training with Lightning; nothing else imports it."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.strategies import DDPStrategy
from safetensors.torch import load_file

from iiae.data import Splits, load, with_absolute_paths
from iiae.data.pairing import AlignedBatches, make_batches
from iiae.data.partners import PartPairs
from iiae.data.ranges import check_ranges
from iiae.errors import SettingsError
from iiae.model import IIAE, Active, Embeddings, build_model, embed, select_active, signal_shares
from iiae.runs import (
    BEST,
    MODEL,
    Run,
    Shapes,
    load_run,
    save_metrics,
    save_settings,
    save_weights,
)
from iiae.settings import Settings
from iiae.training.batchnorm import synchronised
from iiae.training.callbacks import Bar, Keeper
from iiae.training.checkpoints import (
    AtomicCheckpoints,
    begin,
    check_folder,
    check_same_pairs,
    saved_state,
)
from iiae.training.learner import Learner
from iiae.training.loader import GroupLoader, resident
from iiae.training.processes import launcher, leave
from iiae.training.stopping import stopped_by_signals
from iiae.types import Draw

ACTIVE_PAIRS = 10_000  # training pairs that the active dimensions are chosen on


def fit(
    settings: Settings,
    out: str | Path,
    data: Splits | None = None,
    model: IIAE | None = None,
    resume: bool = False,
    progress: bool = True,
    overwrite: bool = False,
) -> Run:
    """Trains a model, writes its run folder, and returns the run.

    The weights kept are those of the lowest validation loss, or the last ones
    (`training.keep`); the active dimensions are chosen on training pairs.

    Args:
        settings: What to learn, from what, how.
        out: The run folder.
        data: Pairs to use instead of those that `settings.data` names.
        model: Model to train instead of the one that settings describe.
        resume: Continue the run in `out` from where it stopped; bit for bit on a CPU in float32.
        progress: Show a progress bar.
        overwrite: Replace a run in `out`, whose files go once the first step is done.

    Raises:
        DataError: The data is missing or damaged.
        SettingsError: Settings do not fit the data, or those of the run to resume.
        RunError: The folder cannot be used or holds a run already, or training had to stop.
        Interrupted: Ctrl-C or SIGTERM; the state was saved.
    """
    out, started = Path(out), time.time()
    checkpoint = check_folder(out, settings, resume, overwrite)
    settings = settings.model_copy(update={"data": with_absolute_paths(settings.data)})
    data = data or load(settings.data)
    _check_sizes(data)
    if model is None:
        check_ranges(settings.objective, data)
    if resume:
        check_same_pairs(out, data)
    torch.manual_seed(settings.training.seed)
    shapes = data.train.shapes
    model = model or build_model(settings.model, settings.objective, shapes)
    learner = Learner(model, settings, data, out)
    training = settings.training
    sampler = make_batches(data.train, training.batch, training.seed, training.workers)
    learner.total = len(sampler) * settings.training.epochs
    if checkpoint:
        save_settings(out, settings)
    with _quiet(), stopped_by_signals(learner) as listener, ExitStack() as stack:
        trainer = _make_trainer(settings, out)
        first = None if checkpoint else partial(begin, out, settings, data, started)
        keeper = Keeper(learner, first)
        trainer.callbacks += [keeper, listener]  # pyright: ignore[reportAttributeAccessIssue]
        _join(trainer, learner, sampler, stack)
        if checkpoint:
            sampler.seek(saved_state(checkpoint)["steps"])
        if progress and learner.rank == 0:
            trainer.callbacks += [Bar(learner)]  # pyright: ignore[reportAttributeAccessIssue]
        pairs = resident(data.train, trainer.strategy.root_device)
        # processes cannot share what is on a device, and there is nothing left to prepare
        workers = settings.training.workers if pairs is data.train else 0
        loader = GroupLoader(pairs, sampler, workers)
        trainer.fit(learner, loader, ckpt_path=checkpoint, weights_only=True)
    run = _finish(learner, shapes) if learner.rank == 0 else None
    leave()
    return run or load_run(out, model)


def first_process() -> bool:
    """Whether this process is the one that writes and speaks for all."""
    return rank_zero_only.rank == 0  # pyright: ignore[reportFunctionMemberAccess]


def _make_trainer(settings: Settings, out: Path) -> L.Trainer:
    training = settings.training
    asked = f"training.devices = {training.devices}, training.nodes = {training.nodes}"
    try:
        environment = launcher()
        started = environment.world_size() if environment else None
        if started not in (None, training.devices * training.nodes):
            # Lightning would train alone in each of them where one process is asked for
            raise SettingsError(
                f"{asked}, but SLURM or torchrun started {started} processes in all; the product "
                "must be their number (srun --nodes=N --ntasks-per-node=D iiae train ... --set "
                "training.nodes=N --set training.devices=D)"
            )
        return L.Trainer(**_trainer_options(settings, out, environment))
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise SettingsError(f"{asked}: {error}") from error


def _join(trainer: L.Trainer, learner: Learner, sampler: AlignedBatches, stack: ExitStack) -> None:
    """Tells learner and sampler which of how many processes this one is."""
    if trainer.world_size == 1:
        return
    if isinstance(learner.data.train, PartPairs):
        # parts of a batch would differ in their number of pairs, which BatchNorm takes as one
        raise SettingsError("training.devices: samples without a partner train in one process")
    learner.rank, learner.world = trainer.global_rank, trainer.world_size
    sampler.share(learner.rank, learner.world)
    learner.total = len(sampler) * learner.settings.training.epochs
    device, together = trainer.strategy.root_device, not learner.settings.training.compile
    stack.enter_context(synchronised(learner.model, device, together))


def _strategy(settings: Settings) -> Any:
    training = settings.training
    if training.strategy == "auto" and training.devices * training.nodes == 1:
        return "auto"
    # moments are the same in every process, so there is nothing to broadcast; gradients are
    # summed where they lie
    return DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)


def _trainer_options(
    settings: Settings, out: Path, environment: ClusterEnvironment | None
) -> dict[str, Any]:
    return {
        "max_epochs": settings.training.epochs,
        "accelerator": "auto",
        "devices": settings.training.devices,
        "num_nodes": settings.training.nodes,
        "strategy": _strategy(settings),
        "num_sanity_val_steps": 0,
        "logger": _loggers(out),
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "default_root_dir": out,
        "plugins": [AtomicCheckpoints(), *([environment] if environment else [])],
    }


def _loggers(out: Path) -> Any:
    """TensorBoard's files where it is installed."""
    if find_spec("tensorboard") is None:
        return False
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(out, name="", version="tensorboard")


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
    sample = train.sample(ACTIVE_PAIRS, settings.training.seed)
    batches = sample.split(settings.evaluation.batch)
    found = embed(model, (train.pairs(Draw(index)) for index in batches))
    active = select_active(found, settings.evaluation.active_threshold)
    model.keep_active(active)
    save_weights(out / MODEL, model.state_dict(), shapes)
    losses = [row["validation_loss"] for row in learner.history]
    summary = {
        "seed": settings.training.seed,
        "precision": "bf16" if learner.bf16 else "32",
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
        "active_dimensions": int(active.shared.sum()),
        "shared_dimensions": len(active.shared),
        "latents": _latents(found, active),
    }
    save_metrics(out, "training", summary, learner.data.train.digest())
    return load_run(out, model)


def _latents(found: Embeddings, active: Active) -> dict[str, dict[str, float]]:
    """Of z_s, z_x and z_y: dimensions, active ones, and the largest signal share of any."""
    return {
        name: {
            "dimensions": len(kept),
            "active": int(kept.sum()),
            "largest_signal_share": float(share.max()),
        }
        for name, kept, share in zip(
            ("z_s", "z_x", "z_y"), active, signal_shares(found), strict=True
        )
    }


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


__all__ = ["Learner", "first_process", "fit"]
