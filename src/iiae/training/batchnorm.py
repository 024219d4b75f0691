"""BatchNorm over the batches of several processes, with few exchanges between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from greenlet import getcurrent, greenlet
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from iiae.model import IIAE, in_turn
from iiae.training.processes import all_sum


@contextmanager
def synchronised(model: nn.Module, device: torch.device, together: bool = True) -> Iterator[None]:
    """Lets every BatchNorm in a model take its moments over all processes' batches.

    The layers themselves are put back at the end; parameters and running moments are theirs
    throughout, so names and order in a state dict do not change.

    Args:
        model: The model, in every process.
        device: Where it computes.
        together: Whether an `IIAE` runs networks that do not need one another `in_step` (on
            CPUs), which compiled code cannot.
    """
    replaced: list[tuple[nn.Module, str, nn.Module]] = []
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, _BatchNorm):
                replaced.append((parent, name, layer))
                setattr(parent, name, _over_processes(layer, device))
    if isinstance(model, IIAE) and together and device.type == "cpu":
        model.side_by_side = in_step
    try:
        yield
    finally:
        if isinstance(model, IIAE):
            model.side_by_side = in_turn
        for parent, name, layer in replaced:
            setattr(parent, name, layer.train(parent.training))


def _over_processes(layer: _BatchNorm, device: torch.device) -> nn.Module:
    """A layer with the same tensors; torch's own where it can be used, which is on a GPU."""
    kind = nn.SyncBatchNorm if device.type == "cuda" else GroupBatchNorm
    made = kind(layer.num_features, layer.eps, layer.momentum)
    made.weight, made.bias = layer.weight, layer.bias
    for name, buffer in layer.named_buffers(recurse=False):
        made.register_buffer(name, buffer)
    return made.train(layer.training)


class GroupBatchNorm(_BatchNorm):
    """BatchNorm over the batches of all processes, of one size each, on any device.

    torch's SyncBatchNorm takes tensors on a GPU only. Within `in_step` layers of several
    branches share one exchange.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        asked = _Asked(self, input)
        branch = getcurrent()
        if isinstance(branch, _Branch):
            assert branch.parent is not None
            return branch.parent.switch(asked)
        return _normalise([asked])[0]

    def keep(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Takes a batch's moments, of `count` values a channel, into the running ones."""
        assert self.momentum is not None and self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        for running, now in (
            (self.running_mean, mean),
            (self.running_var, variance * (count / (count - 1))),
        ):
            assert running is not None
            running.lerp_(now, self.momentum)


class _Asked(NamedTuple):
    """A batch that a layer is to normalise."""

    layer: GroupBatchNorm
    x: Tensor


class _Branch(greenlet):
    """A call that can wait in the middle for the others of its step."""


def in_step(*calls: Callable[[], Any]) -> list[Any]:
    """Results of calls that do not need one another, one BatchNorm of each after another.

    Every call runs until its next `GroupBatchNorm`; those of all calls are then one exchange
    between the processes, and one more in the backward pass, where each alone would wait for its
    own. What is drawn at random within the calls is drawn in that order.
    """
    branches = [_Branch(call) for call in calls]
    found = [branch.switch() for branch in branches]
    while waiting := [i for i, branch in enumerate(branches) if not branch.dead]:
        normalised = _normalise([found[i] for i in waiting])
        for i, out in zip(waiting, normalised, strict=True):
            found[i] = branches[i].switch(out)
    return found


def _normalise(asked: Sequence[_Asked]) -> list[Tensor]:
    """Every layer's batch normalised, with one exchange for all of them."""
    layers = [layer for layer, _ in asked]
    tensors = [t for layer, x in asked for t in (x, layer.weight, layer.bias)]
    found: Any = _Normalise.apply([layer.eps for layer in layers], *tensors)
    *outs, mean, variance = found
    sizes = [layer.num_features for layer in layers]
    moments = zip(mean.split(sizes), variance.split(sizes), strict=True)
    for (layer, x), (own_mean, own_variance) in zip(asked, moments, strict=True):
        layer.keep(own_mean, own_variance, dist.get_world_size() * _values(x))
    return outs


class _Normalise(torch.autograd.Function):
    """(x - mean) / sd * weight + bias of several x, with moments of the whole group.

    Takes x, weight and bias of each; returns the outputs, and mean and variance of the channels
    of all x in a row. With h = (x - mean) / sd and g the gradient of the output, the gradient of
    x is weight / sd * (g - mean(g) - h mean(g h)), both means over the group. Gradients of weight
    and bias are this process's part. All passes over x are torch's own kernels, which take
    half precision with moments in float32.
    """

    @staticmethod
    def forward(ctx: Any, eps: list[float], *tensors: Tensor) -> tuple[Tensor, ...]:
        x, weights, biases = tensors[::3], tensors[1::3], tensors[2::3]
        own = torch.cat([_moments(a, w.dtype) for a, w in zip(x, weights, strict=True)], 1)
        gathered = own.new_empty(dist.get_world_size(), *own.shape)
        dist.all_gather([*gathered], own)
        means, variances = gathered.unbind(1)
        mean = means.mean(0)
        # moments about the common mean, without the cancellation of E[x^2] - mean^2
        variance = (variances + (means - mean).square()).mean(0)
        ctx.save_for_backward(mean, variance, *x, *weights)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        sizes = [len(weight) for weight in weights]
        moments = (mean.split(sizes), variance.split(sizes))
        outs = map(_affine, x, *moments, weights, biases, eps)
        return *outs, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        mean, variance, *kept = ctx.saved_tensors
        x, weights = kept[: len(kept) // 2], kept[len(kept) // 2 :]
        sizes = [len(weight) for weight in weights]
        means, variances = mean.split(sizes), variance.split(sizes)
        # as if the moments were constants: weight / sd * g, sum(g h), sum(g)
        constant = [
            torch.ops.aten.native_batch_norm_backward(
                g.contiguous(memory_format=_layout(a)),
                *(a, w, m, v, None, None, False, e, [True] * 3),
            )
            for g, a, w, m, v, e in zip(
                gradients[: len(x)], x, weights, means, variances, ctx.eps, strict=True
            )
        ]
        sums = all_sum(torch.cat([torch.stack(parts[1:]) for parts in constant], 1)).split(sizes, 1)
        found: list[Tensor | None] = [None]
        for (of_x, of_weight, of_bias), total, a, w, m, v, e in zip(
            constant, sums, x, weights, means, variances, ctx.eps, strict=True
        ):
            count = dist.get_world_size() * _values(a)
            by_h, by_one = -w * (v + e).rsqrt() * total / count
            of_x += _affine(a, m, v, by_h, by_one, e)  # through the moments
            found += [of_x, of_weight, of_bias]
        return tuple(found)


def _values(x: Tensor) -> int:
    """How many values of a channel."""
    return x.numel() // x.shape[1]


def _moments(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Mean and variance of each channel, in one pass."""
    mean, variance = torch.zeros(2, x.shape[1], dtype=dtype)
    torch.batch_norm_update_stats(x, mean, variance, 1.0)  # replaces both
    count = _values(x)
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
