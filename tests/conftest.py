"""Shapes are checked while tests run; one thread a worker keeps the cores fair."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import settings as hypothesis_settings
from jaxtyping import config, install_import_hook
from threadpoolctl import threadpool_limits

SOURCE = Path(__file__).parents[1] / "src"
MODULES = (
    ".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in SOURCE.rglob("*.py")
)
# Typer passes None for an option that is not there yet; a member of a zip file is no `IO[bytes]`;
# scikit-learn's estimators check what they are given themselves.
UNCHECKED = ("iiae.commands.", "iiae.files.vectors", "iiae.estimator")
CHECKED = [name for name in MODULES if not name.startswith(UNCHECKED)]
install_import_hook(CHECKED, "shape_checker.check")

from iiae.commands.app import main  # noqa: E402
from iiae.run import fit  # noqa: E402

torch.set_num_threads(1)
threadpool_limits(1)  # of what is loaded, NumPy's among it
os.environ["OMP_NUM_THREADS"] = "1"  # of what is loaded later, and of processes that tests start

hypothesis_settings.register_profile("iiae", deadline=None, max_examples=30, derandomize=True)
hypothesis_settings.load_profile("iiae")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def shapes_unchecked(monkeypatch):
    """What a user of the library meets, who has no checks of shapes."""
    monkeypatch.setattr(config, "jaxtyping_disable", True)


@pytest.fixture
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("IIAE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("IIAE_DATA names no folder of real data")
    return Path(folder)


@pytest.fixture
def experiments():
    """The folder of settings files."""
    return Path(__file__).parents[1] / "experiments"


@pytest.fixture(scope="session")
def iiae():
    """A command, run in this process: exit code, output, errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
        with (
            patch.object(sys, "argv", ["iiae", *map(str, arguments)]),
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as end,
        ):
            main()
        return end.value.code, *(stream.seek(0) or stream.read() for stream in (out, err))

    return call


@pytest.fixture(scope="session")
def run_of_batches(tmp_path_factory):
    """A run whose networks are given a batch, and its x."""
    folder = tmp_path_factory.mktemp("batches")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 6)).astype(np.float32)
    batch = np.array(["one", "two"] * 30)
    done = fit(x, x[:, :4], folder / "run", covariates={"batch": batch}, epochs=1, progress=False)
    np.save(folder / "x.npy", x)
    return done, x, batch


@pytest.fixture(scope="session")
def banded_run(tmp_path_factory):
    """A run on images of five bands and of two, and their folder."""
    folder = tmp_path_factory.mktemp("bands")
    rng = np.random.default_rng(0)
    for name, bands in (("x", 5), ("y", 2)):
        (folder / name).mkdir()
        for i in range(40):
            image = rng.integers(65536, size=(16, 16, bands), dtype=np.uint16)
            np.save(folder / name / f"{i}.npy", image)
    given = {"data.bands": [5, 2], "data.size": 16, "model.width": 4, "training.batch": 8}
    done = fit(folder / "x", folder / "y", folder / "run", epochs=1, progress=False, settings=given)
    return done, folder
