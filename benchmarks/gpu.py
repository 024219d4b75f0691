"""The published image experiments on one GPU, within a budget of minutes.

    python benchmarks/gpu.py speed --out gpu/
    python benchmarks/gpu.py train facades-256:0 mnist-cdcb-256:0 --minutes 8 --out gpu/

`speed` prints steps/s, share of the measured matrix-product rate and peak memory of both
published networks: plain float32, bf16, recorded as a CUDA graph, compiled; at the published batch
and at larger ones; and the rate of the convolutions by themselves.

`train` takes experiments of `experiments/`, each with a seed. It trains and measures one after the
other and begins none that would not end within `--minutes`, as measured on those before; one that
is not done by then stops and is measured as it is. Each leaves its settings, history, metrics.json
and grids of translations in a folder of `--out`, and a line on the terminal: Recall@1 by the
paper's comparison of z_s (Euclidean distance of means) and by pointwise mutual information with
the aggregate posterior of the training pairs.

`--dry` is for a machine without a GPU: two steps of each on a few pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from iiae.data import Splits, load
from iiae.data.base import PairSet
from iiae.distributions import DiagonalNormal
from iiae.errors import Interrupted
from iiae.evaluation.instances import ItemHashes, retrieve_partners
from iiae.evaluation.translations import translation_quality
from iiae.files.pictures import Row, grid
from iiae.hardware import fastest_algorithms
from iiae.metrics.retrieval import wilson
from iiae.metrics.similarity import Aggregate, cosine, euclidean, local_scaling, mutual_information
from iiae.model.iiae import IIAE
from iiae.model.latents import Embeddings, embed
from iiae.model.translation import translate
from iiae.run_folder import BEST, HISTORY, MODEL, SETTINGS, load_history
from iiae.settings import Settings, load_settings, make_settings
from iiae.training import fit
from iiae.training.recorded import RecordedStep
from iiae.types import Domain, Draw, Pair, other
from speed import NETWORKS, draws, make_learner, matmul_rate, plain_step, random_pairs, step_flops

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
EMBEDDED, SCORED, SHOWN = 2000, 2000, 8  # training pairs, test pairs, pairs in a picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=["speed", "train"])
    parser.add_argument("experiments", nargs="*", help="NAME:SEED")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each speed")
    parser.add_argument("--only", help="NETWORK:BATCH, as image:128; else all that are known")
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--dry", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not given.dry:
        parser.error("no GPU here; give --dry to try the program")
    if given.stage == "speed":
        speed(device, given.seconds, given.dry, given.only)
    else:
        train(given.experiments, given.minutes, given.overrides, given.out, device, given.dry)


# speed


def speed(device: torch.device, seconds: float, dry: bool, only: str | None) -> None:
    kinds = {"32": torch.float32, "bf16": torch.bfloat16}
    peaks = dict.fromkeys(kinds, 1e12)  # bf16 takes minutes on a CPU without units for it
    if not dry:
        peaks = {name: matmul_rate(kind, device) for name, kind in kinds.items()}
    rates = ", ".join(f"{name} {rate / 1e12:.1f} TFLOP/s" for name, rate in peaks.items())
    card = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{card}, torch {torch.__version__}; matrix product: {rates}", flush=True)
    print(
        f"{'network':9}{'batch':>6}  {'variant':22}{'steps/s':>9}{'pairs/s':>10}"
        f"{'TFLOP/s':>9}{'of bf16':>9}{'MiB':>8}{'warm, s':>9}"
    )
    for name, batches in {"features": (100, 1000), "image": (8, 32, 128)}.items():
        for batch in batches[: 1 if dry else None]:
            if only not in (None, f"{name}:{batch}"):
                continue
            one_batch(name, batch, device, seconds, peaks["bf16"], dry)


def one_batch(
    name: str, batch: int, device: torch.device, seconds: float, peak: float, dry: bool
) -> None:
    shape = (3, 64, 64) if dry and name == "image" else NETWORKS[name]["shape"]
    data = random_pairs(max(2 * batch, 16), shape)
    changes = [f"training.batch={batch}", "training.compile=false"]
    base = make_settings(NETWORKS[name]["settings"], changes)
    flops = batch / 8 * step_flops(with_training(base, batch=8), data)
    published = batch == base_batch(name)
    variants: dict[str, Callable[[], Callable[[Pair], None]]] = {
        "eager float32": lambda: plain_step(base, data, device),
        "eager bf16": lambda: step_of(base, data, device),
        "graph bf16": lambda: recorded(step_of(base, data, device), device),
        "compiled bf16": lambda: step_of(with_training(base, compile=True), data, device),
        "compiled, graph bf16": lambda: recorded(
            step_of(with_training(base, compile=True), data, device), device
        ),
    }
    if not published:
        left_out = ["eager float32", "compiled bf16"]
        left_out += ["compiled, graph bf16"] if batch == 32 else []
        for variant in left_out:
            del variants[variant]
    for variant, make in variants.items():
        if dry and "compiled" in variant:
            continue
        batches = draws(base, data, device)
        pairs = [next(batches) for _ in range(2)]
        torch._dynamo.reset()  # or it would compile for any batch
        started = time.perf_counter()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        with fastest_algorithms(device):
            step = make()
            for i in range(2 if dry else 8):
                step(pairs[i % 2])
            synchronise(device)
            warm = time.perf_counter() - started
            rate = 1 / median(timed(step, pairs, seconds / 3, device, dry) for _ in range(3))
        held = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else 0
        print(
            f"{name:9}{batch:6}  {variant:22}{rate:9.1f}{rate * batch:10.0f}"
            f"{rate * flops / 1e12:9.1f}{rate * flops / peak:9.1%}{held:8.0f}{warm:9.1f}",
            flush=True,
        )
        if variant == "eager bf16" and name == "image":
            convolutions(step, pairs[0], flops, peak, device)
        del step


def convolutions(
    step: Callable[[Pair], None], pair: Pair, flops: float, peak: float, device: torch.device
) -> None:
    """Prints the part of a step's time on the device that convolutions take, and their rate."""
    from torch.profiler import ProfilerActivity, profile

    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=kinds) as found:
        for _ in range(3):
            step(pair)
        synchronise(device)
    rows = list(found.key_averages())
    cuda = device.type == "cuda"
    name = "self_device_time_total" if cuda else "self_cpu_time_total"
    # on a GPU every kernel has a row, and the operation that started it has another
    kernels = [row for row in rows if not cuda or "CUDA" in str(row.device_type)]
    rows = [row for row in rows if row not in kernels] if cuda else rows
    total = sum(getattr(row, name) for row in kernels)
    taken = sum(getattr(row, name) for row in rows if "convolution" in row.key)
    if not taken or not total:
        return
    rate = flops / (taken / 3 * 1e-6)
    print(
        f"{'':17}convolutions: {taken / total:.0%} of the time on the device, "
        f"{rate / 1e12:.0f} TFLOP/s, {rate / peak:.0%} of the bf16 matrix-product rate",
        flush=True,
    )
    top = sorted(rows, key=lambda row: -getattr(row, name))[:8]
    print(f"{'':17}" + "; ".join(f"{r.key[:40]} {getattr(r, name) / total:.0%}" for r in top))


