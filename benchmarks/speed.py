"""Training speed: what the settings buy over plain float32, and what the loop of `fit` costs.

    python benchmarks/speed.py [--network features|image] [--seconds 8] [--device cuda]

Prints, from one run: pairs/s of the plain eager float32 network with torch's default Adam, of
the same network as `training.precision` and `training.compile` run it in a bare loop, and of
`iiae.fit` with the same settings; their ratios; the share of this device's measured
matrix-product rate that each reaches; and its peak memory, in a process of its own: that of the
process on a CPU, that of tensors on a GPU. Variants take turns, so that a busy machine slows all
of them alike. `auto` is bf16 where it is measured to be faster (`iiae.hardware`); on a GPU images
are compiled too, and pairs stay on it.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from iiae.data.arrays import ArrayPairs
from iiae.data.base import Splits
from iiae.data.sampling import AlignedBatches
from iiae.hardware import bf16_pays
from iiae.model.build import build_model
from iiae.objectives import iiae_loss, iiae_terms
from iiae.settings import Settings, make_settings
from iiae.training import Learner, fit
from iiae.training.learner import Plan
from iiae.training.processes import Group
from iiae.types import Pair

NETWORKS = {
    "features": {
        "settings": {
            "data": {"name": "arrays"},
            "model": {"family": "features", "exclusive": 64, "shared": 64},
            "objective": {
                "beta": 0.5,
                "x": {"kind": "normal", "weight": 10.0},
                "y": {"kind": "normal", "weight": 10.0},
            },
            "training": {"batch": 100, "compile": True},
        },
        "shape": (512,),
        "pairs": 60_000,
    },
    "image": {
        "settings": {
            "data": {"name": "arrays"},
            "model": {"family": "image-map", "exclusive": 8, "shared": 128},
            "training": {"batch": 8},
        },
        "shape": (3, 256, 256),
        "pairs": 256,
    },
}


PLAIN, BARE, FIT = "plain eager float32", "bare loop, tuned", "iiae.fit, tuned"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=[*NETWORKS, "both"], default="both")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=["auto", "32", "bf16"], default="auto")
    given = parser.parse_args()
    device = torch.device(given.device)
    print(f"{_named(device)}, torch {torch.__version__}")
    for name in NETWORKS if given.network == "both" else [given.network]:
        precision = chosen_precision(name, given.precision, device)
        kinds = {"32": torch.float32, "bf16": torch.bfloat16}
        if precision == "32":
            del kinds["bf16"]  # whose product takes minutes on a CPU without units for it
        peaks = {name: matmul_rate(kind, device) for name, kind in kinds.items()}
        rates = ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in peaks.items())
        print(f"matrix product: {rates}")
        measure(name, given.seconds, given.rounds, peaks, device, precision)


def chosen_precision(name: str, asked: str, device: torch.device) -> str:
    """What `training.precision = "auto"` takes for a network on this machine, or what was asked."""
    if asked != "auto":
        return asked
    batch = NETWORKS[name]["settings"]["training"]["batch"]
    return "bf16" if bf16_pays(device, len(NETWORKS[name]["shape"]) == 3, batch) else "32"


def _named(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} threads"


def measure(
    name: str,
    seconds: float,
    rounds: int,
    peaks: dict[str, float],
    device: torch.device,
    precision: str,
) -> None:
    settings = chosen_settings(name, device, precision)
    data = random_pairs(NETWORKS[name]["pairs"], NETWORKS[name]["shape"])
    flops = step_flops(settings, data)
    loops = {
        PLAIN: bare_loop(plain_step(settings, data, device), settings, data, seconds, device),
        BARE: bare_loop(tuned_step(settings, data, device), settings, data, seconds, device),
    }
    found = take_turns(loops, settings, data, seconds, rounds, device)
    memory = {variant: apart(name, variant, str(device), precision) for variant in found}
    batch = settings.training.batch
    plain, bare = median(found[PLAIN]), median(found[BARE])
    print(f"\n{name}: batch {batch}, {flops / 1e9:.2f} GFLOP a step, tuned in {precision}")
    print(
        f"{'variant':22}{'pairs/s':>10}{'steps/s':>10}{'x plain':>9}{'x bare':>8}{'of peak':>9}"
        f"{'MiB':>8}"
    )
    for variant, seconds_a_step in found.items():
        step = median(seconds_a_step)
        peak = peaks["32" if variant == PLAIN else precision]
        print(
            f"{variant:22}{batch / step:10.1f}{1 / step:10.2f}{plain / step:9.2f}"
            f"{bare / step:8.3f}{flops / step / peak:9.1%}{memory[variant]:8.0f}"
        )


def chosen_settings(name: str, device: torch.device, precision: str) -> Settings:
    settings = make_settings(NETWORKS[name]["settings"], [f"training.precision={precision}"])
    compiled = settings.training.compile or device.type == "cuda"
    training = settings.training.model_copy(update={"compile": compiled})
    return settings.model_copy(update={"training": training})


def apart(name: str, variant: str, device: str, precision: str) -> float:
    """Peak memory of some steps of a variant in a process of its own, in MiB."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(peak_memory, name, variant, device, precision).result()


def peak_memory(name: str, variant: str, device_name: str, precision: str) -> float:
    """Peak of this process on a CPU, of tensors on a GPU, after a few steps; in MiB."""
    device = torch.device(device_name)
    settings = chosen_settings(name, device, precision)
    steps = warm_steps(settings)
    data = random_pairs(steps * settings.training.batch, NETWORKS[name]["shape"])
    if variant == FIT:
        one = settings.training.model_copy(update={"epochs": 1})
        out = tempfile.mkdtemp()
        fit(settings.model_copy(update={"training": one}), out, data=data, progress=False)
    else:
        make = plain_step if variant == PLAIN else tuned_step
        next(bare_loop(make(settings, data, device), settings, data, 0.0, device))
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return process_peak() / 2**20


