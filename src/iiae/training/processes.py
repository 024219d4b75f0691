"""Several processes that train as one: who started them, what they sum and agree on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor


def launcher() -> ClusterEnvironment | None:
    """What started this process among others: SLURM's srun or torchrun; None where neither did.

    Raises:
        RuntimeError: SLURM's variables do not say how many tasks a node has.
    """
    if SLURMEnvironment.detect():
        # requeueing would go on from a file of Lightning's, without the place in the data
        return SLURMEnvironment(auto_requeue=False)
    return TorchElasticEnvironment() if TorchElasticEnvironment.detect() else None


def all_sum(values: Tensor) -> Tensor:
    """The sum over all processes; the values themselves where there is one."""
    if not dist.is_initialized():
        return values
    values = values.clone()
    dist.all_reduce(values)
    return values


def any_process(flags: Sequence[bool], device: torch.device) -> list[bool]:
    """Each flag, raised where it is raised in any process."""
    if not dist.is_initialized():
        return list(flags)
    raised = torch.tensor([float(flag) for flag in flags], device=device)
    return [count > 0 for count in all_sum(raised).tolist()]


def leave() -> None:
    """Waits for the other processes and leaves their group.

    Without it, processes on gloo crash at exit now and then.
    """
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
