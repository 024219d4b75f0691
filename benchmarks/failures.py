"""Models that are known to be worse: do the measures of disentanglement say so?

    python benchmarks/failures.py experiments/digits-cdcb.toml --epochs 100

Trains the experiment as it is, without the bound (lambda = 0), without inter-KLs in it, with an
exclusive latent eight times as large, and on pairs whose background colour depends on the digit.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from iiae.data import Factor, PairSet, Splits, load
from iiae.data.digits import ColouredDigits
from iiae.evaluation.evaluate import evaluate
from iiae.metrics.leakage import area_above_chance, largest_leak
from iiae.metrics.retrieval import partner_ranks
from iiae.model.latents import embed
from iiae.settings import Settings, load_settings
from iiae.training import fit
from iiae.types import Draw, Pair

SHARE = 0.7  # of the background that depends on the digit


class CorrelatedColours(PairSet):
    """Digits whose background is SHARE of a colour of the digit's own and the rest random.

    The background is then no longer exclusive to x: y knows the digit, and with it the colour.
    """

    def __init__(self, digits: ColouredDigits):
        self.digits, self.shapes = digits, digits.shapes
        self.bare = ColouredDigits(digits.digits.numpy(), digits.labels, digits.size, 0)
        self.bare.colours[:] = 0  # on black x is the ink itself
        palette = torch.rand(10, 3, generator=torch.Generator().manual_seed(0))
        self.of_digit = palette[torch.as_tensor(digits.labels)]
        self.background = self._mixed(torch.arange(len(digits)), digits.colours[:, 0])

    def __len__(self) -> int:
        return len(self.digits)

    def pairs(self, draw: Draw) -> Pair:
        background = self.background[draw.indices]
        if draw.seed is not None:
            generator = torch.Generator().manual_seed(draw.seed + 1)
            drawn = torch.rand(background.shape, generator=generator)
            background = self._mixed(draw.indices, drawn)
        ink = (self.bare.pairs(Draw(draw.indices)).x + 1) / 2
        x = ink + (1 - ink) * background[:, :, None, None]
        return Pair(2 * x - 1, self.digits.pairs(draw).y)

    def factors(self) -> dict[str, Factor]:
        background = Factor(self.background.numpy(), "continuous", "x")
        return {**self.digits.factors(), "background colour": background}

    def _mixed(self, index: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        return SHARE * self.of_digit[index] + (1 - SHARE) * drawn


class Case(NamedTuple):
    """A model and its pairs: overrides of the experiment, and whether colours are correlated."""

    overrides: tuple[str, ...] = ()
    correlated: bool = False


CASES = {
    "as it is": Case(),
    "lambda = 0": Case(("objective.lam=0",)),
    "no inter-KL": Case(("objective.inter=0",)),
    "exclusive 8 to 64": Case(("model.exclusive=64",)),
    "colour tied to digit": Case(correlated=True),
}


def measure(settings: Settings, data: Splits) -> dict[str, str]:
    """Trains, evaluates, and returns a line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        run = fit(settings, folder, data, progress=False)
        found = evaluate(run, data.test)
        z = embed(run.model, data.test.batches(500))
    ranks = partner_ranks(z.exclusive_x.mean, z.exclusive_y.mean)
    curve = {k: (ranks < k).double().mean().item() for k in range(1, len(ranks) + 1)}
    retrieval, nats = found.retrieval, found.nats
    leaks = {view: largest_leak(matrix) for view, matrix in found.readability.probes.items()}
    assert retrieval and retrieval.exclusive_x_to_y and retrieval.exclusive_y_to_x

    def recall(*names: str) -> str:
        rates = (getattr(retrieval, name).recall[1].rate for name in names)
        return " / ".join(f"{100 * rate:.1f}" for rate in rates)

    return {
        "shared R@1": recall("shared_x_to_y", "shared_y_to_x"),
        "exclusive R@1": recall("exclusive_x_to_y", "exclusive_y_to_x"),
        "exclusive area": f"{area_above_chance(curve, len(ranks)):.3f}",
        "leak, mean": f"{leaks['means'].value:.2f}",
        "active": f"{leaks['active means'].value:.2f}",
        "sample": f"{leaks['samples'].value:.2f}",
        "largest leak": f"{leaks['means'].factor} from {leaks['means'].block}",
        "KL_x, KL_y": f"{nats.kl_x:.1f}, {nats.kl_y:.1f}",
        "inter-KLs": f"{nats.kl_s_x:.1f}, {nats.kl_s_y:.1f}",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    given = parser.parse_args(arguments)
    own = (f"training.epochs={given.epochs}", f"training.seed={given.seed}")
    for i, name in enumerate(given.cases):
        case = CASES[name]
        settings = load_settings(given.experiment, [*own, *case.overrides])
        data = load(settings.data)
        if case.correlated:
            data = Splits(*(CorrelatedColours(part) for part in data))  # pyright: ignore[reportArgumentType]
        line = measure(settings, data)
        if i == 0:
            print(f"| case | {' | '.join(line)} |", "|---" * (len(line) + 1) + "|", sep="\n")
        print(f"| {name} | {' | '.join(line.values())} |", flush=True)


if __name__ == "__main__":
    main()
