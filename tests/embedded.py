"""A run on small images, a folder to embed with it, and a reader of what was written."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from iiae.settings import make_settings
from iiae.training import fit

IMAGES = {
    "data": {"name": "digits-cdcb", "size": 16, "limit": 100},
    "model": {"width": 4, "shared": 2, "exclusive": 3},
    "training": {"epochs": 1, "batch": 32},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("embed") / "run"
    fit(make_settings(IMAGES), path, progress=False)
    return path


@pytest.fixture
def images(tmp_path):
    """Eleven images in two folders, and one that is none."""
    rng = np.random.default_rng(0)
    for i in range(11):
        path = tmp_path / "images" / ("a b" if i % 2 else "ü") / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (20, 18, 3), np.uint8)).save(path)
    (tmp_path / "images" / "a b" / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "images" / "notes.txt").write_text("")
    return tmp_path / "images"


def read(path):
    """Paths and vectors of an output, whatever its format."""
    if path.suffix == ".parquet":
        table = pytest.importorskip("pyarrow.parquet").read_table(path)
        return table["path"].to_pylist(), np.array(table["vector"].to_pylist(), np.float32)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["path"].tolist(), arrays["vector"]
    names = path.with_name(path.name + ".paths.txt").read_text(encoding="utf-8").splitlines()
    return names, np.load(path, allow_pickle=False)
