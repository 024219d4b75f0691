"""Batches in the order of a sampler, made here or in worker processes."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from iiae.data import PairSet
from iiae.data.sampling import AlignedBatches
from iiae.hardware import free_memory
from iiae.types import Pair, PartialBatch, mapped

DEVICE_SHARE = 0.5  # of a device's free memory that the training pairs may take

log = logging.getLogger("iiae")


def keep_on_device_if_it_fits(pairs: PairSet, device: torch.device) -> PairSet:
    """The pairs, on the device if they fit there, so that no step waits for a copy.

    As they are on a CPU, where they are read from disk, or where they do not fit.
    """
    needed, free = pairs.held_bytes, free_memory(device)
    if device.type == "cpu" or not 0 < needed <= DEVICE_SHARE * free:
        return pairs
    log.info("pairs kept on %s: %.0f MiB", device, needed / 2**20)
    return pairs.to(device)


class Loader:
    """Batches of a training set, on a device, in the order of a sampler.

    Args:
        pairs: The training set.
        order: Draws of an epoch.
        workers: Processes that prepare batches; 0 for none.
        device: That the batches are moved to.
    """

    def __init__(self, pairs: PairSet, order: AlignedBatches, workers: int, device: torch.device):
        self.pairs, self.order = keep_on_device_if_it_fits(pairs, device), order
        self.device = device
        # processes cannot share what is on a device, and there is nothing left to prepare
        self.workers = workers if self.pairs is pairs else 0

    def epoch(self, number: int) -> Iterator[Pair | PartialBatch]:
        """Batches of an epoch, from 0; of the one that `order` seeks, from the place sought."""
        self.order.set_epoch(number)
        batches = (mapped(batch, lambda v: v.to(self.device)) for batch in self._batches())
        yield from batches if self.device.type == "cpu" else self._ahead(batches)

    def _ahead(self, batches: Iterator[Pair | PartialBatch]) -> Iterator[Pair | PartialBatch]:
        """The same batches, each made on a stream of its own while the last one is used."""
        own, main = torch.cuda.Stream(self.device), torch.cuda.current_stream(self.device)
        while True:
            with torch.cuda.stream(own):
                batch = next(batches, None)
            if batch is None:
                return
            main.wait_stream(own)
            mapped(batch, lambda v: _recorded(v, main))
            yield batch

    def _batches(self) -> Iterator[Pair | PartialBatch]:
        if self.workers == 0:
            return map(self.pairs.__getitem__, self.order)
        return iter(
            DataLoader(
                self.pairs,  # pyright: ignore[reportArgumentType]
                batch_size=None,
                sampler=self.order,
                num_workers=self.workers,
                # a generator of its own: otherwise every epoch would advance torch's
                generator=torch.Generator(),
            )
        )


def _recorded(tensor: Tensor, stream: torch.cuda.Stream) -> Tensor:
    """The tensor, whose memory is kept until the stream is done with it."""
    tensor.record_stream(stream)
    return tensor
