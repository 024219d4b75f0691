"""Cars: 3-D car models from 24 azimuths and 4 elevations (Reed et al. 2015), compact form.

x = azimuth 0, y = azimuth 1 to 23 of the same car at the same elevation. Shared: the car and
the elevation. Exclusive to y: its azimuth; to x: nothing. Ids 1 to 191 train, 192 to 199 test.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import torch

from iiae.data.base import Factor, PairSet, Splits
from iiae.data.splits import split_by_key
from iiae.errors import DataError, MissingExtra
from iiae.files.arrays import read_array
from iiae.settings import DataSettings
from iiae.types import Draw, Pair

FIRST_TEST_ID, AZIMUTHS, ELEVATIONS = 192, 24, 4


class CarPairs(PairSet):
    """Every (car, elevation, azimuth other than 0).

    Args:
        images: `(cars, 4, 24, side, side, 3)` bytes.
        ids: `(cars,)` numbers of the cars.
    """

    tensor_names = ("images",)

    def __init__(self, images: np.ndarray, ids: np.ndarray):
        self.images, self.ids = torch.from_numpy(images), ids
        side = images.shape[3]
        self.shapes = ((3, side, side), (3, side, side))
        kinds = (len(ids), ELEVATIONS, AZIMUTHS - 1)
        self.car, self.elevation, self.azimuth = (
            torch.from_numpy(part.ravel()) for part in np.indices(kinds)
        )
        self.azimuth = self.azimuth + 1
        self.keys = np.asarray(ids, np.uint64)[self.car.numpy()]

    def __len__(self) -> int:
        return len(self.car)

    def pairs(self, draw: Draw) -> Pair:
        car, elevation = self.car[draw.indices], self.elevation[draw.indices]
        azimuth = self.azimuth[draw.indices]
        views = (self.images[car, elevation, 0], self.images[car, elevation, azimuth])
        x, y = (v.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous() for v in views)
        return Pair(x, y)

    def factors(self) -> dict[str, Factor]:
        return {
            "car": Factor(self.ids[self.car.numpy()], "categorical", "shared"),
            "elevation": Factor(self.elevation.numpy(), "categorical", "shared"),
            "azimuth": Factor(self.azimuth.numpy(), "categorical", "y"),
        }


def load_cars(settings: DataSettings) -> Splits:
    """Cars 1 to 191 less the validation cars (a tenth), and 192 to 199 to test.

    The original `.mat` files (one a car, its number in the name; needs SciPy), or `cars64.npz`
    (arrays `images` and `ids`), are looked for under `settings.root`, or `$IIAE_DATA/cars`.
    Images are averaged over areas down to `settings.size`.

    Raises:
        DataError: The file is missing, damaged, or of another form.
    """
    images, ids = _read(_find(settings.root), settings.size)
    test = ids >= FIRST_TEST_ID
    train = np.flatnonzero(~test)
    held = settings.validation or max(1, len(train) // 10)
    kept, validation, _ = split_by_key(ids[train].astype(np.uint64), held, 0, settings.seed)
    parts = (train[kept], train[validation], np.flatnonzero(test))
    return Splits(*(CarPairs(images[part], ids[part]) for part in parts))


def _read(folder: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images `(cars, 4, 24, size, size, 3)` and the cars' numbers."""
    path = folder / "cars64.npz"
    if not path.is_file():
        return _read_mat(folder, size)
    images, ids = read_array(path, "images"), read_array(path, "ids")
    form = (len(ids), ELEVATIONS, AZIMUTHS)
    if images.ndim != 6 or images.shape[:3] != form or images.dtype != np.uint8:
        raise DataError(
            f"{path}: images are {images.dtype} {images.shape}; expected bytes {form} followed by "
            "(side, side, 3)"
        )
    return _smaller(images, size, str(path)), ids


def _read_mat(folder: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The original files: `im`, bytes (128, 128, 3, 24 azimuths, 4 elevations), one car each."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise MissingExtra("sklearn", "reading .mat files") from error
    cars: dict[int, np.ndarray] = {}
    for path in sorted(folder.glob("*.mat")):
        number = re.search(r"\d+", path.stem)
        try:
            image = loadmat(path)["im"]
        except Exception as error:  # SciPy has no error of its own for damaged files
            raise DataError(f"{path}: not a .mat file with an array im: {error}") from error
        if image.ndim != 5 or image.shape[2:] != (3, AZIMUTHS, ELEVATIONS) or number is None:
            raise DataError(
                f"{path}: im is {image.shape}; expected (side, side, 3, {AZIMUTHS} azimuths, "
                f"{ELEVATIONS} elevations) and the car's number in the file's name"
            )
        cars[int(number[0])] = _smaller(image.transpose(4, 3, 0, 1, 2)[None], size, str(path))[0]
    ids = sorted(cars)
    return np.stack([cars[i] for i in ids]), np.array(ids)


def _smaller(images: np.ndarray, size: int, name: str) -> np.ndarray:
    """Bytes averaged over areas."""
    side = images.shape[3]
    if side == size:
        return images
    if side % size:
        raise DataError(f"{name}: images have side {side}; data.size must divide it: set {side}")
    step = side // size
    blocks = images.reshape(*images.shape[:3], size, step, size, step, 3)
    return blocks.mean((4, 6)).round().astype(np.uint8)


def _find(root: str | None) -> Path:
    folders = [Path(root)] if root else []
    if not root and (shared := os.environ.get("IIAE_DATA")):
        folders = [Path(shared) / "cars", Path(shared)]
    for folder in folders:
        if (folder / "cars64.npz").is_file() or any(folder.glob("*.mat")):
            return folder
    looked = ", ".join(map(str, folders)) or "no folder: set data.root or IIAE_DATA"
    raise DataError(f"the .mat files of Cars, or cars64.npz, are missing; looked in {looked}")
