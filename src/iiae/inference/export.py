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

import numpy as np
import torch
from torch import Tensor, nn

from iiae.errors import MissingExtra, RunError, SettingsError
from iiae.files.atomic import write_atomically, write_text
from iiae.inference.pixels import FitPixels, MakePixels
from iiae.model.iiae import IIAE
from iiae.run_folder import ESTIMATOR, TrainedRun
from iiae.types import DOMAINS, Domain

INDEX = "export.json"
AXES = ("batch", "height", "width")  # free
POSTERIORS = (
    "shared_mean",
    "shared_log_variance",
    "exclusive_mean",
    "exclusive_log_variance",
)


class Given(NamedTuple):
    """One input of a part; axes that are named are free."""

    shape: Sequence[int | str]
    kind: torch.dtype = torch.float32

    @property
    def example(self) -> Tensor:
        """Zeros, every free axis of a size of its own."""
        free = {axis: 2 + i for i, axis in enumerate(self.shape)}
        return torch.zeros([free[n] if n in AXES else int(n) for n in self.shape], dtype=self.kind)


class Part(NamedTuple):
    """One network to export: inputs in, named tensors out."""

    module: nn.Module
    inputs: Mapping[str, Given]
    outputs: tuple[str, ...]


class EncoderPart(nn.Module):
    """What one domain alone says, as four tensors `(batch, size)`: see `POSTERIORS`.

    Args:
        model: The trained model.
        domain: Whose encoder.
        prepare: From samples as users hold them to those that the model takes.
    """

    def __init__(self, model: IIAE, domain: Domain, prepare: nn.Module):
        super().__init__()
        self.model: IIAE = model
        self.domain: Domain = domain
        self.prepare: nn.Module = prepare

    def forward(self, values: Tensor) -> tuple[Tensor, ...]:
        q = self.model.encoder(self.domain)(self.prepare(values))
        return (*q.shared, *q.exclusive)


class DecoderPart(nn.Module):
    """Mean of the likelihood of one domain; of images also as `finish` makes them."""

    def __init__(self, model: IIAE, domain: Domain, finish: nn.Module, images: bool):
        super().__init__()
        self.model: IIAE = model
        self.domain: Domain = domain
        self.finish, self.images = finish, images

    def forward(self, shared: Tensor, exclusive: Tensor) -> tuple[Tensor, ...]:
        mean = self.model.decoder(self.domain)(shared, exclusive).mean
        return (mean, self.finish(mean)) if self.images else (self.finish(mean),)


class Affine(nn.Module):
    """Values times a factor of each column, and more, computed in float64."""

    factor: Tensor
    more: Tensor

    def __init__(self, factor: np.ndarray, more: np.ndarray):
        super().__init__()
        self.register_buffer("factor", torch.from_numpy(factor))
        self.register_buffer("more", torch.from_numpy(more))

    def forward(self, values: Tensor) -> Tensor:
        return (values * self.factor + self.more).to(torch.float32)


def parts(run: TrainedRun, bits: int = 8) -> dict[str, Part]:
    """`encoder_x`, `encoder_y`, `decoder_x` and `decoder_y` of a run.

    The joint posterior q(z_s given x, y) is left out: only training and evaluation use it.

    Args:
        run: With its settings, which say how images are made to fit.
        bits: Of images that are no RGB, 8 or 16; RGB has 8.

    Raises:
        SettingsError: The model takes covariates.
    """
    if run.model.covariates.names:
        raise SettingsError(
            "runs with covariates cannot be exported; use iiae embed and Run.translate"
        )
    named: dict[str, Part] = {}
    for i, domain in enumerate(DOMAINS):
        shape = run.shapes[i]
        given, prepare, finish = _ends(run, domain, bits)
        encoder, images = EncoderPart(run.model, domain, prepare).eval(), len(shape) == 3
        named[f"encoder_{domain}"] = Part(encoder, given, POSTERIORS)
        sizes = {"shared": len(run.model.active), "exclusive": run.model.exclusive_sizes[i]}
        latents = {name: Given(("batch", size)) for name, size in sizes.items()}
        decoder = DecoderPart(run.model, domain, finish, images).eval()
        named[f"decoder_{domain}"] = Part(decoder, latents, ("mean", "images")[: 1 + images])
    return named


