"""Image files decoded in threads, ahead of whoever takes them."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from iiae.errors import DataError
from iiae.files.folders import image_files
from iiae.files.images import image_tensor, open_sized

OnError = Literal["stop", "skip"]

AHEAD = 2  # batches decoded before they are asked for

log = logging.getLogger("iiae")


class DecodedBatch(NamedTuple):
    """Images of some files, and the files' own widths and heights in pixels."""

    files: list[Path]
    images: Float[Tensor, "batch channels height width"]
    sizes: list[tuple[int, int]]


class _Decoded(NamedTuple):
    file: Path
    image: Tensor
    size: tuple[int, int]


def expand_files(inputs: Sequence[Path]) -> list[Path]:
    """Files as given, and the image files of folders, by name.

    Raises:
        DataError: A folder holds no images.
    """
    return [file for path in inputs for file in (image_files(path) if path.is_dir() else [path])]


def decode_batches(
    files: Sequence[Path],
    shape: Sequence[int],
    batch: int,
    on_error: OnError = "stop",
) -> Iterator[DecodedBatch]:
    """Batches of images in [-1, 1], in the order of the files.

    Up to two batches are decoded ahead, in threads, so that decoding and the caller's work
    overlap.

    Args:
        files: Image files.
        shape: (channels, height, width) wanted.
        batch: Images a batch; the last may be smaller, or any where files are skipped.
        on_error: "skip" leaves out files that cannot be read; they are listed in the log.

    Raises:
        DataError: A file cannot be read and `on_error` is "stop".
    """

    def decode(file: Path) -> _Decoded | DataError:
        try:
            image, size = open_sized(file, side=max(shape[1:]))
            return _Decoded(file, image_tensor(image, shape), size)
        except DataError as error:
            return error

    skipped = 0
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        chunks = [files[i : i + batch] for i in range(0, len(files), batch)]
        for results in ahead(pool, decode, chunks, AHEAD):
            good: list[_Decoded] = []
            for result in results:
                if isinstance(result, _Decoded):
                    good.append(result)
                elif on_error == "stop":
                    raise result
                else:
                    skipped += 1
                    log.warning("skipped %s", result)
            if good:
                yield DecodedBatch(
                    [one.file for one in good],
                    torch.stack([one.image for one in good]),
                    [one.size for one in good],
                )
    if skipped:
        log.warning("skipped %d of %d files that cannot be read", skipped, len(files))


def ahead(
    pool: ThreadPoolExecutor, function: Callable, chunks: Iterable[Sequence], count: int
) -> Generator[list, None, None]:
    """Results of each chunk, in order, with `count` chunks under way in threads."""
    waiting: deque[list[Future]] = deque()
    try:
        for chunk in chunks:
            waiting.append([pool.submit(function, item) for item in chunk])
            if len(waiting) > count:
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]
    finally:
        for futures in waiting:
            for future in futures:
                future.cancel()
