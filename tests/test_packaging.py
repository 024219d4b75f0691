"""Wheel and sdist: what is in them, and that the wheel does its work without any extra.

The clean environment holds links to the packages that the wheel requires, and to what those
require in turn; nothing else that is installed here can be imported in it.
"""

import os
import subprocess
import sys
import tarfile
import venv
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
IN_EXTRAS = ("sklearn", "matplotlib", "pyarrow", "transformers", "lancedb", "fastapi")

pytestmark = pytest.mark.slow


def run(*words, **options):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    pytest.importorskip("build")
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, cwd=ROOT)
    return out


def tracked(folder):
    return {
        Path(line).relative_to(folder).as_posix()
        for line in run("git", "ls-files", folder, cwd=ROOT).splitlines()
        if (ROOT / line).exists()
    }


def test_the_wheel_holds_every_file_of_the_package(built):
    (wheel,) = built.glob("*.whl")
    names = {n.removeprefix("iiae/") for n in ZipFile(wheel).namelist() if n.startswith("iiae/")}
    assert tracked("src/iiae") <= names
    assert "py.typed" in names


def test_the_sdist_holds_what_tests_and_experiments_need(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in archive.getnames()}
    for folder in ("experiments", "tests", "docs", "benchmarks", "studies"):
        assert {f"{folder}/{name}" for name in tracked(folder)} <= names
    assert {"LICENSE", "CITATION.cff", "Makefile", "scripts/check"} <= names


def required(name, extras=(), packages=None):
    """Distributions that one requires, and what those require; itself left out."""
    packages = {} if packages is None else packages
    for line in distribution(name).requires or []:
        needed = Requirement(line)
        wanted = needed.marker is None or any(
            needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)
        )
        if wanted and needed.name not in packages:
            packages[needed.name] = distribution(needed.name)
            required(needed.name, needed.extras, packages)
    return packages


@pytest.fixture(scope="module")
def clean(built, tmp_path_factory):
    """The scripts of an environment with the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for package in required("iiae").values():
        for top in {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(package.locate_file(top))
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
    run(*pip, "install", "--no-index", "--no-deps", "--quiet", wheel)
    assert "No broken requirements" in run(*pip, "check")
    return folder / "bin"


def test_the_wheel_trains_and_evaluates_without_an_extra(clean, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    options = {"cwd": tmp_path, "env": environment}
    listed = "; ".join(f"assert find_spec({name!r}) is None, {name!r}" for name in IN_EXTRAS)
    run(clean / "python", "-c", f"from importlib.util import find_spec; {listed}", **options)
    where = run(clean / "python", "-c", "import iiae; print(iiae.__file__)", **options)
    assert where.startswith(str(clean.parent))
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(300, 4))
    for side in "xy":
        own = np.hstack([shared, rng.normal(size=(300, 2))])
        np.save(tmp_path / f"{side}.npy", own @ rng.normal(size=(6, 20)))
    assert "train" in run(clean / "iiae", "--help", **options)
    made = run(
        clean / "iiae", "train", "--x", "x.npy", "--y", "y.npy", "--out", "run",
        "--set", "training.epochs=2", **options,
    )  # fmt: skip
    assert "wrote run" in made
    assert "Recall@1" in run(clean / "iiae", "evaluate", "run", **options)
    assert (tmp_path / "run" / "metrics.json").is_file()
