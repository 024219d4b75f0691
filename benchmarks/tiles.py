"""What is left to see of the tiles in an image that was translated tile by tile.

    python benchmarks/tiles.py RUN --tiles 64,0 64,16 64,32 --side 1024

The image is smooth noise, unless `--image` names one; its translations are written beside `--out`.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from iiae.inference.picture_files import write_picture
from iiae.inference.tiles import Tiles, translate_tiles
from iiae.run_folder import load_run


class Seams(NamedTuple):
    """Of 255: mean difference of neighbouring pixels across seams and inside tiles, and the grid.

    `grid` is the range of mean brightness over the places in a tile, without what repeats with
    the cells of z_s and so is the network's own; the larger of rows and columns.
    """

    across: float
    inside: float
    grid: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--tiles", nargs="+", default=["64,0", "64,16", "64,32"])
    parser.add_argument("--to", choices=("x", "y"), default="y")
    parser.add_argument("--image", type=Path)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--cells", type=int, default=4, help="side of the map of z_s")
    parser.add_argument("--out", type=Path, help="folder for the translations")
    given = parser.parse_args()
    run = load_run(given.run).for_inference()
    image = picture(given.image) if given.image else noise(given.side)
    shape = run.shapes[1 if given.to == "y" else 0]
    for text in given.tiles:
        tiles = Tiles(*map(int, text.split(","))).checked()
        began = time.perf_counter()
        made = translate_tiles(run.model, image, given.to, shape, tiles)
        seconds = time.perf_counter() - began
        seen = seams(made, tiles, tiles.size // given.cells)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(
            f"tiles {text}: {seconds:.1f} s, across seams {seen.across:.2f}, inside "
            f"{seen.inside:.2f}, ratio {seen.across / seen.inside:.2f}, grid {seen.grid:.1f}; "
            f"peak so far {peak:.0f} MiB"
        )
        if given.out:
            given.out.mkdir(parents=True, exist_ok=True)
            write_picture(given.out / f"tiles-{text.replace(',', '-')}.png", made)


def picture(path: Path) -> Float[Tensor, "3 height width"]:
    """Bytes of an image file."""
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)


def noise(side: int) -> Float[Tensor, "3 side side"]:
    """Bytes of smooth noise without a place of its own, details of 16 pixels."""
    coarse = np.random.default_rng(0).integers(0, 256, (side // 16, side // 16, 3)).astype(np.uint8)
    large = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(large)).permute(2, 0, 1)


def seams(made: Float[Tensor, "bands height width"], tiles: Tiles, cell: int) -> Seams:
    """What is seen of tiles in their result; `cell` is the side of one of z_s, in its pixels."""
    values = made.numpy() * 127.5
    across, inside, grids = [], [], []
    for axis in (1, 2):
        length, apart = made.shape[axis], tiles.size - tiles.overlap
        steps = np.abs(np.diff(values, axis=axis)).mean((0, 3 - axis))
        starts = np.array([*range(0, length - tiles.size, apart), length - tiles.size])
        edges = np.unique([*starts, *(starts + tiles.size)])
        at = edges[(edges > 0) & (edges < length)] - 1
        across.append(steps[at].mean())
        inside.append(np.delete(steps, at).mean())
        grids.append(_grid(values.mean((0, 3 - axis))[tiles.size : -tiles.size], apart, cell))
    return Seams(float(np.mean(across)), float(np.mean(inside)), max(grids))


def _grid(brightness: np.ndarray, apart: int, cell: int) -> float:
    """Range over the places in a tile, less what repeats with cells where tiles are whole cells."""
    folded = brightness[: len(brightness) // apart * apart].reshape(-1, apart).mean(0)
    if apart > cell and apart % cell == 0:
        folded = (folded.reshape(-1, cell) - folded.reshape(-1, cell).mean(0)).ravel()
    return float(np.ptp(folded))


if __name__ == "__main__":
    main()