def base_batch(name: str) -> int:
    return NETWORKS[name]["settings"]["training"]["batch"]


def with_training(settings: Settings, **changes: Any) -> Settings:
    training = settings.training.model_copy(update=changes)
    return settings.model_copy(update={"training": training})


def step_of(settings: Settings, data: Splits, device: torch.device) -> Callable[[Pair], None]:
    """A step as `fit` takes it, in bf16, not recorded."""
    precision = "bf16" if device.type == "cuda" else "32"
    chosen = with_training(settings, precision=precision, cuda_graph=False)
    learner = make_learner(chosen, data, device)
    learner.dials.copy_(torch.tensor([0.5, 1.0, settings.training.learning_rate]))
    return learner.step


def recorded(step: Callable[[Pair], None], device: torch.device) -> Callable[[Pair], None]:
    return RecordedStep(step) if device.type == "cuda" else step


def timed(
    step: Callable[[Pair], None],
    pairs: list[Pair],
    seconds: float,
    device: torch.device,
    dry: bool,
) -> float:
    """Seconds a step; the device is waited for every eighth."""
    steps, started = 0, time.perf_counter()
    while not steps or time.perf_counter() - started < seconds:
        for i in range(1 if dry else 8):
            step(pairs[i % 2])
            steps += 1
        synchronise(device)
    return (time.perf_counter() - started) / steps


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