def process_peak() -> float:
    """Most bytes that this process has held. `ru_maxrss` also knows the parent's, before exec."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10
    [line] = [row for row in status.read_text().splitlines() if row.startswith("VmHWM")]
    return int(line.split()[1]) * 2**10


def wait_for(device: torch.device) -> None:
    """Until all that was asked of a GPU is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def random_pairs(pairs: int, shape: tuple[int, ...]) -> Splits:
    rng = np.random.default_rng(0)
    x, y = (rng.uniform(-1, 1, (pairs, *shape)).astype(np.float32) for _ in range(2))
    few = ArrayPairs(x[:2], y[:2])
    return Splits(ArrayPairs(x, y), few, few)


def matmul_rate(dtype: torch.dtype, device: torch.device) -> float:
    """FLOP/s of a square matrix product: the best of ten."""
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(side, side).to(device, dtype) for _ in range(2))
    a @ b
    best = float("inf")
    for _ in range(10):
        wait_for(device)
        started = time.perf_counter()
        a @ b
        wait_for(device)
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def step_flops(settings: Settings, data: Splits) -> float:
    """Of one forward and backward pass: matrix products and convolutions."""
    device = torch.device("cpu")
    learner = make_learner(plain(settings), data, device)
    batch = next(iter(draws(settings, data, device)))
    with FlopCounterMode(display=False) as counter:
        loss, _ = learner.loss(batch, torch.ones(2))
        loss.backward()
    return counter.get_total_flops()


def plain(settings: Settings) -> Settings:
    tuned = settings.training.model_copy(update={"precision": "32", "compile": False})
    return settings.model_copy(update={"training": tuned})


def make_learner(settings: Settings, data: Splits, device: torch.device) -> Learner:
    torch.manual_seed(0)
    model = build_model(settings.model, settings.objective, data.train.shapes)
    bf16 = settings.training.precision == "bf16"
    images = len(data.train.shapes[0]) == 3
    return Learner(model, settings, Plan(1, bf16, images, Group(0, 1, device)))


def plain_step(settings: Settings, data: Splits, device: torch.device) -> Callable:
    """As one would write it first: eager, float32, contiguous, Adam as it comes."""
    torch.manual_seed(0)
    model = build_model(settings.model, settings.objective, data.train.shapes).train()
    model.to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-4)
    objective = settings.objective

    def step(pair) -> None:
        q, p = model(pair)
        loss = iiae_loss(iiae_terms(pair, q, p), objective.beta, objective.lam)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def tuned_step(settings: Settings, data: Splits, device: torch.device) -> Callable:
    learner = make_learner(settings, data, device)
    optimiser, whole = learner.optimiser, torch.ones(2, device=device)

    def step(pair) -> None:
        loss, _ = learner.loss(pair, whole)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def draws(settings: Settings, data: Splits, device: torch.device) -> Iterator:
    """Batches for ever; pairs are moved to a GPU once, as `fit` does."""
    batches = AlignedBatches(len(data.train), settings.training.batch, 0)
    pairs = data.train if device.type == "cpu" else data.train.to(device)
    while True:
        for draw in batches:
            yield pairs.pairs(draw)
        batches.set_epoch(batches.epoch + 1)


def warm_steps(settings: Settings) -> int:
    """Steps before time counts: compilation, caches, allocator."""
    return 30 if settings.training.compile else 3


def bare_loop(
    step: Callable, settings: Settings, data: Splits, seconds: float, device: torch.device
) -> Iterator[float]:
    """Seconds a step, each time over `seconds`; the first steps are not counted."""
    batches = draws(settings, data, device)
    for _ in range(warm_steps(settings)):
        step(next(batches))
    while True:
        wait_for(device)
        steps, started = 0, time.perf_counter()
        while not steps or time.perf_counter() - started < seconds:
            step(next(batches))
            steps += 1
        wait_for(device)
        yield (time.perf_counter() - started) / steps


class Enough(Exception):
    """Ends a run whose steps have been timed."""


def take_turns(
    loops: dict[str, Iterator[float]],
    settings: Settings,
    data: Splits,
    seconds: float,
    rounds: int,
    device: torch.device,
) -> dict[str, list[float]]:
    """Seconds a step of each loop and of `iiae.fit`, in turn, `rounds` times.

    All happens inside one call of `fit`: between its turns it waits while the others run.
    """
    found: dict[str, list[float]] = {name: [] for name in [*loops, FIT]}
    original, warm = Learner.optimise, warm_steps(settings)
    began, first = 0.0, 0

    def timed(self: Learner, pair: Pair) -> None:
        nonlocal began, first
        if self.steps >= warm and (not began or time.perf_counter() - began > seconds):
            wait_for(device)
            if began:
                found[FIT].append((time.perf_counter() - began) / (self.steps - first))
            if len(found[FIT]) == rounds:
                raise Enough
            for name, loop in loops.items():
                found[name].append(next(loop))
            began, first = time.perf_counter(), self.steps
        original(self, pair)

    Learner.optimise = timed
    # no state is saved meanwhile: the pauses would make every turn save one
    endless = {"epochs": 10_000, "checkpoint_seconds": 1e9}
    counted = settings.training.model_copy(update=endless)
    try:
        everlasting = settings.model_copy(update={"training": counted})
        fit(everlasting, tempfile.mkdtemp(), data=data, progress=False)
    except Enough:
        return found
    finally:
        Learner.optimise = original
    raise AssertionError("10,000 epochs were not enough")


if __name__ == "__main__":
    main()
