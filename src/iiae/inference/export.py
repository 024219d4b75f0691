"""Encoders and decoders of a run as files that other programs can run."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from iiae.errors import MissingExtra
from iiae.files.atomic import write_atomically, write_text
from iiae.model.iiae import IIAE
from iiae.run_folder import TrainedRun
from iiae.types import DOMAINS, Domain

INDEX = "export.json"
POSTERIORS = (
    "shared_mean",
    "shared_log_variance",
    "exclusive_mean",
    "exclusive_log_variance",
)


class Part(NamedTuple):
    """One network to export: inputs with a free batch axis in, named tensors out."""

    module: nn.Module
    inputs: Mapping[str, Sequence[int]]  # without the batch axis
    outputs: tuple[str, ...]


class EncoderPart(nn.Module):
    """What one domain alone says, as four tensors `(batch, size)`: see `POSTERIORS`."""

    def __init__(self, model: IIAE, domain: Domain):
        super().__init__()
        self.model: IIAE = model
        self.domain: Domain = domain

    def forward(self, values: Tensor) -> tuple[Tensor, ...]:
        q = self.model.encoder(self.domain)(values)
        return (*q.shared, *q.exclusive)


class DecoderPart(nn.Module):
    """Mean of the likelihood of one domain."""

    def __init__(self, model: IIAE, domain: Domain):
        super().__init__()
        self.model: IIAE = model
        self.domain: Domain = domain

    def forward(self, shared: Tensor, exclusive: Tensor) -> Tensor:
        return self.model.decoder(self.domain)(shared, exclusive).mean


def parts(run: TrainedRun) -> dict[str, Part]:
    """`encoder_x`, `encoder_y`, `decoder_x` and `decoder_y` of a run.

    The joint posterior q(z_s given x, y) is left out: only training and evaluation use it.
    """
    found: dict[str, Part] = {}
    for i, domain in enumerate(DOMAINS):
        encoder = EncoderPart(run.model, domain).eval()
        found[f"encoder_{domain}"] = Part(encoder, {"values": run.shapes[i]}, POSTERIORS)
        latents = {"shared": (len(run.model.active),), "exclusive": (run.model.exclusive_sizes[i],)}
        found[f"decoder_{domain}"] = Part(DecoderPart(run.model, domain).eval(), latents, ("mean",))
    return found


def export_part(part: Part) -> torch.export.ExportedProgram:
    """One part as `torch.export` makes it, for batches of any size."""
    batch = torch.export.Dim("batch", min=1)
    examples = tuple(torch.zeros(2, *shape) for shape in part.inputs.values())
    with torch.no_grad(), _quiet():
        return torch.export.export(
            part.module, examples, dynamic_shapes={name: {0: batch} for name in part.inputs}
        )


def export_torch(run: TrainedRun, folder: str | Path) -> Path:
    """Writes `encoder_x.pt2` and so on, for `torch.export.load`; see `export_onnx`.

    Raises:
        RunError: The folder cannot be written to.
    """
    folder = Path(folder)
    for name, part in parts(run).items():
        program = export_part(part)
        write_atomically(folder / f"{name}.pt2", lambda path, p=program: _save_torch(p, path))
    _write_index(run, folder, "pt2")
    return folder


def export_onnx(run: TrainedRun, folder: str | Path) -> Path:
    """Writes `encoder_x.onnx`, `encoder_y.onnx`, `decoder_x.onnx` and `decoder_y.onnx`.

    The batch axis is free. An encoder takes `values` (images in [-1, 1], channels first, or
    features) and returns `shared_mean`, `shared_log_variance`, `exclusive_mean` and
    `exclusive_log_variance`; a decoder takes `shared` and `exclusive` and returns `mean`.
    `export.json` lists shapes and the active dimensions of z_s.

    Raises:
        MissingExtra: The extra `onnx` is not installed.
        RunError: The folder cannot be written to.
    """
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise MissingExtra("onnx", "export to ONNX")
    folder = Path(folder)
    for name, part in parts(run).items():
        write_atomically(folder / f"{name}.onnx", lambda path, p=part: _save_onnx(p, path))
    _write_index(run, folder, "onnx")
    return folder


def _save_torch(program: torch.export.ExportedProgram, path: Path) -> None:
    with path.open("wb") as file, _quiet():
        torch.export.save(program, file)  # pyright: ignore[reportArgumentType]


def _save_onnx(part: Part, path: Path) -> None:
    batch = torch.export.Dim("batch", min=1)
    examples = tuple(torch.zeros(2, *shape) for shape in part.inputs.values())
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            part.module,
            examples,
            path,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamic_shapes={name: {0: batch} for name in part.inputs},
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _write_index(run: TrainedRun, folder: Path, suffix: str) -> None:
    index: dict[str, Any] = {
        name: {
            "file": f"{name}.{suffix}",
            "inputs": {k: ["batch", *shape] for k, shape in part.inputs.items()},
            "outputs": list(part.outputs),
        }
        for name, part in parts(run).items()
    }
    index["active"] = run.model.active.nonzero().flatten().tolist()
    write_text(folder / INDEX, json.dumps(index, indent=2) + "\n")


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's notes are for those who write exporters."""
    names = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")
    levels = [logging.getLogger(name).level for name in names]
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for name, level in zip(names, levels, strict=True):
                logging.getLogger(name).setLevel(level)
