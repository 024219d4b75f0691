"""Wheel and sdist: what is in them, and that the wheel does its work without any extra.

The clean environment holds links to the packages that the wheel requires, and to what those
require in turn; nothing else that is installed here can be imported in it.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tarfile
import time
import venv
import zipfile
from importlib.metadata import PathDistribution, distribution
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from helpers import save_run

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
    names = {
        n.removeprefix("iiae/") for n in zipfile.ZipFile(wheel).namelist() if n.startswith("iiae/")
    }
    assert tracked("src/iiae") <= names
    assert "py.typed" in names


def test_the_sdist_holds_what_tests_and_experiments_need(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in archive.getnames()}
    for folder in ("experiments", "tests", "docs", "benchmarks", "studies"):
        assert {f"{folder}/{name}" for name in tracked(folder)} <= names
    assert {"LICENSE", "CITATION.cff", "Makefile", "scripts/check"} <= names


def required(one, extras=(), packages=None):
    """Distributions that one requires, and what those require; itself left out."""
    packages = {} if packages is None else packages
    for line in one.requires or []:
        needed = Requirement(line)
        wanted = needed.marker is None or any(
            needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)
        )
        if wanted and needed.name not in packages:
            packages[needed.name] = distribution(needed.name)
            required(packages[needed.name], needed.extras, packages)
    return packages


def environment(folder, built, extras=()):
    """The scripts of an environment with the wheel and what it requires."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (wheel,) = built.glob("*.whl")
    (about,) = (one for one in zipfile.Path(wheel).iterdir() if one.name.endswith(".dist-info"))
    for package in required(PathDistribution(about), extras).values():
        for top in {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(package.locate_file(top))
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python"]
    run(*pip, "install", "--no-index", "--no-deps", "--quiet", wheel)
    assert "No broken requirements" in run(*pip, "check")
    return folder / "bin"


@pytest.fixture(scope="module")
def clean(built, tmp_path_factory):
    return environment(tmp_path_factory.mktemp("clean"), built)


def test_every_extra_that_is_named_is_one_of_the_wheel(built):
    (wheel,) = built.glob("*.whl")
    (about,) = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("/METADATA")]
    lines = zipfile.ZipFile(wheel).read(about).decode().splitlines()
    key = "Provides-Extra: "
    provided = {line.removeprefix(key) for line in lines if line.startswith(key)}
    pages = [ROOT / name for name in ("README.md", "Makefile", "Dockerfile")]
    text = "".join(page.read_text() for page in [*pages, *(ROOT / "docs").rglob("*.md")])
    listed = re.findall(r"(?:iiae|\.whl|'\.|\"\.)\[([\w,]+)\]", text)
    named = {extra for some in listed for extra in some.split(",")}
    table = (ROOT / "docs" / "quickstart.md").read_text().partition("| extra | for |")[2]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    described = set(re.findall(r"`(\w+)`", "".join(rows)))
    assert {"report", "sklearn", "search", "web", "omics"} <= named <= provided
    assert described == provided - {"dev", "docs"}


def instruction(name):
    """The words of an instruction of the Dockerfile; CMD of the health check is indented."""
    text = (ROOT / "Dockerfile").read_text()
    (words,) = re.findall(rf"^{name} (\[.*\])$", text, re.MULTILINE)
    return json.loads(words)


def test_the_image_s_command_serves_a_run_and_its_health_check_passes(built, tmp_path):
    """Without a daemon: the same words in an environment that holds what the image installs."""
    pytest.importorskip("lancedb")
    scripts = environment(tmp_path / "image", built, ("search", "web"))
    save_run(tmp_path / "run")
    entry, given, check = map(instruction, ("ENTRYPOINT", "CMD", "  CMD"))
    assert entry == ["iiae", "serve"]
    mounts = re.findall(r":(/\S+):ro", (ROOT / "Dockerfile").read_text())
    assert {given[0]} == set(mounts) != {"/run"}  # read-only, it would keep runtimes out
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    words = [scripts / entry[0], *entry[1:], tmp_path / "run", *given[1:], "--port", port]
    log = tmp_path / "log"
    with log.open("w") as errors:
        kept["IIAE_TOKEN"] = "s3cret"  # others can reach the server
        server = subprocess.Popen(words, env=kept, cwd=tmp_path, stderr=errors)
    try:
        code = check[2].replace("8000", port)
        ask = [scripts / check[0], *check[1:2], code]
        for _ in range(120):
            done = subprocess.run(ask, env=kept, capture_output=True, text=True)
            if done.returncode == 0 or server.poll() is not None:
                break
            time.sleep(1)
        assert server.poll() is None and done.returncode == 0, log.read_text() + done.stderr
    finally:
        server.terminate()
    assert server.wait(60) == 0  # as an orchestrator stops it


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