def _ends(
    run: TrainedRun, domain: Domain, bits: int
) -> tuple[dict[str, Given], nn.Module, nn.Module]:
    """What an encoder takes, what stands before it, and what stands after the decoder."""
    shape = run.shapes["xy".index(domain)]
    if len(shape) == 1:
        before, after = _standard(run.folder, domain)
        return {"values": Given(("batch", *shape))}, before, after
    wide = bits == 16 and shape[0] != 3
    top, kind = (65535, torch.uint16) if wide else (255, torch.uint8)
    given = {"images": Given(("batch", "height", "width", shape[0]), kind)}
    return given, FitPixels(shape, run.settings.data.pad, top), MakePixels(top)


def _standard(folder: Path, domain: Domain) -> tuple[nn.Module, nn.Module]:
    """To standard units and back, where a transformer was fitted on rows in them."""
    path = folder / ESTIMATOR
    if not path.is_file():  # units, if any, are the model's own
        return nn.Identity(), nn.Identity()
    try:
        mean, scale = map(np.asarray, json.loads(path.read_text(encoding="utf-8"))[domain])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged: {error}") from error
    factor = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1), 0.0)
    return Affine(factor, -mean * factor), Affine(scale, mean)


def export_part(part: Part) -> torch.export.ExportedProgram:
    """One part as `torch.export` makes it, for batches, and images, of any size."""
    with torch.no_grad(), _quiet():
        return torch.export.export(part.module, _examples(part), dynamic_shapes=_free(part))


def export_torch(run: TrainedRun, folder: str | Path, bits: int = 8) -> Path:
    """Writes `encoder_x.pt2` and so on, for `torch.export.load`; see `export_onnx`.

    Raises:
        RunError: The folder cannot be written to.
        SettingsError: As `parts`.
    """
    folder, made = Path(folder), parts(run, bits)
    for name, part in made.items():
        program = export_part(part)
        write_atomically(folder / f"{name}.pt2", lambda path, p=program: _save_torch(p, path))
    _write_index(run, made, folder, "pt2")
    return folder


def export_onnx(run: TrainedRun, folder: str | Path, bits: int = 8) -> Path:
    """Writes `encoder_x.onnx`, `encoder_y.onnx`, `decoder_x.onnx` and `decoder_y.onnx`.

    The batch axis is free. An encoder takes `images`, whole numbers of 8 or 16 bits of any height
    and width, channels last, which it makes fit as the library does; or `values`, features in
    their own units. It returns `shared_mean`, `shared_log_variance`, `exclusive_mean` and
    `exclusive_log_variance`. A decoder takes `shared` and `exclusive` and returns `mean` (of
    images in [-1, 1], channels first) and, of images, `images` as the encoder takes them.
    `export.json` lists shapes, types and the active dimensions of z_s.

    Args:
        run: The trained run.
        folder: To write.
        bits: Of images that are no RGB, 8 or 16; RGB has 8.

    Raises:
        MissingExtra: The extra `onnx` is not installed.
        RunError: The folder cannot be written to.
        SettingsError: As `parts`.
    """
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise MissingExtra("onnx", "export to ONNX")
    folder, made = Path(folder), parts(run, bits)
    for name, part in made.items():
        write_atomically(folder / f"{name}.onnx", lambda path, p=part: _save_onnx(p, path))
    _write_index(run, made, folder, "onnx")
    return folder


def _examples(part: Part) -> tuple[Tensor, ...]:
    return tuple(given.example for given in part.inputs.values())


def _free(part: Part) -> tuple[dict[int, Any], ...]:
    """The free axes of each input, by number."""
    axes = {name: torch.export.Dim(name, min=1) for name in AXES}
    return tuple(
        {i: axes[str(n)] for i, n in enumerate(given.shape) if n in AXES}
        for given in part.inputs.values()
    )


def _save_torch(program: torch.export.ExportedProgram, path: Path) -> None:
    with path.open("wb") as file, _quiet():
        torch.export.save(program, file)  # pyright: ignore[reportArgumentType]


def _save_onnx(part: Part, path: Path) -> None:
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            part.module,
            _examples(part),
            path,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamic_shapes=_free(part),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _write_index(run: TrainedRun, made: Mapping[str, Part], folder: Path, suffix: str) -> None:
    index: dict[str, Any] = {
        name: {
            "file": f"{name}.{suffix}",
            "inputs": {
                k: {"shape": list(given.shape), "type": str(given.kind).removeprefix("torch.")}
                for k, given in part.inputs.items()
            },
            "outputs": list(part.outputs),
        }
        for name, part in made.items()
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
