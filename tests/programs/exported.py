"""Exports a run and prints the largest difference of the exported parts from the library."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import iiae
from iiae.estimator import IIAETransformer
from iiae.inference.export import POSTERIORS, export_onnx, export_torch
from iiae.run_folder import load_run

Answer = Callable[..., Any]  # arrays


def in_onnx(file: Path, outputs: list[str]) -> Answer:
    import onnxruntime

    session = onnxruntime.InferenceSession(file)
    assert [o.name for o in session.get_outputs()] == outputs
    names = [i.name for i in session.get_inputs()]
    return lambda *inputs: session.run(None, dict(zip(names, inputs, strict=True)))


def in_torch(file: Path, outputs: list[str]) -> Answer:
    program = torch.export.load(file).module()
    return lambda *inputs: [v.detach().numpy() for v in program(*map(torch.from_numpy, inputs))]


def pictures(channels: int, count: int, size: tuple[int, int], kind: str) -> np.ndarray:
    """Images as their pixels, `(count, height, width, channels)`."""
    top = np.iinfo(kind).max
    noise = np.random.default_rng(count).integers(0, top + 1, (count, *size, channels))
    return noise.astype(kind)


def in_files(images: np.ndarray, folder: Path) -> list[str]:
    """The same in files of a folder of their own: what the library reads."""
    folder = folder / str(len(list(folder.iterdir())))
    folder.mkdir()
    for i, image in enumerate(images):
        if image.shape[2] == 2:
            np.save(folder / f"{i}.npy", image)
        else:
            Image.fromarray(image.squeeze()).save(folder / f"{i}.png")
    return [str(folder)]


def largest(run: iiae.Run, parts: dict[str, Answer], inputs: list, files: list) -> float:
    """Difference of the latents of x and y, and of translations to y like the given ones."""
    latents = {
        name: parts[f"encoder_{name}"](given) for name, given in zip("xy", inputs, strict=True)
    }
    worst: list[float] = []
    for (name, exported), given in zip(latents.items(), files, strict=True):
        expected = run.embed(**{name: given})
        named = dict(zip(POSTERIORS, exported, strict=True))
        worst.append(np.abs(named["shared_mean"] - expected.shared).max())
        worst.append(np.abs(named["exclusive_mean"] - expected.exclusive).max())
    made = parts["decoder_y"](latents["x"][0], latents["y"][2])
    expected = run.translate(files[0], to="y", like=files[1])
    if own is not None:
        expected = own.standard_y_.undo(torch.from_numpy(expected))
    worst.append(np.abs(made[0] - expected).max() / max(1, np.abs(expected).max()))
    if len(made) == 2:
        top = np.iinfo(made[1].dtype).max
        pixels = ((np.clip(expected, -1, 1) + 1) / 2 * top).transpose(0, 2, 3, 1)
        assert np.abs(made[1].astype(float) - pixels).max() < 1 + 1e-4 * top
        assert made[1].shape[1:3] == expected.shape[2:]
    return float(max(worst))


folder, out, kind, bits = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
run = iiae.load(folder)
(export_onnx if kind == "onnx" else export_torch)(load_run(folder), out, bits)
index = json.loads((out / "export.json").read_text())
active = index.pop("active")
reader = in_onnx if kind == "onnx" else in_torch
parts = {n: reader(out / part["file"], part["outputs"]) for n, part in index.items()}
(given,) = index["encoder_x"]["inputs"].values()
worst, pixels = [], out / "pixels"
own = IIAETransformer.load(folder) if (Path(folder) / "estimator.json").exists() else None
pixels.mkdir()
for count, size in (
    (1, (16, 16)),
    (2, (16, 40)),
    (3, (61, 16)),
    (1, (90, 137)),
    (2, (9, 30)),
    (2, (140, 31)),
):
    if len(run.shapes[0]) == 3:
        inputs = [pictures(shape[0], count, size, given["type"]) for shape in run.shapes]
        files = [in_files(images, pixels) for images in inputs]
    else:
        rng = np.random.default_rng(0)
        inputs = [rng.normal(5, 3, (count, *shape)).astype("f4") for shape in run.shapes]
        files = inputs
        if own is not None:
            standards = own.standard_x_, own.standard_y_
            files = [one.apply(v) for one, v in zip(standards, inputs, strict=True)]
    worst.append(largest(run, parts, inputs, files))
print(json.dumps({"worst": worst}))
