"""Shapes are checked while tests run; one thread a worker keeps two cores fair."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import settings as hypothesis_settings
from jaxtyping import install_import_hook

CHECKED = (
    "types",
    "distributions",
    "objectives",
    "metrics",
    "networks",
    "model",
    "data",
    "evaluation",
    "evidence",
    "search",
    "rivals",
)
install_import_hook([f"iiae.{name}" for name in CHECKED], "shape_checker.check")

from iiae.commands.app import main  # noqa: E402

torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start

hypothesis_settings.register_profile("iiae", deadline=None, max_examples=30, derandomize=True)
hypothesis_settings.load_profile("iiae")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


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


@pytest.fixture
def iiae(monkeypatch, capsys):
    """A command, run in this process: exit code, output, errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["iiae", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return call
