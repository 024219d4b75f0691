"""The size at which pictures of a folder are suggested to be trained on."""

from __future__ import annotations

import logging
from pathlib import Path

from iiae.files.folders import image_files
from iiae.files.images import open_image
from iiae.files.remote import is_url

FOLDER_SIZE = 64  # pixels a side, where nothing speaks for less

log = logging.getLogger("iiae")


def size_of_pictures(folder: str | Path, halves: bool = False) -> tuple[int, int | None]:
    """The side that suits the first picture of a folder, which the log names; their number.

    Of a folder with a folder `train`, the pictures there.

    Warns of pictures in halves that are no wider than high: those are seldom pairs.
    """
    if is_url(str(folder)):
        return FOLDER_SIZE, None
    folder = Path(folder) / "train" if (Path(folder) / "train").is_dir() else Path(folder)
    files = image_files(folder) if folder.is_dir() else {}
    if not files:
        return FOLDER_SIZE, None
    width, height = open_image(next(iter(files.values()))).size
    if halves:
        if width < 1.2 * height:
            log.warning(
                "%s: %dx%d pictures are split into two of %dx%d; are these pairs, side by side?",
                folder, width, height, width // 2, height,
            )  # fmt: skip
        width //= 2
    size = next((s for s in (16, 32) if max(width, height) <= s), FOLDER_SIZE)
    log.info(
        "first picture: %dx%d; trained on at %dx%d unless --set data.size=... says otherwise",
        width, height, size, size,
    )  # fmt: skip
    return size, len(files)
