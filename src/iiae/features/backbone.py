"""Frozen pretrained vision backbones: images to feature vectors, with `transformers`."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from iiae.errors import DataError, MissingExtra
from iiae.files.folders import subfolders

TAUGHT = (
    "iiae_taught"  # in preprocessor_config.json: the domain that `iiae finetune` taught, or both
)
# views that features are averaged over: share of the side, and whether mirrored
VIEWS = ((5 / 6, False), (1.0, True), (7 / 6, False))

log = logging.getLogger("iiae")


class Backbone(NamedTuple):
    """A vision model and its preprocessing: side in pixels, mean and spread of each channel.

    `digest` is of its weights; `classes` are the names its classifier was trained on, if any;
    `taught` is the domain that `iiae finetune` trained it on, or both, or nothing. Where it
    averages, features are means over three views of an image, see `averaging`.
    """

    name: str
    model: nn.Module
    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    digest: str
    classes: tuple[str, ...]
    taught: str = ""
    averages: bool = False

    @torch.inference_mode()
    def embed(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch features"]:
        """Pooled features of images in [-1, 1] of any size."""
        if not self.averages:
            return pooled(self.model, self.prepare(images))
        features = []
        for share, mirrored in VIEWS:
            view = images.flip(-1) if mirrored else images
            prepared = self.prepare(view, 2 * round(self.side * share / 2))
            features.append(pooled(self.model, prepared))
        return torch.stack(features).mean(0)

    def averaging(self) -> Backbone:
        """The same, with features that are means over three views of an image.

        These are 5/6 of the side, the side with the image mirrored, and 7/6 of it; three times the
        work of one.
        """
        return self._replace(averages=True, digest=f"{self.digest}-averaged")

    def prepare(
        self, images: Float[Tensor, "batch 3 height width"], side: int | None = None
    ) -> Float[Tensor, "batch 3 side side"]:
        """Images as the model was trained on them, whole: resized to its side, not cropped."""
        side = side or self.side
        if images.shape[-2:] != (side, side):
            images = nn.functional.interpolate(
                images, size=(side, side), mode="bilinear", antialias=True
            )
        mean, std = (images.new_tensor(v)[:, None, None] for v in (self.mean, self.std))
        return (images / 2 + 0.5 - mean) / std


def load_backbone(name: str | Path) -> Backbone:
    """A vision model of `transformers`, from a folder or by its hub name, in float32.

    Raises:
        DataError: The model cannot be found or read, or is no vision model.
        MissingExtra: `transformers` is not installed.
    """
    try:
        from transformers import AutoConfig, AutoModel
        from transformers.image_processing_base import ImageProcessingMixin
    except ImportError as error:
        raise MissingExtra("features", "a pretrained backbone") from error
    name = str(name)
    if not Path(name).is_dir():
        if ("/" in name and name.count("/") != 1) or name.startswith("."):
            raise DataError(f"backbone {name}: no such folder")
        log.info("backbone %s: no folder of that name here, so the Hugging Face hub is asked", name)
    try:
        with _quiet():
            config = AutoConfig.from_pretrained(name)
            model = AutoModel.from_pretrained(name, dtype=torch.float32)
            wanted, _ = ImageProcessingMixin.get_image_processor_dict(name)
    except Exception as error:  # each layer below raises its own
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"backbone {name}: cannot be loaded: {reason}") from error
    model = getattr(model, "vision_model", model)
    return Backbone(
        name=Path(name).name,
        model=model.eval().requires_grad_(False),
        side=_side(wanted),
        mean=tuple(wanted.get("image_mean", [0.5] * 3)),
        std=tuple(wanted.get("image_std", [0.5] * 3)),
        digest=_digest(model),
        classes=tuple((getattr(config, "id2label", None) or {}).values()),
        taught=str(wanted.get(TAUGHT, "")),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences what transformers and the hub print while they load a model."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging as model_logging

    chatty = [(one, one.get_verbosity()) for one in (hub_logging, model_logging)]
    for one, _ in chatty:
        one.set_verbosity_error()
    model_logging.disable_progress_bar()
    try:
        yield
    finally:
        for one, shown in chatty:
            one.set_verbosity(shown)


def load_backbones(name: str | Path, average: bool = False) -> Backbone | dict[str, Backbone]:
    """One model, or one per domain if `name` is a folder that `iiae finetune --apart` wrote.

    With `average`, they are `Backbone.averaging()`.

    Raises:
        DataError: As `load_backbone`.
        MissingExtra: As `load_backbone`.
    """

    def one(name: str | Path) -> Backbone:
        loaded = load_backbone(name)
        return loaded.averaging() if average else loaded

    folder = Path(name)
    if not folder.is_dir() or (folder / "config.json").exists():
        return one(name)
    inner = [part for part in subfolders(folder) if (part / "config.json").is_file()]
    return {part.name: one(part) for part in inner} or one(name)


def pooled(
    model: nn.Module, images: Float[Tensor, "batch 3 side side"]
) -> Float[Tensor, "batch features"]:
    """The model's own pooled output, or else the mean of its last hidden states."""
    output = model(pixel_values=images)
    if getattr(output, "pooler_output", None) is not None:
        return output.pooler_output.flatten(1)
    last = output.last_hidden_state
    return last.mean((2, 3)) if last.ndim == 4 else last.mean(1)


def _side(wanted: dict[str, Any]) -> int:
    """The side of the model's input: that of the crop, if the model crops."""
    size = wanted.get("crop_size") if wanted.get("do_center_crop") else wanted.get("size")
    if isinstance(size, int):
        return size
    values: Sequence[int] = list((size or {}).values())
    return int(values[0]) if values else 224


def _digest(model: nn.Module) -> str:
    hashed = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        hashed.update(name.encode())
        hashed.update(value.detach().cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()[:16]
