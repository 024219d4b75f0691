"""Files translated a second, against the model alone on batches that are already tensors.

python benchmarks/translating.py --size 256 --count 1000
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from iiae.inference.translate import BATCH, TranslationOutputs, translate_files
from iiae.model.build import build_model
from iiae.model.translation import translate
from iiae.run_folder import StoredRun
from iiae.settings import make_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    shape = (3, given.size, given.size)
    model = {"family": "image-map", "shared": 128} if given.size > 64 else {"shared": 16}
    settings = make_settings({"data": {"name": "side-by-side", "size": given.size}, "model": model})
    network = build_model(settings.model, settings.objective, (shape, shape)).eval()
    run = StoredRun(Path("."), settings, network, (shape, shape))
    with tempfile.TemporaryDirectory() as folder:
        _write_images(Path(folder) / "in", given.count, given.size)
        for turn in range(given.rounds):
            alone = _alone(run, shape, given.count)
            began = time.perf_counter()
            outputs = TranslationOutputs(folder=Path(folder) / f"out{turn}")
            translate_files(run, [Path(folder) / "in"], "y", outputs)
            files = given.count / (time.perf_counter() - began)
            print(
                f"round {turn + 1}: model alone {alone:.1f} images/s, files {files:.1f} images/s, "
                f"ratio {files / alone:.3f} ({torch.get_num_threads()} threads)"
            )


def _alone(run: StoredRun, shape: tuple[int, ...], count: int) -> float:
    batch = torch.rand(BATCH, *shape) * 2 - 1
    translate(run.model, batch, "y")
    began = time.perf_counter()
    steps = max(1, count // BATCH // 4)
    for _ in range(steps):
        translate(run.model, batch, "y")
    return steps * BATCH / (time.perf_counter() - began)


def _write_images(folder: Path, count: int, size: int) -> None:
    """JPEGs of the size that the model takes, with the detail of photographs."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = rng.integers(0, 256, (size // 8, size // 8, 3)).astype(np.uint8)
        picture = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        picture.save(folder / f"{i:04d}.jpg", quality=90)


if __name__ == "__main__":
    main()
