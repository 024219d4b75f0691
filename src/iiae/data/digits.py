"""CDCB: coloured digits, from MNIST's files or from scikit-learn's bundled 8x8 digits.

x = CB, a white digit on a random solid background; y = CD, the same digit in a random
colour on black. Colours are uniform in RGB and independent. Shared: identity, shape and
style. Exclusive to x: the background colour; to y: the digit's colour.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from iiae.data.base import Factor, PairSet, Splits, pick
from iiae.data.idx import read_idx
from iiae.data.splits import held_out
from iiae.errors import DataError, MissingExtra
from iiae.settings import DataSettings
from iiae.types import Draw, Pair

MNIST_URLS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
# MD5 of the uncompressed files
MNIST_FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


class ColouredDigits(PairSet):
    """CDCB pairs of grey digits.

    Args:
        digits: `(pairs, side, side)` bytes, ink is 255.
        labels: `(pairs,)` digit of each.
        size: Side of the images made: 32 frames 28x28 digits, other sizes resample.
        seed: Of the fixed colours; a draw with a seed has its own.
        places: Of the digits in their files, by which they are recognised, `(pairs,)`.
    """

    tensor_names = ("digits", "colours")

    def __init__(
        self,
        digits: np.ndarray,
        labels: np.ndarray,
        size: int,
        seed: int,
        places: np.ndarray | None = None,
    ):
        self.digits = torch.tensor(digits)
        self.labels = labels
        self.size = size
        self.shapes = ((3, size, size), (3, size, size))
        generator = torch.Generator().manual_seed(seed)
        self.colours = torch.rand(len(digits), 2, 3, generator=generator)
        self.keys = places

    def __len__(self) -> int:
        return len(self.digits)

    def pairs(self, draw: Draw) -> Pair:
        colours = pick(self.colours, draw.indices)
        if draw.seed is not None:
            generator = torch.Generator().manual_seed(draw.seed)
            colours = torch.rand(colours.shape, generator=generator).to(colours.device)
        background, foreground = (colours[:, i, :, None, None] for i in (0, 1))
        ink = self._ink(draw.indices)
        x = ink + (1 - ink) * background
        y = ink * foreground
        return Pair(x.mul_(2).sub_(1), y.mul_(2).sub_(1))

    def factors(self) -> dict[str, Factor]:
        return {
            "digit": Factor(self.labels, "categorical", "shared"),
            "background colour": Factor(self.colours[:, 0].numpy(), "continuous", "x"),
            "digit colour": Factor(self.colours[:, 1].numpy(), "continuous", "y"),
        }

    def _ink(self, index: Tensor) -> Tensor:
        """Coverage in [0, 1], `(batch, 1, size, size)`."""
        ink = pick(self.digits, index).unsqueeze(1).float() / 255
        side = ink.shape[-1]
        if side == 28 and self.size == 32:
            return F.pad(ink, (2, 2, 2, 2))
        if side > self.size:
            return F.adaptive_avg_pool2d(ink, self.size)
        return F.interpolate(ink, self.size, mode="bilinear", align_corners=False)


def load_mnist(settings: DataSettings) -> Splits:
    """MNIST-CDCB: 60,000 training digits less the validation set, 10,000 test digits.

    Files are looked for under `settings.root`, `$IIAE_DATA`, `$IIAE_DATA/mnist` and the
    cache folder. Colours of the fixed sets come from `settings.seed`.

    Raises:
        DataError: Files are missing or damaged.
    """
    folder = find_mnist(settings.root)
    train_digits, train_labels = _read_digits(folder, "train")
    test_digits, test_labels = _read_digits(folder, "t10k")
    total = min(len(train_digits), settings.limit or len(train_digits))
    validation = settings.validation or total // 10
    kept, held, _ = held_out(total, validation, 0, settings.seed)
    tested = len(train_digits) + np.arange(len(test_digits))
    size, seed = settings.size, 3 * settings.seed
    return Splits(
        ColouredDigits(train_digits[kept], train_labels[kept], size, seed, _places(kept)),
        ColouredDigits(train_digits[held], train_labels[held], size, seed + 1, _places(held)),
        ColouredDigits(test_digits, test_labels, size, seed + 2, _places(tested)),
    )


def load_digits(settings: DataSettings) -> Splits:
    """CDCB from the 1,797 digits of 8x8 pixels that scikit-learn brings; no file needed.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits as bundled
    except ImportError as error:
        raise MissingExtra("sklearn", "the data set digits-cdcb") from error
    bundle: Any = bundled()
    digits = (bundle.images * (255 / 16)).round().astype(np.uint8)
    total = len(digits)
    validation = settings.validation or total // 10
    train, *held = held_out(total, validation, settings.test or total // 5, settings.seed)
    parts = (train[: settings.limit], *held)
    return Splits(
        *(
            ColouredDigits(
                digits[part],
                bundle.target[part],
                settings.size,
                3 * settings.seed + i,
                _places(part),
            )
            for i, part in enumerate(parts)
        )
    )


def _places(index: np.ndarray) -> np.ndarray:
    return index.astype(np.uint64)


def find_mnist(root: str | None) -> Path:
    """The folder that holds MNIST's four files.

    Raises:
        DataError: There is none; the message lists the places searched and how to fetch the files.
    """
    folders = mnist_folders(root)
    for folder in folders:
        if all(_file(folder, name) for name in MNIST_FILES):
            return folder
    best = max(folders, key=lambda f: sum(bool(_file(f, name)) for name in MNIST_FILES))
    missing = [f"{name}[.gz]" for name in MNIST_FILES if not _file(best, name)]
    raise DataError(
        f"MNIST's files are missing: {', '.join(missing)}; looked in "
        f"{', '.join(map(str, folders))}; fetch them with: iiae data mnist-cdcb --root DIR"
    )


def mnist_folders(root: str | None) -> list[Path]:
    """Folders to search for MNIST's files, in order; `root` alone if it is given."""
    if root:
        return [Path(root), Path(root) / "mnist"]
    shared = os.environ.get("IIAE_DATA")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "iiae" / "mnist"
    return [*([Path(shared), Path(shared) / "mnist"] if shared else []), cache]


def fetch_mnist(folder: Path) -> Path:
    """Downloads MNIST's files into `folder`, checks them, and returns it.

    Files that are already there and sound stay. Nothing is left half-written.

    Raises:
        DataError: No mirror answers, or what came has the wrong checksum.
    """
    import pooch

    folder.mkdir(parents=True, exist_ok=True)
    for name, digest in MNIST_FILES.items():
        path = _file(folder, name)
        if path and _md5(path) == digest:
            continue
        reasons: list[str] = []
        for url in MNIST_URLS:
            try:
                pooch.retrieve(
                    f"{url}{name}.gz", None, f"{name}.gz", folder, processor=_Check(digest)
                )
                break
            except (OSError, ValueError, DataError) as error:
                (folder / f"{name}.gz").unlink(missing_ok=True)
                reasons.append(f"{url}: {type(error).__name__}")
        else:
            raise DataError(
                f"{name}.gz could not be fetched ({'; '.join(reasons)}); put MNIST's four IDX "
                f"files into {folder} by hand"
            )
    return folder


class _Check:
    """Refuses a downloaded file whose content has another checksum."""

    def __init__(self, digest: str):
        self.digest = digest

    def __call__(self, path: str, action: str, source: object) -> str:
        if _md5(Path(path)) != self.digest:
            raise DataError(f"{path}: wrong checksum")
        return path


def _md5(path: Path) -> str:
    """Of the uncompressed content; empty for a file that cannot be read."""
    import gzip

    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()  # pyright: ignore[reportArgumentType]
    except (OSError, EOFError):
        return ""


def _file(folder: Path, name: str) -> Path | None:
    return next((p for p in (folder / f"{name}.gz", folder / name) if p.is_file()), None)


def _read_digits(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    images = _file(folder, f"{part}-images-idx3-ubyte")
    labels = _file(folder, f"{part}-labels-idx1-ubyte")
    assert images and labels, "find_mnist has seen them"
    digits, classes = read_idx(images), read_idx(labels)
    if digits.ndim != 3 or classes.shape != digits.shape[:1]:
        raise DataError(
            f"{images} and {labels} do not fit: shapes {digits.shape} and {classes.shape}"
        )
    return digits, classes.astype(np.int64)
