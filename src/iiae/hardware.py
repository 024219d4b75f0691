"""Capabilities of this machine, measured rather than assumed."""

from __future__ import annotations

import ctypes
import json
import logging
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pooch
import psutil
import torch

GAIN = 1.2  # bfloat16 must save more time than its casts cost
ENOUGH = 0.05  # seconds after which a kernel is not timed once more
KEPT = 2**30  # bytes: blocks up to this size, and this much at the heap's end, are kept if freed

log = logging.getLogger("iiae")


def bf16_pays(device: torch.device, images: bool, batch: int) -> bool:
    """Whether a run computes faster in bfloat16 than in float32.

    A GPU is asked. On a CPU the first call times a convolution (images) or a matrix product of
    the run's batch in both, some ten milliseconds where bfloat16 is fast and half a second where
    it is emulated; the answer is kept per processor, torch version and batch.
    Looking at the processor's features would not do: some with bfloat16 instructions are slower
    in it (150 against 240 GFLOP/s), others twice as fast.

    Args:
        device: Where the run computes.
        images: Whether its samples are images, so that convolutions take its time.
        batch: Samples in a batch.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    kind = "convolution" if images else "product"
    return _gain(f"{_processor()}, torch {torch.__version__}", kind, batch) > GAIN


@cache
def _gain(machine: str, kind: str, batch: int) -> float:
    """Seconds in float32 over those in bfloat16, from the file of earlier measurements if there."""
    file = Path(pooch.os_cache("iiae")) / "precision.json"
    key = f"{machine}, {kind} of a batch of {batch}"
    gain = _kept(file).get(key)
    if gain is None:
        kernel = _convolution if kind == "convolution" else _product
        gain = _seconds(kernel(batch, torch.float32)) / _seconds(kernel(batch, torch.bfloat16))
        _keep(file, key, gain)
    chosen = "bfloat16" if gain > GAIN else "float32"
    log.info("precision: %s; a %s in bfloat16 runs at %.2g times its rate in float32", chosen,
             kind, gain)  # fmt: skip
    return gain


def _kept(file: Path) -> dict[str, float]:
    """Measurements by what was measured; none if the file is missing or damaged."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        return {key: float(gain) for key, gain in json.loads(file.read_text()).items()}
    return {}


def _keep(file: Path, key: str, gain: float) -> None:
    """Adds a measurement to the file; without a home to write to, it is made again."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps({**_kept(file), key: gain}, indent=2))
        part.replace(file)


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):  # virtual machines hide the name of the model
                wanted = {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}
                return f"{platform.machine()} {' '.join(sorted(wanted & {*line.split()}))}"
    return platform.processor() or platform.machine()


def _product(batch: int, dtype: torch.dtype) -> Callable[[], object]:
    """The largest dense layer of the published feature networks."""
    a, b = torch.ones(batch, 512, dtype=dtype), torch.ones(512, 512, dtype=dtype)
    return lambda: a @ b


def _convolution(batch: int, dtype: torch.dtype) -> Callable[[], object]:
    """A halving layer of the image networks, its channels last as in training."""
    image = torch.ones(min(batch, 16), 64, 32, 32, dtype=dtype)
    image = image.contiguous(memory_format=torch.channels_last)
    weight = torch.ones(128, 64, 4, 4, dtype=dtype)
    return lambda: torch.conv2d(image, weight, stride=2, padding=1)


@torch.inference_mode()
def _seconds(kernel: Callable[[], object]) -> float:
    """The best time of a few on one thread; threads that wait for each other would hide it."""
    threads, times = torch.get_num_threads(), list[float]()
    torch.set_num_threads(1)
    try:
        while len(times) < 6 and sum(times) < ENOUGH:
            started = time.perf_counter()
            kernel()
            times.append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(threads)
    return min(times)


def keep_freed_memory() -> None:
    """Lets the C library keep the memory of freed tensors for the next ones.

    By default it gives blocks of some MiB back to the system at once, which clears and maps them
    anew: a tenth of a step of the image networks at 256 pixels. Where the library is not glibc,
    nothing happens.
    """
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        for parameter in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
            library.mallopt(parameter, KEPT)


def free_memory(device: torch.device) -> int:
    """Bytes free on a device; 0 if that cannot be known."""
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
