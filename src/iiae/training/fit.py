"""Training, from settings to a run folder: data, model, plan, loader, steps, run."""

from __future__ import annotations

import time
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from iiae.data import PairSet, Splits, load, with_absolute_paths
from iiae.data.classes.pairs import ClassPairs
from iiae.data.context import learn_context
from iiae.data.missing import PartialPairs
from iiae.data.ranges import check_ranges
from iiae.data.sampling import AlignedBatches, make_batches
from iiae.errors import SettingsError
from iiae.hardware import bf16_pays, fastest_algorithms, keep_freed_memory
from iiae.metrics.comparison import choose_comparison
from iiae.model.active import latent_nats, select_active
from iiae.model.build import build_model, check_parts
from iiae.model.iiae import IIAE, Active
from iiae.model.latents import Embeddings, embed
from iiae.model.moments import recompute_moments
from iiae.model.prediction import calibrated_levels
from iiae.networks.covariates import Covariates
from iiae.run_folder import (
    BEST,
    MODEL,
    StoredRun,
    load_pairs,
    load_run,
    save_comparison,
    save_metrics,
    save_settings,
    save_weights,
)
from iiae.run_folder.examples import save_examples
from iiae.settings import Settings
from iiae.training.checkpoints import Keeper, saved_state
from iiae.training.group_batchnorm import synchronised
from iiae.training.inputs import learn_inputs
from iiae.training.learner import Learner, Plan
from iiae.training.library_sizes import warn_of_sizes
from iiae.training.loader import Loader, keep_on_device_if_it_fits
from iiae.training.loggers import check_logger
from iiae.training.out_folder import begin, check_folder, check_same_pairs
from iiae.training.processes import Group, any_process, joined
from iiae.training.progress import Progress
from iiae.training.signals import stop_on_signals
from iiae.training.validation import RANKED_PAIRS, best_epoch, out_of_patience

CALIBRATED_PAIRS = 200  # validation pairs that predictive intervals are calibrated on
ACTIVE_PAIRS = 10_000  # training pairs that the active dimensions are chosen on


