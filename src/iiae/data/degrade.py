"""Mild degradations of images, as in real files: to train with, and to test on.

JPEG compression, blur, interpolation and noise leave what an image shows, and change most of its
values; a model that has seen clean renderings alone can lose its partners by them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from iiae.data.base import Factor, PairSet
from iiae.errors import SettingsError
from iiae.files.images import bytes_image, image_bytes
from iiae.types import Draw, Pair, PartialBatch

B = TypeVar("B", Pair, PartialBatch)

EACH = 0.5  # probability of each of the four in an image that is degraded
QUALITY = (50, 95)  # of JPEG
BLUR = (0.2, 0.8)  # standard deviation, in pixels
SIDES = (0.7, 4.0)  # of the image between, in sides of the image
LARGEST = 512  # side of the image between, at most, unless the image is larger itself
NOISE = (1.0, 6.0)  # standard deviation, of 255
UPWARD = (Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
BACK = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS)


class Degradation(NamedTuple):
    """The degradations of one image, in this order; None leaves one out.

    `blur` and `noise` are standard deviations, in pixels and of 255; `side` is that of the image
    between, in sides of the image, made by `upward` and taken `back`; it is kept as a JPEG of
    `quality`, and `seed` is of the noise.
    """

    blur: float | None = None
    side: float = 1.0
    upward: Image.Resampling = Image.Resampling.BICUBIC
    back: Image.Resampling = Image.Resampling.BICUBIC
    quality: int | None = None
    noise: float | None = None
    seed: int = 0


class Degrade:
    """Degrades a share of the images of a training batch, x and y independently.

    Args:
        share: Probability that an image is degraded, in [0, 1].
    """

    def __init__(self, share: float):
        self.share = share

    def __call__(self, batch: B, seed: int) -> B:
        """The degraded batch, drawn by the seed; images are on the CPU afterwards."""
        changed = {}
        for side, values in (("x", batch.x), ("y", batch.y)):
            generator = np.random.default_rng((seed, ord(side)))
            drawn = [
                drawn_degradation(generator) if one < self.share else None
                for one in generator.random(len(values))
            ]
            changed[side] = degraded(values, drawn)
        return batch._replace(**changed)


class DegradedPairs(PairSet):
    """Copies of pairs of images as files often have them: enlarged, JPEG-compressed, reduced.

    Args:
        rows: The pairs.
        side: Side of the image between, in pixels, at least twice that of the images.
        quality: Of JPEG.

    Raises:
        SettingsError: The pairs are not of 8-bit RGB or grey images.
    """

    def __init__(self, rows: PairSet, side: int = 256, quality: int = 75):
        check_bytes(rows, "degraded copies")
        self.rows, self.shapes, self.keys = rows, rows.shapes, rows.keys
        self.side, self.quality = side, quality

    def __len__(self) -> int:
        return len(self.rows)

    def pairs(self, draw: Draw) -> Pair:
        pair = self.rows.pairs(draw)
        return pair._replace(x=self._copies(pair.x), y=self._copies(pair.y))

    def factors(self) -> dict[str, Factor]:
        return self.rows.factors()

    def content(self) -> Iterator[bytes]:
        yield f"degraded {self.side} {self.quality}".encode()
        yield from self.rows.content()

    def _copies(self, images: Tensor) -> Tensor:
        own = min(images.shape[2:])
        how = Degradation(side=max(2.0, self.side / own), quality=self.quality)
        return degraded(images, [how] * len(images))


def check_bytes(pairs: PairSet, what: str) -> None:
    """Raises SettingsError if pairs are not of 8-bit images of 1 or 3 channels.

    Args:
        pairs: Of any kind.
        what: That needs them, for the message.
    """
    for side, shape in zip("xy", pairs.shapes, strict=True):
        if len(shape) != 3 or shape[0] not in (1, 3) or not pairs.of_bytes:
            form = "x".join(map(str, shape))
            raise SettingsError(
                f"{what}: JPEG, blur and the like are of 8-bit images, RGB or grey; {side} has "
                f"{form} {'bytes' if pairs.of_bytes else 'floats'}"
            )


def drawn_degradation(generator: np.random.Generator) -> Degradation:
    """One at random; each of the four is drawn whether it is used or not, so that seeds last."""
    used = generator.random(4) < EACH
    blur, noise = generator.uniform(*BLUR), generator.uniform(*NOISE)
    side = float(np.exp(generator.uniform(*np.log(SIDES))))
    quality, seed = int(generator.integers(*QUALITY)), int(generator.integers(2**32))
    upward, back = UPWARD[generator.integers(len(UPWARD))], BACK[generator.integers(len(BACK))]
    return Degradation(
        blur if used[0] else None,
        side if used[1] else 1.0,
        upward,
        back,
        quality if used[2] else None,
        noise if used[3] else None,
        seed,
    )


def degraded(
    images: Float[Tensor, "batch channels height width"], how: Sequence[Degradation | None]
) -> Float[Tensor, "batch channels height width"]:
    """Images in [-1, 1], each degraded by its entry of `how`, or unchanged if that is None."""
    chosen = [i for i, one in enumerate(how) if one is not None]
    changed = images.detach().cpu().clone()
    if not chosen:
        return changed
    pixels = image_bytes(changed[chosen])
    made = _each(_degraded, list(pixels), [how[i] for i in chosen])
    values = torch.from_numpy(np.stack(made).reshape(pixels.shape)).movedim(-1, 1)
    changed[chosen] = values.float().div_(127.5).sub_(1)
    return changed


def _each(function: Callable, *columns: Sequence) -> list:
    """Results of a function of images; in threads if there are enough images."""
    if columns[0][0].size < 2**14:
        return [*map(function, *columns)]
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        return [*pool.map(function, *columns)]


def _degraded(pixels: np.ndarray, how: Degradation) -> np.ndarray:
    """Bytes `(height, width, channels)`, degraded."""
    image = bytes_image(pixels)
    width, height = own = image.size
    factor = min(how.side, max(1.0, LARGEST / max(own)))
    between = max(1, round(width * factor)), max(1, round(height * factor))
    if between != own:
        image = image.resize(between, how.upward if factor > 1 else how.back)
    if how.quality is not None:
        held = BytesIO()
        image.save(held, "JPEG", quality=how.quality)
        image = Image.open(held)
    if between != own:
        image = image.resize(own, how.back if factor > 1 else Image.Resampling.BICUBIC)
    made = np.asarray(image)
    if how.noise is None:
        return made
    noise = np.random.default_rng(how.seed).normal(scale=how.noise, size=made.shape)
    return (made + noise).clip(0, 255).round().astype(np.uint8)
