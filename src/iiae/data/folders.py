"""Image pairs in folders: side by side in one file, or files of one name in two folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iiae.data.base import Factor, PairSet, Splits
from iiae.data.images import fit_image, image_files, open_image
from iiae.data.splits import held_out
from iiae.errors import DataError
from iiae.settings import DataSettings
from iiae.types import Draw, Pair

IN_MEMORY = 2 << 30  # bytes of decoded pixels up to which a set is kept in memory

log = logging.getLogger("iiae")


class PairFiles(NamedTuple):
    """Where a pair is: two files, or one whose left half is x and right half y (`y` is None)."""

    x: Path
    y: Path | None


class ImagePairs(PairSet):
    """Pairs of colour images, decoded once where they fit in memory, else at every draw.

    Args:
        files: One entry a pair.
        size: Side that both images are resized to.
        flip: Mirror both images of half of the pairs that are drawn with a seed.

    Raises:
        DataError: A file cannot be read; at once where the images are kept in memory.
    """

    def __init__(self, files: Sequence[PairFiles], size: int, flip: bool):
        self.files, self.size, self.flip = list(files), size, flip
        self.shapes = ((3, size, size), (3, size, size))
        needed = len(self.files) * 6 * size * size
        self.pixels = None
        if needed <= IN_MEMORY:
            self.pixels = torch.from_numpy(np.stack([self._decode(f) for f in self.files]))
        where = "in memory" if self.pixels is not None else "streamed from disk"
        log.info("%d pairs, %.0f MiB decoded: %s", len(self.files), needed / 2**20, where)

    def __len__(self) -> int:
        return len(self.files)

    def pairs(self, draw: Draw) -> Pair:
        x, y = self._pixels(draw.indices).permute(1, 0, 4, 2, 3).float().div_(127.5).sub_(1)
        if draw.seed is not None and self.flip:
            generator = torch.Generator().manual_seed(draw.seed)
            mirrored = torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5
            x, y = (torch.where(mirrored, side.flip(-1), side) for side in (x, y))
        return Pair(x.contiguous(), y.contiguous())

    def factors(self) -> dict[str, Factor]:
        return {}

    def _pixels(self, indices: Tensor) -> Tensor:
        """Bytes `(batch, 2, size, size, 3)`."""
        if self.pixels is not None:
            return self.pixels[indices]
        return torch.from_numpy(np.stack([self._decode(self.files[i]) for i in indices.tolist()]))

    def _decode(self, files: PairFiles) -> np.ndarray:
        left = open_image(files.x)
        if files.y is None:
            if left.width % 2:
                raise DataError(
                    f"{files.x}: is {left.width} pixels wide; two images side by side have an "
                    "even width"
                )
            half = left.width // 2
            boxes = (0, 0, half, left.height), (half, 0, left.width, left.height)
            sides = [left.crop(box) for box in boxes]
        else:
            sides = [left, open_image(files.y)]
        return np.stack([np.asarray(fit_image(s, self.size, self.size)) for s in sides])


def load_side_by_side(settings: DataSettings) -> Splits:
    """Pairs side by side in one file, x on the left: the layout of pix2pix.

    `settings.root` may be a folder of `$IIAE_DATA`. Folders `train`, `val` and `test` under it are
    taken as they are. Without
    `test`, `val` is the test set and validation pairs are held out of `train`; without
    `train`, all three are drawn from the folder itself.

    Raises:
        DataError: The folder is missing, holds too few pairs, or an image cannot be read.
    """
    root = _folder(settings.root, "data.root")
    parts = {
        name: [PairFiles(path, None) for path in image_files(root / name)]
        for name in ("train", "val", "test")
        if (root / name).is_dir()
    }
    if "train" not in parts:
        return _split([PairFiles(path, None) for path in image_files(root)], settings, str(root))
    if len(parts) == 3:
        files = (parts["train"][: settings.limit], parts["val"], parts["test"])
        return _sets(files, settings)
    if len(parts) == 1:
        return _split(parts["train"], settings, str(root / "train"))
    test = parts["test"] if "test" in parts else parts["val"]
    train = parts["train"][: settings.limit]
    validation = settings.validation or max(1, len(train) // 10)
    kept, held, _ = held_out(len(train), validation, 0, settings.seed)
    return _sets(([train[i] for i in kept], [train[i] for i in held], test), settings)


def load_two_folders(settings: DataSettings) -> Splits:
    """Pairs of files that have one name, but for the ending, in the folders `x` and `y`.

    Raises:
        DataError: A folder is missing, a file has no partner, or an image cannot be read.
    """
    left, right = _folder(settings.x, "data.x"), _folder(settings.y, "data.y")
    x, y = (_by_stem(folder) for folder in (left, right))
    alone = [str(x[stem]) for stem in sorted(x.keys() - y.keys())]
    alone += [str(y[stem]) for stem in sorted(y.keys() - x.keys())]
    if alone:
        more = f" and {len(alone) - 5} more" if len(alone) > 5 else ""
        raise DataError(f"no partner of the same name for {', '.join(alone[:5])}{more}")
    files = [PairFiles(x[stem], y[stem]) for stem in sorted(x)]
    return _split(files, settings, f"{left} and {right}")


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in image_files(folder):
        if path.stem in found:
            raise DataError(f"{found[path.stem]} and {path} have one name; which is meant?")
        found[path.stem] = path
    return found


def _folder(name: str | None, setting: str) -> Path:
    if name is None:
        raise DataError(f"{setting} is missing: the folder of the images")
    shared = os.environ.get("IIAE_DATA")
    places = [Path(name), *([Path(shared) / name] if shared else [])]
    for folder in places:
        if folder.is_dir():
            return folder
    raise DataError(
        f"{setting} = {name}: no such folder; looked in {' and '.join(map(str, places))}"
    )


def _split(files: Sequence[PairFiles], settings: DataSettings, name: str) -> Splits:
    total = min(len(files), settings.limit or len(files))
    if total < 4:
        raise DataError(
            f"{name}: {total} pair{'s' * (total != 1)}; at least 4 are needed: 2 to train on, "
            "1 for validation, 1 for testing"
        )
    tenth = max(1, total // 10)
    parts = held_out(total, settings.validation or tenth, settings.test or tenth, settings.seed)
    return _sets(tuple([files[i] for i in part] for part in parts), settings)


def _sets(files: Sequence[Sequence[PairFiles]], settings: DataSettings) -> Splits:
    train, validation, test = files
    return Splits(
        ImagePairs(train, settings.size, settings.flip),
        ImagePairs(validation, settings.size, False),
        ImagePairs(test, settings.size, False),
    )
