"""Cars: 3-D car models from 24 azimuths and 4 elevations (Reed et al. 2015), compact form.

x = azimuth 0, y = azimuth 1 to 23 of the same car at the same elevation. Shared: the car and
the elevation. Exclusive to y: its azimuth; to x: nothing. Ids 1 to 191 train, 192 to 199 test.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from iiae.data.arrays import read_array
from iiae.data.base import Factor, PairSet, Splits
from iiae.errors import DataError
from iiae.settings import DataSettings
from iiae.types import Draw, Pair

FIRST_TEST_ID, AZIMUTHS, ELEVATIONS = 192, 24, 4


class CarPairs(PairSet):
    """Every (car, elevation, azimuth other than 0).

    Args:
        images: `(cars, 4, 24, side, side, 3)` bytes.
        ids: `(cars,)` numbers of the cars.
    """

    def __init__(self, images: np.ndarray, ids: np.ndarray):
        self.images, self.ids = torch.from_numpy(images), ids
        side = images.shape[3]
        self.shapes = ((3, side, side), (3, side, side))
        kinds = (len(ids), ELEVATIONS, AZIMUTHS - 1)
        self.car, self.elevation, self.azimuth = (
            torch.from_numpy(part.ravel()) for part in np.indices(kinds)
        )
        self.azimuth = self.azimuth + 1

    def __len__(self) -> int:
        return len(self.car)

    def pairs(self, draw: Draw) -> Pair:
        car, elevation = self.car[draw.indices], self.elevation[draw.indices]
        azimuth = self.azimuth[draw.indices]
        return Pair(
            *(
                side.permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous()
                for side in (self.images[car, elevation, 0], self.images[car, elevation, azimuth])
            )
        )

    def factors(self) -> dict[str, Factor]:
        return {
            "car": Factor(self.ids[self.car.numpy()], "categorical", "shared"),
            "elevation": Factor(self.elevation.numpy(), "categorical", "shared"),
            "azimuth": Factor(self.azimuth.numpy(), "categorical", "y"),
        }


def load_cars(settings: DataSettings) -> Splits:
    """Cars 1 to 191 less the validation cars (a tenth), and 192 to 199 to test.

    The file `cars64.npz` (arrays `images` and `ids`) is looked for under `settings.root`, or
    `$IIAE_DATA/cars`. `settings.size` must be the side of its images.

    Raises:
        DataError: The file is missing, damaged, or of another form.
    """
    path = _find(settings.root)
    images, ids = read_array(path, "images"), read_array(path, "ids")
    form = (len(ids), ELEVATIONS, AZIMUTHS)
    if images.ndim != 6 or images.shape[:3] != form or images.dtype != np.uint8:
        raise DataError(
            f"{path}: images are {images.dtype} {images.shape}; expected bytes {form} followed by "
            "(side, side, 3)"
        )
    if images.shape[3] != settings.size:
        raise DataError(
            f"{path}: images have side {images.shape[3]}; set data.size={images.shape[3]}"
        )
    test = ids >= FIRST_TEST_ID
    train = np.flatnonzero(~test)
    order = np.random.default_rng(settings.seed).permutation(train)
    held = settings.validation or max(1, len(train) // 10)
    parts = (np.sort(order[held:]), np.sort(order[:held]), np.flatnonzero(test))
    return Splits(*(CarPairs(images[part], ids[part]) for part in parts))


def _find(root: str | None) -> Path:
    folders = [Path(root)] if root else []
    if not root and (shared := os.environ.get("IIAE_DATA")):
        folders = [Path(shared) / "cars", Path(shared)]
    for folder in folders:
        if (folder / "cars64.npz").is_file():
            return folder / "cars64.npz"
    looked = ", ".join(map(str, folders)) or "no folder: set data.root or IIAE_DATA"
    raise DataError(f"cars64.npz is missing; looked in {looked}")