# quality


def train(
    names: list[str],
    minutes: float,
    overrides: list[str],
    out: Path,
    device: torch.device,
    dry: bool,
) -> None:
    started, rate = time.perf_counter(), 0.0
    for name in names:
        experiment, _, seed = name.partition(":")
        more = [*overrides, f"training.seed={seed or 0}"]
        if dry:
            more += ["data.limit=40", "training.epochs=1", "data.size=64", "training.precision=32"]
            more += ["data.validation=8"] if "mnist" in experiment else []
        settings = load_settings(EXPERIMENTS / f"{experiment}.toml", more)
        left = 60 * minutes - (time.perf_counter() - started)
        data = load(settings.data)
        steps = settings.training.epochs * (len(data.train) // settings.training.batch)
        if rate and steps / rate + 15 > left:
            print(f"{name}: left out, {steps} steps do not fit into {left:.0f} s", flush=True)
            continue
        rate = one_run(name.replace(":", "-seed"), settings, data, out, device, left)
    print(f"{time.perf_counter() - started:.0f} s in all")


def one_run(
    name: str, settings: Settings, data: Splits, out: Path, device: torch.device, left: float
) -> float:
    """Trains for at most `left` seconds, measures and draws; returns steps/s."""
    began = time.perf_counter()
    folder = Path("/tmp/iiae-gpu") / name
    stop = threading.Timer(left, os.kill, (os.getpid(), signal.SIGTERM))
    stop.daemon = True
    stop.start()
    try:
        run = fit(settings, folder, data=data, progress=False, overwrite=True)
    except Interrupted:
        done = len(load_history(folder))
        print(f"{name}: stopped after {done} of {settings.training.epochs} epochs", flush=True)
        run = fit(with_training(settings, epochs=done), folder, data, None, True, False)
    stop.cancel()
    trained = time.perf_counter()
    model, test = run.model.to(device), data.test.to(device)
    figures: dict[str, Any] = {"name": name, "seconds": trained - began}
    figures |= json.loads((folder / "metrics.json").read_text())["training"]
    figures |= measured(model, data.train.to(device), test, settings.evaluation.batch)
    limits = (16, min(len(test), 200), 0)
    figures["translation"] = {
        to: translation_quality(model, test, to, *limits)._asdict() for to in ("x", "y")
    }
    if settings.training.keep == "last" and (folder / BEST).is_file():
        model.load_state_dict(load_file(folder / BEST))  # of the lowest validation loss
        batch = settings.evaluation.batch
        figures["lowest validation loss"] = measured(model, data.train.to(device), test, batch)
        losses = [row["validation_loss"] for row in load_history(folder)]
        figures["lowest validation loss"]["epoch"] = 1 + losses.index(min(losses))
        model.load_state_dict(load_file(folder / MODEL))
    kept = out / name
    kept.mkdir(exist_ok=True)
    for file in (SETTINGS, HISTORY):
        (kept / file).write_bytes((folder / file).read_bytes())
    (kept / "metrics.json").write_text(json.dumps(figures, indent=1, default=float))
    for to in ("x", "y"):
        picture(model, test, to, name).save(kept / f"to_{to}.webp", quality=80)
    shown = {k: [f"{100 * r:.2f}" for r in v["recall@1"]] for k, v in figures["scores"].items()}
    print(
        f"{name}: {figures['seconds']:.1f} s, measured in {time.perf_counter() - trained:.1f} s; "
        f"active {figures['active_dimensions']} of {figures['shared_dimensions']}; "
        f"Recall@1 x to y, y to x: {json.dumps(shown)}",
        flush=True,
    )
    if best := figures.get("lowest validation loss"):
        shown = {k: [f"{100 * r:.2f}" for r in v["recall@1"]] for k, v in best["scores"].items()}
        print(f"{name}, epoch {best['epoch']}: {json.dumps(shown)}", flush=True)
    last = load_history(folder)[-1]
    return last["step"] / last["seconds"]


def measured(model: IIAE, train: PairSet, test: PairSet, batch: int) -> dict[str, Any]:
    """Retrieval of partners under each score, both ways, with Wilson's interval."""
    hashes, batches = ItemHashes(), test.batches(min(batch, 250))
    few = len(test) <= SCORED  # hashing many images takes longer than training on them
    found = embed(model, hashes.watch(batches) if few else batches)
    paper = retrieve_partners(found, model.active.cpu(), hashes.identities() if few else None)
    index = train.sample(EMBEDDED, 0)
    learned = embed(model, train.batches(250, index))
    device, chosen = model.active.device, slice(SCORED)
    aggregate = Aggregate(
        *(one.to(device) for one in Aggregate.of(learned.shared_given_x, learned.shared_given_y))
    )
    x, y = (
        DiagonalNormal(one.mean[chosen].to(device) - centre, one.log_variance[chosen].to(device))
        for one, centre in (
            (found.shared_given_x, aggregate.centre_x),
            (found.shared_given_y, aggregate.centre_y),
        )
    )
    tables = {
        "euclidean": euclidean(found.shared_given_x.mean[chosen].to(device),
                               found.shared_given_y.mean[chosen].to(device)),
        "centred cosine": cosine(x.mean, y.mean),
        "mutual information": mutual_information(x, y, aggregate.variance),
    }  # fmt: skip
    tables |= {f"{name}, scaled": local_scaling(table) for name, table in tables.items()}
    return {
        "retrieval": {
            name: [one.recall[1]._asdict(), one.chance[1]]
            for name, one in paper._asdict().items()
            if one is not None
        },
        "scores": {name: ways(table) for name, table in tables.items()},
        "scored": len(x.mean),
        "latents": spread(found),
    }


def ways(table: Tensor) -> dict[str, Any]:
    """Recall@1 both ways of a square table of scores."""
    each = torch.arange(len(table), device=table.device)
    hits = [int((table.argmax(axis) == each).sum()) for axis in (1, 0)]
    return {
        "recall@1": [h / len(table) for h in hits],
        "interval": [wilson(h, len(table))[1:] for h in hits],
    }


def spread(found: Embeddings) -> dict[str, float]:
    variances = {name: one.variance.mean() for name, one in found._asdict().items()}
    return {f"{name}, mean variance": float(value) for name, value in variances.items()}


def picture(model: IIAE, test: PairSet, to: Domain, title: str):
    """Source, truth, with the partner's exclusive latent, with another item's, with samples."""
    pair = test.pairs(Draw(torch.linspace(0, len(test) - 1, SHOWN).long()))
    source, truth = (pair.x, pair.y) if to == "y" else (pair.y, pair.x)
    torch.manual_seed(0)
    size = model.exclusive_sizes.of(to)
    drawn = [torch.randn(SHOWN, size).to(source.device) for _ in range(2)]
    rows = [
        Row(f"source {other(to)}", source),
        Row(f"truth {to}", truth),
        Row("like partner", translate(model, source, to, like=truth)),
        Row("like next", translate(model, source, to, like=truth.roll(-1, 0))),
        *(Row("sampled", translate(model, source, to, exclusive=z)) for z in drawn),
    ]
    return grid(title, [row._replace(images=row.images.cpu()) for row in rows])


if __name__ == "__main__":
    main()
