"""An optimiser step as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable

import torch

from iiae.types import Pair, PartialBatch, mapped

WARM_UP = 3  # steps before recording: cuDNN chooses its algorithms, Adam makes its moments


class RecordedStep:
    """Records a step once and replays it: its kernels start one after the other by themselves.

    The first steps run as they are, then one is recorded for the shapes of its batch. Batches of
    other shapes, and those of part-paired samples, are computed step by step as before. Noise and
    dropout are new at every replay (torch's generator takes part in recording).

    Args:
        step: To record; reads its batch and tensors that stay where they are, and waits for
            nothing.
    """

    def __init__(self, step: Callable[[Pair | PartialBatch], None]):
        self.step = step
        self.graph: torch.cuda.CUDAGraph | None = None
        self.batch: Pair | None = None  # that the graph reads
        self.taken = 0

    def __call__(self, pair: Pair | PartialBatch) -> None:
        if not isinstance(pair, Pair):
            self.step(pair)
        elif self.batch is None and self.taken < WARM_UP:
            self._aside(pair)
        elif self.batch is None:
            self._record(pair)
        elif _shapes(pair) == _shapes(self.batch):
            self._replay(pair)
        else:
            self.step(pair)

    def _aside(self, pair: Pair) -> None:
        """Runs a step on a side stream, as torch requires before recording."""
        self.taken += 1
        main, own = torch.cuda.current_stream(), torch.cuda.Stream()
        own.wait_stream(main)
        with torch.cuda.stream(own):
            self.step(pair)
        main.wait_stream(own)

    def _record(self, pair: Pair) -> None:
        self.batch = mapped(pair, torch.Tensor.clone)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.step(self.batch)
        self.graph.replay()

    def _replay(self, pair: Pair) -> None:
        assert self.graph and self.batch
        new = iter(_tensors(pair))
        mapped(self.batch, lambda kept: kept.copy_(next(new)))
        self.graph.replay()


def _tensors(pair: Pair) -> list[torch.Tensor]:
    """The tensors of a batch: samples and their context."""
    each: list[torch.Tensor] = []
    mapped(pair, lambda v: each.append(v) or v)
    return each


def _shapes(pair: Pair) -> list[torch.Size]:
    return [tensor.shape for tensor in _tensors(pair)]
