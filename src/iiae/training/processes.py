"""Several processes that train as one: what they sum, agree on, and normalise together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


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


@contextmanager
def synchronised(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Lets every BatchNorm in a model take its moments over all processes' batches.

    The layers themselves are put back at the end; parameters and running moments are theirs
    throughout, so names and order in a state dict do not change.
    """
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, _BatchNorm):
                replaced.append((parent, name, layer))
                setattr(parent, name, _together(layer, device))
    try:
        yield
    finally:
        for parent, name, layer in replaced:
            setattr(parent, name, layer.train(parent.training))


def _together(layer: _BatchNorm, device: torch.device) -> nn.Module:
    """A layer with the same tensors; torch's own where it can be used, which is on a GPU."""
    kind = nn.SyncBatchNorm if device.type == "cuda" else GroupBatchNorm
    made = kind(layer.num_features, layer.eps, layer.momentum)
    made.weight, made.bias = layer.weight, layer.bias
    for name, buffer in layer.named_buffers(recurse=False):
        made.register_buffer(name, buffer)
    return made.train(layer.training)


class GroupBatchNorm(_BatchNorm):
    """BatchNorm over the batches of all processes, of one size each, on any device.

    torch's SyncBatchNorm takes tensors on a GPU only.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        out, mean, variance, count = _Normalise.apply(input, self.weight, self.bias, self.eps)  # pyright: ignore[reportGeneralTypeIssues]
        assert self.momentum is not None and self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        for running, now in (
            (self.running_mean, mean),
            (self.running_var, variance * (count / (count - 1))),
        ):
            assert running is not None
            running.lerp_(now, self.momentum)
        return out


class _Normalise(torch.autograd.Function):
    """(x - mean) / sd * weight + bias with moments of the whole group.

    With h = (x - mean) / sd and g the gradient of the output, the gradient of x is
    weight / sd * (g - mean(g) - h mean(g h)), both means over the group. Gradients of weight
    and bias are this process's part. All passes over x are torch's own kernels, which take
    half precision with moments in float32.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, int]:
        world = dist.get_world_size()
        gathered = weight.new_empty(world, 2, len(weight))
        dist.all_gather([*gathered], _moments(x, weight.dtype))
        means, variances = gathered.unbind(1)
        mean = means.mean(0)
        # moments about the common mean, without the cancellation of E[x^2] - mean^2
        variance = (variances + (means - mean).square()).mean(0)
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps, ctx.count = eps, world * x.numel() // x.shape[1]
        ctx.mark_non_differentiable(mean, variance)
        return _affine(x, mean, variance, weight, bias, eps), mean, variance, ctx.count

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, variance = ctx.saved_tensors
        # as if the moments were constants: weight / sd * g, sum(g h), sum(g)
        of_x, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0].contiguous(memory_format=_layout(x)),
            *(x, weight, mean, variance, None, None, False, ctx.eps, [True] * 3),
        )
        sums = all_sum(torch.stack([of_weight, of_bias])) / ctx.count
        by_h, constant = -weight * (variance + ctx.eps).rsqrt() * sums
        of_x += _affine(x, mean, variance, by_h, constant, ctx.eps)  # through the moments
        return of_x, of_weight, of_bias, None


def _moments(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Mean and variance of each channel, in one pass."""
    mean, variance = torch.zeros(2, x.shape[1], dtype=dtype)
    torch.batch_norm_update_stats(x, mean, variance, 1.0)  # replaces both
    count = x.numel() // x.shape[1]
    if count == 1:
        return torch.stack([mean, torch.zeros_like(mean)])
    return torch.stack([mean, variance * ((count - 1) / count)])  # it divides by count - 1


def _affine(
    x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> Tensor:
    """(x - mean) / sd * weight + bias, a value of each a channel."""
    return nn.functional.batch_norm(x, mean, variance, weight, bias, eps=eps)


def _layout(x: Tensor) -> torch.memory_format:
    if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format
