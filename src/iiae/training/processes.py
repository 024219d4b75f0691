"""Several processes that train as one: what they sum, agree on, and normalise together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


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
    and bias are this process's part.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, int]:
        axes, shape = _axes(x)
        full = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        own_variance, own_mean = torch.var_mean(full, axes, correction=0)
        world = dist.get_world_size()
        gathered = [torch.empty(2, len(own_mean), dtype=full.dtype) for _ in range(world)]
        dist.all_gather(gathered, torch.stack([own_mean, own_variance]))
        means, variances = torch.stack(gathered).unbind(1)
        mean = means.mean(0)
        # moments about the common mean, without the cancellation of E[x^2] - mean^2
        variance = (variances + (means - mean).square()).mean(0)
        deviation = (variance + eps).rsqrt()
        h = (full - mean.view(shape)) * deviation.view(shape)
        ctx.save_for_backward(h, weight, deviation)
        ctx.dtype, ctx.world = x.dtype, world
        out = (h * weight.view(shape) + bias.view(shape)).to(x.dtype)
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance, world * x.numel() // x.shape[1]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, Tensor, None]:
        h, weight, deviation = ctx.saved_tensors
        axes, shape = _axes(h)
        g = gradients[0].to(h.dtype)
        own = torch.stack([g.sum(axes), (g * h).sum(axes)])
        mean_g, mean_gh = all_sum(own) / (ctx.world * h.numel() // h.shape[1])
        scale = (weight * deviation).view(shape)
        of_x = scale * (g - mean_g.view(shape) - h * mean_gh.view(shape))
        return of_x.to(ctx.dtype), own[1], own[0], None


def _axes(x: Tensor) -> tuple[list[int], list[int]]:
    """All axes but the channels', and a shape that spreads a value a channel."""
    return [i for i in range(x.ndim) if i != 1], [1, -1, *[1] * (x.ndim - 2)]
