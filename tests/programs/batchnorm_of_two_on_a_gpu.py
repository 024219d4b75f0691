"""One of two processes that share a GPU: BatchNorm over both is that of the whole batch."""

import sys

import torch
import torch.distributed as dist
from torch import nn

from iiae.training.group_batchnorm import synchronised


def moments(norm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    assert isinstance(norm, nn.BatchNorm2d) and not isinstance(norm, nn.SyncBatchNorm)
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean.clone(), norm.running_var.clone()


rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method="file://" + store, rank=rank, world_size=2)
device = torch.device("cuda")
torch.manual_seed(0)
norm = nn.BatchNorm2d(8)
net = nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.ReLU(), nn.Conv2d(8, 1, 3)).to(device)
x = torch.randn(8, 3, 12, 12).to(device)
whole = net.train()(x).square().sum()
expected = torch.autograd.grad(whole, list(net.parameters()))
of_the_whole = moments(net[1])
norm.reset_running_stats()
with synchronised(net, device):
    assert isinstance(net[1], nn.SyncBatchNorm)
    part = net(x[rank::2]).square().sum()
    own = torch.autograd.grad(part, list(net.parameters()))
for mine, wanted in zip(own, expected, strict=True):
    total = mine.cpu()
    dist.all_reduce(total)
    torch.testing.assert_close(total, wanted.cpu(), rtol=1e-3, atol=1e-3)
torch.testing.assert_close(moments(net[1]), of_the_whole)
dist.barrier()
dist.destroy_process_group()
