"""BatchNorm over the batches of several processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from iiae.training.processes import all_sum


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
                setattr(parent, name, _over_processes(layer, device))
    try:
        yield
    finally:
        for parent, name, layer in replaced:
            for moment, buffer in getattr(parent, name).named_buffers(recurse=False):
                layer.register_buffer(moment, buffer)  # it may have moved to a device
            setattr(parent, name, layer.train(parent.training))


def _over_processes(layer: _BatchNorm, device: torch.device) -> nn.Module:
    """A layer with the same tensors; torch's own on a GPU, `GroupBatchNorm` elsewhere."""
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
        normalised: Any = _Normalise.apply(self.eps, input, self.weight, self.bias)
        out, mean, variance = normalised
        assert self.momentum is not None and self.num_batches_tracked is not None
        count = dist.get_world_size() * input.numel() // input.shape[1]
        self.num_batches_tracked.add_(1)
        for running, now in (
            (self.running_mean, mean),
            (self.running_var, variance * (count / (count - 1))),
        ):
            assert running is not None
            running.lerp_(now, self.momentum)
        return out


class _Normalise(torch.autograd.Function):
    """(x - mean) / sd * weight + bias, with moments of the whole group.

    Returns the output, mean and variance. With h = (x - mean) / sd and g the gradient of the
    output, the gradient of x is weight / sd * (g - mean(g) - h mean(g h)), both means over the
    group. Gradients of weight and bias are this process's part. All passes over x are torch's own
    kernels, which take half precision with moments in float32.
    """

    @staticmethod
    def forward(
        ctx: Any, eps: float, x: Tensor, weight: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        own = _moments(x, weight.dtype)
        gathered = own.new_empty(dist.get_world_size(), *own.shape)
        dist.all_gather([*gathered], own)
        means, variances = gathered.unbind(1)
        mean = means.mean(0)
        # moments about the common mean, without the cancellation of E[x^2] - mean^2
        variance = (variances + (means - mean).square()).mean(0)
        ctx.save_for_backward(mean, variance, x, weight)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return _affine(x, mean, variance, weight, bias, eps), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        mean, variance, x, weight = ctx.saved_tensors
        # as if the moments were constants: weight / sd * g, sum(g h), sum(g)
        of_x, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0].contiguous(memory_format=_layout(x)),
            *(x, weight, mean, variance, None, None, False, ctx.eps, [True] * 3),
        )
        total = all_sum(torch.stack([of_weight, of_bias]))
        count = dist.get_world_size() * x.numel() // x.shape[1]
        by_h, by_one = -weight * (variance + ctx.eps).rsqrt() * total / count
        of_x += _affine(x, mean, variance, by_h, by_one, ctx.eps)  # through the moments
        return None, of_x, of_weight, of_bias


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
    """(x - mean) / sd * weight + bias, one value of each per channel."""
    return nn.functional.batch_norm(x, mean, variance, weight, bias, eps=eps)


def _layout(x: Tensor) -> torch.memory_format:
    if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format