def fit(
    settings: Settings,
    out: str | Path,
    data: Splits | None = None,
    model: IIAE | None = None,
    resume: bool = False,
    progress: bool = True,
    overwrite: bool = False,
) -> StoredRun:
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
        MissingExtra: `training.logger` is not installed.
        SettingsError: Settings do not fit the data, or those of the run to resume.
        RunError: The folder cannot be used or holds a run already, or training had to stop.
        Interrupted: Ctrl-C or SIGTERM; the state was saved.
    """
    out, started = Path(out), time.time()
    checkpoint = check_folder(out, settings, resume, overwrite)
    settings = settings.model_copy(update={"data": with_absolute_paths(settings.data)})
    data, covariates = _checked_data(settings, data, built=model is not None)
    if checkpoint:
        check_same_pairs(out, data)
    keep_freed_memory()
    with joined(settings.training) as group:
        torch.manual_seed(settings.training.seed)
        model = model or build_model(
            settings.model, settings.objective, data.train.shapes, covariates
        )
        learn_inputs(model, data.train)
        warn_of_sizes(model, data.train)
        together = synchronised(model, group.device) if group.world > 1 else nullcontext()
        with together, fastest_algorithms(group.device), stop_on_signals() as stop:
            order = _order(data.train, settings, group)
            learner = _learner(model, settings, order, data.train, group, checkpoint)
            first = None if checkpoint else partial(begin, out, settings, data, started)
            keeper = Keeper(out, learner, data.train.shapes, stop, first)
            if checkpoint:
                save_settings(out, settings)
            loader = Loader(data.train, order, settings.training.workers, group.device)
            validation = keep_on_device_if_it_fits(data.validation, group.device)
            with Progress(learner, data, progress and group.rank == 0) as bar, closing(keeper):
                _train(learner, loader, validation, keeper, bar)
        if group.rank == 0:
            _finish(learner, data, loader.pairs, out)
    return load_run(out, model)


def _checked_data(
    settings: Settings, data: Splits | None, built: bool
) -> tuple[Splits, Covariates]:
    """Pairs with what is known of them, and the covariates; `built`: the model is given.

    Raises:
        DataError: The data is missing, damaged, or of other ranges than the likelihoods.
        MissingExtra: `training.logger` is not installed.
        SettingsError: Settings do not fit the data.
    """
    check_logger(settings.training.logger)
    if not built:
        check_parts(settings)
    given = data or load(settings.data)
    _check_sizes(given)
    data, covariates = learn_context(given, settings.data, settings.objective)
    if settings.training.keep == "retrieval" and isinstance(data.validation, ClassPairs):
        raise SettingsError(
            "training.keep = 'retrieval': validation pairs of classes have no partners to find; "
            "choose best or last"
        )
    if not built:
        check_ranges(settings.objective, data)
    return data, covariates


def _learner(
    model: IIAE,
    settings: Settings,
    order: AlignedBatches,
    train: PairSet,
    group: Group,
    checkpoint: Path | None,
) -> Learner:
    """What trains, at the first step or where the run stopped.

    The state is as large as the model and its moments, and is let go here.
    """
    state = saved_state(checkpoint) if checkpoint else None
    learner = Learner(model, settings, _plan(settings, order, train, group, state))
    if state:
        learner.restore(state)
        order.seek(learner.steps)
    return learner


def _order(train: PairSet, settings: Settings, group: Group) -> AlignedBatches:
    """The order of training pairs, of which each process takes its part."""
    training = settings.training
    order = make_batches(train, training.batch, training.seed, training.workers)
    if group.world > 1:
        if isinstance(train, PartialPairs):
            # parts of a batch would differ in their number of pairs, which BatchNorm takes as one
            raise SettingsError("training.devices: samples without a partner train in one process")
        order.share(group.rank, group.world)
    return order


def _plan(
    settings: Settings,
    order: AlignedBatches,
    train: PairSet,
    group: Group,
    state: dict[str, Any] | None,
) -> Plan:
    """Steps and precision; a resumed run keeps the precision that it began with."""
    training, images = settings.training, len(train.shapes[0]) == 3
    bf16 = training.precision == "bf16"
    if state:
        bf16 = state["bf16"]
    elif training.precision == "auto":
        pays = bf16_pays(group.device, images, training.batch)
        [slower] = any_process([not pays], group.device)  # all processes compute alike
        bf16 = not slower
    return Plan(len(order) * settings.training.epochs, bf16, images, group)


def _train(
    learner: Learner, loader: Loader, validation: PairSet, keeper: Keeper, bar: Progress
) -> None:
    """Trains the remaining epochs."""
    training = learner.settings.training
    for number in range(len(learner.history), training.epochs):
        if out_of_patience(learner.history, training):
            break
        for pair in loader.epoch(number):
            learner.optimise(pair)
            keeper.after_step(last=learner.steps % len(loader.order) == 0)
            bar.step()
        keeper.check_finite()
        row = learner.end_epoch(validation)
        keeper.after_epoch(row)
        bar.epoch(row)


def _check_sizes(data: Splits) -> None:
    for name, part in data._asdict().items():
        if len(part) < (2 if name == "train" else 1):
            raise SettingsError(f"the {name} set has {len(part)} pairs; more are needed")


def _finish(learner: Learner, data: Splits, train: PairSet, out: Path) -> None:
    """Keeps the chosen weights, finds the active dimensions and writes the run's files.

    `train` has the training pairs where they were trained on, maybe a device.
    """
    settings, model = learner.settings, learner.model
    if settings.training.keep != "last":
        model.load_state_dict(load_file(out / BEST))
    index = train.sample(ACTIVE_PAIRS, settings.training.seed)
    posteriors = embed(model, train.batches(settings.evaluation.batch, index))
    ranked = data.validation.sample(RANKED_PAIRS, settings.training.seed)
    held = embed(model, data.validation.batches(settings.evaluation.batch, ranked))
    if not isinstance(data.validation, ClassPairs):  # classes have no partners to compare
        sides = ((one.shared_given_x, one.shared_given_y) for one in (posteriors, held))
        save_comparison(out, choose_comparison(*sides))
    model.cpu()
    save_examples(out, data.validation, ranked, held)
    active = select_active(posteriors, held, settings.evaluation.active_nats)
    model.keep_active(active)
    model.keep_aggregate(posteriors.exclusive_x, posteriors.exclusive_y)
    if settings.training.translation_moments:
        batches = data.train.batches(settings.training.batch, index.sort().values)
        recompute_moments(model, batches, settings.training.seed)
    _calibrate(model, data.validation, settings.training.seed)
    given = data.train.shapes, model.covariates, len(learner.history)
    save_weights(out / MODEL, model.state_dict(), *given)
    summary = {**_summary(learner, data), "latents": _latents(posteriors, active)}
    recorded = load_pairs(out)  # its digest was taken when training began
    save_metrics(out, "training", summary, recorded["train"].digest if recorded else None)


def _calibrate(model: IIAE, validation: PairSet, seed: int) -> None:
    """Learns the levels of predictive intervals of vectors, where validation pairs are partners."""
    if max(map(len, validation.shapes)) == 1 and not isinstance(validation, ClassPairs):
        some = validation.batches(CALIBRATED_PAIRS, validation.sample(CALIBRATED_PAIRS, seed))
        model.levels.copy_(calibrated_levels(model, next(some), seed))


def _summary(learner: Learner, data: Splits) -> dict[str, object]:
    training, model, last = learner.settings.training, learner.model, learner.history[-1]
    losses = [row["validation_loss"] for row in learner.history]
    last_kept = training.keep == "last"
    kept = len(losses) - 1 if last_kept else best_epoch(learner.history, training.keep)
    pairs = last["step"] * min(training.batch, len(data.train))
    return {
        "seed": training.seed,
        "precision": "bf16" if learner.plan.bf16 else "32",
        "epochs": len(losses),
        "kept_epoch": kept + 1,
        "validation_loss": losses[kept],
        "seconds": last["seconds"],
        "pairs_per_second": pairs / last["seconds"],
        "pairs": {name: len(part) for name, part in data._asdict().items()},
        "parameters": sum(p.numel() for p in model.parameters()),
        "active_dimensions": int(model.active.sum()),
        "shared_dimensions": len(model.active),
    }


def _latents(posteriors: Embeddings, active: Active) -> dict[str, dict[str, float]]:
    """Of z_s, z_x and z_y: dimensions, active ones, and the most nats that any holds."""
    return {
        name: {
            "dimensions": len(kept),
            "active": int(kept.sum()),
            "largest_nats": float(nats.max()),
        }
        for name, kept, nats in zip(
            ("z_s", "z_x", "z_y"), active, latent_nats(posteriors), strict=True
        )
    }
