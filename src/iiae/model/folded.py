"""A model prepared for inference: BatchNorm folded into the layers before it."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from iiae.hardware import keep_freed_memory
from iiae.model.iiae import IIAE


def folded(model: IIAE) -> IIAE:
    """A copy that computes the same to rounding, with fewer passes over memory; never trained.

    With its stored moments, BatchNorm is an affine map per channel, which the weights of the
    convolution or dense layer before it take in. Activations then overwrite what that layer
    wrote, and convolutions keep their channels last.
    """
    keep_freed_memory()
    made = deepcopy(model).eval().requires_grad_(False)
    for module in [*made.modules()]:
        if isinstance(module, nn.Sequential):
            _fold(module)
    if any(isinstance(module, nn.Conv2d) for module in made.modules()):
        made.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return made


def _fold(layers: nn.Sequential) -> None:
    for at, (one, norm) in enumerate(pairwise([*layers])):
        if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            continue
        if isinstance(one, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
            layers[at] = fuse_linear_bn_eval(one, norm)
        elif isinstance(one, nn.Conv2d | nn.ConvTranspose2d):
            layers[at] = fuse_conv_bn_eval(one, norm, isinstance(one, nn.ConvTranspose2d))
        else:
            continue
        layers[at + 1] = nn.Identity()
        after = next((x for x in [*layers][at + 2 :] if not isinstance(x, nn.Dropout)), None)
        if isinstance(after, nn.ReLU | nn.LeakyReLU):
            after.inplace = True
