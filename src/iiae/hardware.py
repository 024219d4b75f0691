"""What the machine at hand can do, asked rather than assumed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch


def bf16_pays(device: torch.device) -> bool:
    """Whether matrix products are faster in bfloat16: the device has units for them.

    Processors without AMX know bfloat16 too, but are slower in it than in float32 (measured:
    150 against 240 GFLOP/s).
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        ask = getattr(torch.cpu, "get_capabilities", dict)  # older torch does not tell
        return bool(ask().get("amx_bf16", False))
    return False


def free_memory(device: torch.device) -> int:
    """Bytes free on a device; 0 where that cannot be known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available if device.type == "cpu" else 0


@contextmanager
def fastest_algorithms(device: torch.device) -> Iterator[None]:
    """Lets cuDNN try its algorithms for each shape of a convolution and keep the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = device.type == "cuda" or before
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
