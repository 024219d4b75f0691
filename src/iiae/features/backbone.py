"""Frozen pretrained vision backbones: images to feature vectors, with `transformers`."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
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

log = logging.getLogger("iiae")


class Backbone(NamedTuple):
    """A vision model and its preprocessing: side in pixels, mean and spread of each channel.

    `digest` is of its weights; `classes` are the names its classifier was trained on, if any;
    `taught` is the domain that `iiae finetune` trained it on, or both, or nothing.
    """

    name: str
    model: nn.Module
    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    digest: str
    classes: tuple[str, ...]
    taught: str = ""

    @torch.inference_mode()
    def embed(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch features"]:
        """Pooled features of images in [-1, 1] of any size."""
        return pooled(self.model, self.prepare(images))

    def prepare(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch 3 side side"]:
        """Images as the model was trained on them, whole: resized, not cropped."""
        if images.shape[-2:] != (self.side, self.side):
            images = nn.functional.interpolate(
                images, size=(self.side, self.side), mode="bilinear", antialias=True
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
        from huggingface_hub.utils import logging as hub_logging
        from transformers import AutoConfig, AutoModel
        from transformers.image_processing_base import ImageProcessingMixin
        from transformers.utils import logging as model_logging
    except ImportError as error:
        raise MissingExtra("features", "a pretrained backbone") from error
    name = str(name)
    if not Path(name).is_dir():
        if ("/" in name and name.count("/") != 1) or name.startswith("."):
            raise DataError(f"backbone {name}: no such folder")
        log.info("backbone %s: no folder of that name here, so the Hugging Face hub is asked", name)
    chatty = [(one, one.get_verbosity()) for one in (hub_logging, model_logging)]
    try:
        for one, _ in chatty:
            one.set_verbosity_error()
        model_logging.disable_progress_bar()
        config = AutoConfig.from_pretrained(name)
        model = AutoModel.from_pretrained(name, dtype=torch.float32)
        wanted, _ = ImageProcessingMixin.get_image_processor_dict(name)
    except Exception as error:  # each layer below raises its own
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"backbone {name}: cannot be loaded: {reason}") from error
    finally:
        for one, shown in chatty:
            one.set_verbosity(shown)
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


def load_backbones(name: str | Path) -> Backbone | dict[str, Backbone]:
    """One model, or one per domain if `name` is a folder that `iiae finetune --apart` wrote.

    Raises:
        DataError: As `load_backbone`.
        MissingExtra: As `load_backbone`.
    """
    folder = Path(name)
    if not folder.is_dir() or (folder / "config.json").exists():
        return load_backbone(name)
    inner = [one for one in subfolders(folder) if (one / "config.json").is_file()]
    return {one.name: load_backbone(one) for one in inner} or load_backbone(name)


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
