"""What is suggested for images: the size that they are trained on at, networks and schedule."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from iiae.files.folders import ARRAY, image_files
from iiae.files.images import named_errors, open_image
from iiae.files.remote import RemoteFile, is_url
from iiae.wording import setting

FOLDER_SIZE = 64  # pixels a side, where nothing speaks for less
MOST_SMALL = 128  # pixels a side up to which networks of a CPU are suggested
DEGRADE = 0.5  # share of training images
STEPS = 3000  # about: ten minutes of one core at 64 pixels

log = logging.getLogger("iiae")


def size_of_pictures(
    folder: str | Path, halves: bool = False, wanted: int | None = None, bands: int = 3
) -> tuple[int, int | None]:
    """The side that suits the first picture of a folder, which the log names; their number.

    Of a folder with a folder `train`, the pictures there. `wanted`, where the user said so, is the
    side, and nothing is logged of it. Pictures of other `bands` than three may be `.npy`.

    Warns of pictures in halves that are no wider than high: those are seldom pairs.
    """
    if is_url(str(folder)):
        return wanted or FOLDER_SIZE, None
    folder = Path(folder) / "train" if (Path(folder) / "train").is_dir() else Path(folder)
    files = image_files(folder, arrays=bands != 3) if folder.is_dir() else {}
    if not files:
        return wanted or FOLDER_SIZE, None
    width, height = _width_and_height(next(iter(files.values())))
    if halves:
        if width < 1.2 * height:
            log.warning(
                "%s: %dx%d pictures are split into two of %dx%d; are these pairs, side by side?",
                folder, width, height, width // 2, height,
            )  # fmt: skip
        width //= 2
    if wanted:
        return wanted, len(files)
    size = next((s for s in (16, 32) if max(width, height) <= s), FOLDER_SIZE)
    log.info(
        "first picture: %dx%d; trained on at %dx%d unless %s says otherwise",
        width, height, size, size, setting("data.size"),
    )  # fmt: skip
    return size, len(files)


def _width_and_height(file: Path | RemoteFile) -> tuple[int, int]:
    if not str(file).lower().endswith(ARRAY) or isinstance(file, RemoteFile):
        return open_image(file).size
    with named_errors(str(file)):
        height, width, *_ = np.load(file, mmap_mode="r", allow_pickle=False).shape
    return width, height


def of_files(
    data: dict[str, Any],
    size: int,
    bands: int | tuple[int, int] = 3,
    pairs: int | None = None,
    in_register: bool = False,
) -> dict[str, Any]:
    """Settings for files of images: as `of_images`, and half of them mildly degraded.

    Without, copies of another quality lose partners. Only RGB of 8 bits can be degraded.
    """
    degraded = {"degrade": DEGRADE} if bands in (3, (3, 3)) else {}
    return of_images(data | {"size": size} | degraded, size, pairs, in_register)


def of_images(
    data: dict[str, Any], size: int, pairs: int | None = None, in_register: bool = False
) -> dict[str, Any]:
    """What was chosen on validation pairs of Facades and Maps (docs/studies/facades-maps.md).

    In register, things stand at the same place in both pictures, as in halves of one file: a finer
    map of z_s then keeps where they are, and windows may be cut out of both.
    """
    training: dict[str, Any] = {"precision": "auto", "epochs": 50}
    if size <= MOST_SMALL:
        batch = 32
        if pairs:
            training |= lasting(STEPS, batch, pairs)
        model: dict[str, Any] = {"family": "small", "size": "medium"}
        objective: dict[str, Any] = {side: {"weight": 8000.0} for side in "xy"}
        if in_register and size >= FOLDER_SIZE:
            log.info(
                "pictures in halves of one file: z_s is a map of 8x8, which keeps where things "
                "stand; %s for pairs that are not in register",
                setting("model.side", 4),
            )
            data = data | {"crop": 0.15}
            model |= {"side": 8, "shared": 16}
            objective["beta"] = 0.02
            training["learning_rate"] = 2e-3
        training["batch"] = batch
        return {"data": data, "model": model, "objective": objective, "training": training}
    # as published
    training |= {"batch": 8, "learning_rate": 2e-4, "adam_beta1": 0.5, "decay_from": 1.0}
    likelihood = {side: {"weight": 1000.0} for side in "xy"}
    return {
        "data": data,
        "model": {"family": "image-map", "shared": 128},
        "objective": {"tau": 25_000.0, **likelihood},
        "training": training,
    }


def lasting(steps: int, batch: int, rows: int) -> dict[str, Any]:
    """Epochs of about so many steps, and after how many without a better one training ends."""
    epochs = min(300, max(20, steps * batch // max(1, rows)))
    return {"epochs": epochs, "patience": max(10, epochs // 4)}
