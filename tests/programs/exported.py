"""Exports a run and prints the largest difference between its parts and the exported ones."""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from iiae.inference.export import Part, export_onnx, export_torch, parts
from iiae.run_folder import load_run


def in_onnx(file: Path, part: Part) -> Callable[[dict[str, torch.Tensor]], Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file)
    assert [o.name for o in session.get_outputs()] == list(part.outputs)
    return lambda inputs: session.run(None, {k: v.numpy() for k, v in inputs.items()})


def in_torch(file: Path) -> Callable[[dict[str, torch.Tensor]], Any]:
    program = torch.export.load(file).module()
    return lambda inputs: program(*inputs.values())


def listed(outputs: Any) -> Iterable[Any]:
    return [outputs] if hasattr(outputs, "shape") else outputs


run, out, kind = load_run(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
(export_onnx if kind == "onnx" else export_torch)(run, out)
worst = 0.0
for name, part in parts(run).items():
    onnx = kind == "onnx"
    answer = in_onnx(out / f"{name}.onnx", part) if onnx else in_torch(out / f"{name}.pt2")
    for batch in (1, 2, 7):
        inputs = {k: torch.randn(batch, *shape) for k, shape in part.inputs.items()}
        with torch.no_grad():
            expected, exported = part.module(*inputs.values()), answer(inputs)
        for one, other in zip(listed(expected), listed(exported), strict=True):
            assert one.shape == tuple(other.shape)
            worst = max(worst, np.abs(one.numpy() - np.asarray(other)).max().item())
print(json.dumps({"worst": worst}))
