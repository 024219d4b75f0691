"""Batches for Lightning."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader

from iiae.data import PairSet
from iiae.data.pairing import AlignedBatches
from iiae.hardware import free_memory
from iiae.types import Pair, PartPaired

FEATURE_STEPS, IMAGE_STEPS = 16, 1  # optimiser steps that Lightning handles in one go
DEVICE_SHARE = 0.5  # of a device's free memory that the training pairs may take

log = logging.getLogger("iiae")


def resident(pairs: PairSet, device: torch.device) -> PairSet:
    """The pairs kept on the device where they fit, so that no step waits for a copy.

    As they are on a CPU, where they are read from disk, or where they do not fit.
    """
    needed, free = pairs.held_bytes, free_memory(device)
    if device.type == "cpu" or not 0 < needed <= DEVICE_SHARE * free:
        return pairs
    log.info("training pairs kept on %s: %.0f MiB", device, needed / 2**20)
    return pairs.to(device)


class GroupLoader:
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

    def __iter__(self) -> Iterator[list[Pair | PartPaired]]:
        batches = self._batches()
        while group := list(islice(batches, self.group)):
            yield group

    def _batches(self) -> Iterator[Pair | PartPaired]:
        if self.workers == 0:
            return map(self.pairs.__getitem__, self.sampler)
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
