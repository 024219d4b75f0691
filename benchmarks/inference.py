"""Images embedded per second: the model as trained, folded for inference, and ONNX Runtime.

    python benchmarks/inference.py [--size 256] [--batch 32] [--rounds 6] [--threads 2]

All three take the same weights and images in turn, in one process; the best round of each
counts. The weights are untrained, which costs the same.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn

from iiae.model.build import build_model
from iiae.model.folded import folded
from iiae.model.iiae import IIAE
from iiae.settings import make_settings


class Means(nn.Module):
    """Means of z_s and z_x of a batch of x."""

    def __init__(self, model: IIAE):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        q = self.model.encode_x(x)
        return q.shared.mean, q.exclusive.mean


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    shape = (3, given.size, given.size)
    settings = make_settings({"data": {"name": "arrays"}, "model": {"family": "image-map"}})
    model = build_model(settings.model, settings.objective, (shape, shape)).eval()
    x = 2 * torch.rand(given.batch, *shape) - 1
    plain, fast = Means(model), Means(folded(model))
    runs: dict[str, Callable[[], object]] = {
        "as trained": lambda: plain(x),
        "folded": lambda: fast(x),
        "ONNX Runtime": onnx(plain, x, given.threads),
    }
    best = dict.fromkeys(runs, float("inf"))
    with torch.inference_mode():
        for _ in range(given.rounds):
            for name, run in runs.items():
                started = time.perf_counter()
                run()
                best[name] = min(best[name], time.perf_counter() - started)
    print(f"{given.threads} threads, {given.batch} images of {given.size} pixels")
    for name, seconds in best.items():
        ratio = best["ONNX Runtime"] / seconds
        print(f"{name:14}{given.batch / seconds:8.1f} images/s{ratio:7.2f} of ONNX Runtime")


def onnx(network: nn.Module, x: Tensor, threads: int) -> Callable[[], object]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "means.onnx"
        torch.onnx.export(network, (x,), path, dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: x.numpy()})


if __name__ == "__main__":
    main()
