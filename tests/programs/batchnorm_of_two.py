"""One of two processes: BatchNorm over both is that of the whole batch in one."""

import os
import sys

import torch
import torch.distributed as dist
from torch import nn

from iiae.training.group_batchnorm import synchronised
from iiae.training.processes import leave_process_group


def grad(tensor: torch.Tensor) -> torch.Tensor:
    assert tensor.grad is not None
    return tensor.grad


rank, shape = int(os.environ["RANK"]), tuple(map(int, sys.argv[1:]))
torch.manual_seed(0)
x, weights = torch.randn(6, *shape, dtype=torch.float64) * 3 + 5, torch.randn(6, *shape).double()
norm = nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d
one, two = (nn.Sequential(norm(shape[0])).double() for _ in range(2))
for model in (one, two):
    model[0].weight.data = torch.linspace(0.5, 2, shape[0]).double()
whole = x.clone().requires_grad_()
expected = one(whole)
(expected * weights).sin().sum().backward()
dist.init_process_group("gloo")
own = slice(0, 3) if rank == 0 else slice(3, 6)
part = x[own].clone().requires_grad_()
names = list(two.state_dict())
with synchronised(two, torch.device("cpu")):
    assert type(two[0]) is not norm and list(two.state_dict()) == names
    out = two(part)
    (out * weights[own]).sin().sum().backward()
    for parameter in two.parameters():
        dist.all_reduce(grad(parameter))
assert type(two[0]) is norm
assert torch.allclose(out, expected[own], rtol=1e-10)
assert torch.allclose(grad(part), grad(whole)[own], rtol=1e-8, atol=1e-12)
for a, b in zip(one.parameters(), two.parameters(), strict=True):
    assert torch.allclose(grad(a), grad(b), rtol=1e-8)
for name, moment in one.state_dict().items():
    assert torch.allclose(moment, two.state_dict()[name], rtol=1e-10), name
leave_process_group()
print("same")
