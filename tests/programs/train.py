"""Trains a run from a settings file; what is killed, resumed and started in several processes."""

import argparse
from pathlib import Path

import torch

from iiae.data import PairSet, Splits, load
from iiae.distributions import DiagonalNormal
from iiae.settings import load_settings
from iiae.training import fit
from iiae.types import mapped


class Double(PairSet):
    """Pairs in float64."""

    def __init__(self, pairs: PairSet):
        self.inner, self.shapes = pairs, pairs.shapes

    def __len__(self):
        return len(self.inner)

    def pairs(self, draw):
        return mapped(self.inner.pairs(draw), torch.Tensor.double)

    def factors(self):
        return {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--exact", action="store_true", help="in float64 and without noise")
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings, data = load_settings(given.settings), None
    if given.exact:
        torch.set_default_dtype(torch.float64)
        DiagonalNormal.rsample = lambda self: self.loc
        data = Splits(*map(Double, load(settings.data)))
    fit(settings, given.out, data=data, resume=given.resume, progress=False)


if __name__ == "__main__":
    main()
