"""Items a second of `embed_files` beside the model's own, on JPEG files.

    python benchmarks/embedding.py [--items 1000] [--family image-map] [--size 256] [--ray]

The model is untrained: its numbers cost what a trained one's do. Set OMP_NUM_THREADS to what
the model may use; one thread more decodes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from iiae.inference.embed import embed_files, embed_here
from iiae.inference.ray import embed_on_ray
from iiae.model.build import build_model
from iiae.model.columns import block_columns
from iiae.run_folder import MODEL, load_run, save_settings, save_weights
from iiae.settings import make_settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--family", default="image-map")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--ray", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), given)


def compare(folder: Path, given: argparse.Namespace) -> None:
    shape = (3, given.size, given.size)
    settings = make_settings({"data": {"name": "arrays"}, "model": {"family": given.family}})
    model = build_model(settings.model, settings.objective, (shape, shape))
    save_settings(folder / "run", settings)
    save_weights(folder / "run" / MODEL, model.state_dict(), (shape, shape))
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    for i in range(given.items):
        coarse = Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8))
        coarse.resize((300, 280)).save(folder / "images" / f"{i:06d}.jpg", quality=90)
    model = load_run(folder / "run").model
    batch = torch.randn(given.batch, *shape)
    block_columns(model, batch, "x", "shared")
    times = []
    for _ in range(max(10, given.items // given.batch)):
        started = time.perf_counter()
        block_columns(model, batch, "x", "shared")
        times.append(time.perf_counter() - started)
    alone = given.batch / (sum(times) / len(times))
    print(f"model alone, {torch.get_num_threads()} threads: {alone:.0f} items/s")
    engines = {"one process": embed_here} | (
        {"ray, 2 actors": embed_on_ray(2)} if given.ray else {}
    )
    for name, engine in engines.items():
        started = time.perf_counter()
        embed_files(
            folder / "run", folder / "images", folder / f"{name}.npz", "x",
            batch=given.batch, shard=8 * given.batch, engine=engine,
        )  # fmt: skip
        rate = given.items / (time.perf_counter() - started)
        print(f"embed_files, {name}: {rate:.0f} items/s, {100 * rate / alone:.0f}% of the model's")


if __name__ == "__main__":
    main()
