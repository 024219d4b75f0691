"""Several processes that train as one: who started them, what they sum and agree on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from iiae.errors import MissingExtra, SettingsError
from iiae.settings import TrainingSettings


class Group(NamedTuple):
    """This process among those that train together, and the device it computes on."""

    rank: int
    world: int
    device: torch.device

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, averaging its gradients over the processes."""
        if self.world == 1:
            return module
        # moments are the same in every process, so there is nothing to broadcast; gradients are
        # summed where they lie
        return nn.parallel.DistributedDataParallel(
            module,
            [self.device] if self.device.type == "cuda" else None,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
        )


@contextmanager
def joined(training: TrainingSettings) -> Iterator[Group]:
    """The group of the processes that settings ask for; starts them unless a launcher has.

    Raises:
        SettingsError: The settings ask for other processes than were started, or for devices that
            are not there.
        MissingExtra: Several processes without the extra `distributed`.
    """
    environment = _environment()
    asked = training.devices * training.nodes
    if environment is None and asked == 1 and training.strategy == "auto":
        yield Group(0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        return
    fabric = _launched(training, environment)
    try:
        yield Group(fabric.global_rank, fabric.world_size, fabric.device)
    finally:
        leave_process_group()


def first_process() -> bool:
    """Whether this process is the one that writes and prints for all."""
    names = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
    return int(next((os.environ[name] for name in names if name in os.environ), 0)) == 0


def all_sum(values: Tensor) -> Tensor:
    """The sum over all processes; the values themselves if there is one."""
    if not dist.is_initialized():
        return values
    values = values.clone()
    dist.all_reduce(values)
    return values


def any_process(flags: Sequence[bool], device: torch.device) -> list[bool]:
    """Each flag, raised if it is raised in any process."""
    if not dist.is_initialized():
        return list(flags)
    raised = torch.tensor([float(flag) for flag in flags], device=device)
    return [count > 0 for count in all_sum(raised).tolist()]


def _environment() -> Any:
    """What started this process among others: SLURM's srun or torchrun; None if neither did."""
    if os.environ.get("SLURM_NTASKS", "1") == "1" and "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    environments = _fabric().plugins.environments
    if environments.SLURMEnvironment.detect():
        try:
            # requeueing would restart from a file of Fabric's, without the place in the data
            return environments.SLURMEnvironment(auto_requeue=False)
        except RuntimeError as error:
            raise SettingsError(str(error)) from error
    elastic = environments.TorchElasticEnvironment
    return elastic() if elastic.detect() else None


def _launched(training: TrainingSettings, environment: Any) -> Any:
    asked = f"training.devices = {training.devices}, training.nodes = {training.nodes}"
    started = environment.world_size() if environment else None
    if started not in (None, training.devices * training.nodes):
        raise SettingsError(
            f"{asked}, but SLURM or torchrun started {started} processes in all; the product "
            "must be their number (srun --nodes=N --ntasks-per-node=D iiae train ... --set "
            "training.nodes=N --set training.devices=D)"
        )
    try:
        fabric = _fabric().Fabric(
            accelerator="auto",
            devices=training.devices,
            num_nodes=training.nodes,
            strategy="ddp",
            plugins=[environment] if environment else None,
        )
        fabric.launch()
    except (ValueError, RuntimeError) as error:
        raise SettingsError(f"{asked}: {error}") from error
    return fabric


def _fabric() -> Any:
    try:
        import lightning_fabric
    except ImportError as error:
        raise MissingExtra("distributed", "training in several processes") from error
    return lightning_fabric


def leave_process_group() -> None:
    """Waits for the other processes and leaves their group.

    Without it, processes on gloo crash at exit now and then.
    """
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
