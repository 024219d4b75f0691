"""Training speed: what the settings buy over plain float32, and what Lightning costs.

    python benchmarks/speed.py [--network features|image] [--seconds 8]

Prints, from one run: pairs/s of the plain eager float32 network with torch's default Adam, of
the same network as `training.precision = "bf16"` and `training.compile` run it in a bare loop,
and of `iiae.fit` (Lightning) with the same settings; their ratios; and the share of this
machine's measured matrix-product rate that each reaches. Variants take turns, so that a busy
machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from iiae.data.arrays import ArrayPairs
from iiae.data.base import Splits
from iiae.data.pairing import AlignedBatches
from iiae.model import build_model
from iiae.objectives import iiae_loss, iiae_terms
from iiae.settings import Settings, make_settings
from iiae.training import Learner, fit
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
            "training": {"batch": 100, "compile": True, "precision": "bf16"},
        },
        "shape": (512,),
        "pairs": 60_000,
    },
    "image": {
        "settings": {
            "data": {"name": "arrays"},
            "model": {"family": "image-map", "exclusive": 8, "shared": 128},
            "training": {"batch": 8, "precision": "bf16"},
        },
        "shape": (3, 256, 256),
        "pairs": 256,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=[*NETWORKS, "both"], default="both")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    peaks = {"32": matmul_rate(torch.float32), "bf16": matmul_rate(torch.bfloat16)}
    rates = ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in peaks.items())
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}; matrix product: {rates}")
    chosen = NETWORKS if arguments.network == "both" else [arguments.network]
    for name in chosen:
        measure(name, arguments.seconds, arguments.rounds, peaks)


def measure(name: str, seconds: float, rounds: int, peaks: dict[str, float]) -> None:
    network = NETWORKS[name]
    settings = make_settings(network["settings"])
    data = random_pairs(network["pairs"], network["shape"])
    flops = step_flops(settings, data)
    loops = {
        "plain eager float32": bare_loop(plain_step(settings, data), settings, data, seconds),
        "bare loop, tuned": bare_loop(tuned_step(settings, data), settings, data, seconds),
    }
    found = take_turns(loops, settings, data, seconds, rounds)
    batch = settings.training.batch
    plain = median(found["plain eager float32"])
    bare = median(found["bare loop, tuned"])
    print(f"\n{name}: batch {batch}, {flops / 1e9:.2f} GFLOP a step")
    print(f"{'variant':22}{'pairs/s':>10}{'steps/s':>10}{'x plain':>9}{'x bare':>8}{'of peak':>9}")
    for variant, seconds_a_step in found.items():
        step = median(seconds_a_step)
        peak = peaks["32" if "plain" in variant else settings.training.precision]
        print(
            f"{variant:22}{batch / step:10.1f}{1 / step:10.2f}{plain / step:9.2f}"
            f"{bare / step:8.3f}{flops / step / peak:9.1%}"
        )


def random_pairs(pairs: int, shape: tuple[int, ...]) -> Splits:
    rng = np.random.default_rng(0)
    x, y = (rng.uniform(-1, 1, (pairs, *shape)).astype(np.float32) for _ in range(2))
    few = ArrayPairs(x[:2], y[:2])
    return Splits(ArrayPairs(x, y), few, few)


def matmul_rate(dtype: torch.dtype, side: int = 2048) -> float:
    """FLOP/s of a square matrix product: the best of ten."""
    a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
    a @ b
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def step_flops(settings: Settings, data: Splits) -> float:
    """Of one forward and backward pass: matrix products and convolutions."""
    learner = make_learner(plain(settings), data)
    batch = next(iter(draws(settings, data)))
    with FlopCounterMode(display=False) as counter:
        loss, _ = learner.loss(batch, torch.tensor(1.0))
        loss.backward()
    return counter.get_total_flops()


def plain(settings: Settings) -> Settings:
    tuned = settings.training.model_copy(update={"precision": "32", "compile": False})
    return settings.model_copy(update={"training": tuned})


def make_learner(settings: Settings, data: Splits) -> Learner:
    torch.manual_seed(0)
    model = build_model(settings.model, settings.objective, data.train.shapes)
    return Learner(model.train(), settings, data, Path(tempfile.mkdtemp()))


def plain_step(settings: Settings, data: Splits) -> Callable:
    """As one would write it first: eager, float32, contiguous, Adam as it comes."""
    torch.manual_seed(0)
    model = build_model(settings.model, settings.objective, data.train.shapes).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-4)
    objective = settings.objective

    def step(pair) -> None:
        q, p = model(pair)
        loss = iiae_loss(iiae_terms(pair, q, p), objective.beta, objective.lam)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def tuned_step(settings: Settings, data: Splits) -> Callable:
    learner = make_learner(settings, data)
    optimiser = learner.make_optimiser()

    def step(pair) -> None:
        loss, _ = learner.loss(pair, torch.tensor(1.0))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def draws(settings: Settings, data: Splits) -> Iterator:
    batches = AlignedBatches(len(data.train), settings.training.batch, 0)
    while True:
        for draw in batches:
            yield data.train.pairs(draw)
        batches.set_epoch(batches.epoch + 1)


def warm_steps(settings: Settings) -> int:
    """Steps before time counts: compilation, caches, allocator."""
    return 30 if settings.training.compile else 3


def bare_loop(step: Callable, settings: Settings, data: Splits, seconds: float) -> Iterator[float]:
    """Seconds a step, each time over `seconds`; the first steps are not counted."""
    batches = draws(settings, data)
    for _ in range(warm_steps(settings)):
        step(next(batches))
    while True:
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            step(next(batches))
            steps += 1
        yield (time.perf_counter() - started) / steps


class Enough(Exception):
    """Ends a Lightning run whose steps have been timed."""


def take_turns(
    loops: dict[str, Iterator[float]], settings: Settings, data: Splits, seconds: float, rounds: int
) -> dict[str, list[float]]:
    """Seconds a step of each loop and of `iiae.fit`, in turn, `rounds` times.

    All happens inside one call of `fit`: between its turns it waits while the others run.
    """
    found: dict[str, list[float]] = {name: [] for name in [*loops, "iiae.fit, tuned"]}
    original, warm = Learner.optimise, warm_steps(settings)
    began, first = 0.0, 0

    def timed(self: Learner, pair: Pair) -> None:
        nonlocal began, first
        now = time.perf_counter()
        if self.steps >= warm and (not began or now - began > seconds):
            if began:
                found["iiae.fit, tuned"].append((now - began) / (self.steps - first))
            if len(found["iiae.fit, tuned"]) == rounds:
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
