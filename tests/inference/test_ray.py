# ruff: noqa: F811 (fixtures that are imported)
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from embedded import images, read, run  # noqa: F401
from helpers import program
from iiae.errors import MissingExtra
from iiae.inference.embed import embed_files
from iiae.inference.ray import embed_on_ray


def start(*arguments):
    quiet = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
    return subprocess.Popen(
        program("embed_on_ray", *arguments),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **quiet},
    )  # fmt: skip


@pytest.mark.slow
def test_ray_and_one_process_write_the_same_files(run, images, tmp_path):
    pytest.importorskip("ray.data")
    names = ("z.parquet", "z.npz")
    (tmp_path / "ray").mkdir()
    process = start(run, images, *[tmp_path / "ray" / name for name in names])
    words = {"batch": 2, "shard": 3, "on_error": "skip"}
    here = [embed_files(run, images, tmp_path / name, "x", **words) for name in names]
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors[-3000:]
    for done, name in zip(here, names, strict=True):
        there = tmp_path / "ray" / name
        failed = there.with_name(f"{name}.failed.jsonl")
        assert failed.read_bytes() == done.failures.read_bytes()
        for one, other in zip(read(there), read(done.output), strict=True):
            assert np.array_equal(one, other)
    # byte for byte, as a zip, which holds times, cannot be
    assert (tmp_path / "ray" / "z.parquet").read_bytes() == here[0].output.read_bytes()


def workers_of(pid):
    """Process ids of the Ray workers that a process has started, by /proc."""
    parents, titles = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rsplit(")")[-1].split()[1]
                )
                titles[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace")

    def ours(one):
        while one in parents and one != pid:
            one = parents[one]
        return one == pid

    return [
        one for one, title in titles.items() if "ray::" in title and "Shard" in title and ours(one)
    ]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers in /proc")
def test_a_worker_killed_in_the_middle_loses_nothing(run, images, tmp_path):
    pytest.importorskip("ray.data")
    source = tmp_path / "many"
    for i in range(60):
        shutil.copytree(images, source / f"{i:02d}")
    here = embed_files(
        run, source, tmp_path / "here.parquet", "x", batch=2, shard=3, on_error="skip"
    )
    output = tmp_path / "ray.parquet"
    process = start(run, source, output)
    parts = output.with_name("ray.parquet.parts")
    killed = []
    while process.poll() is None and not killed:
        if parts.is_dir() and len(list(parts.glob("*.npz"))) > 3:
            for worker in workers_of(process.pid)[:1]:
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)
        time.sleep(0.01)
    _, errors = process.communicate(timeout=300)
    assert killed, errors[-3000:]
    assert process.returncode == 0, errors[-3000:]
    assert output.read_bytes() == here.output.read_bytes()
    assert here.failed == 60


def test_without_ray_the_extra_is_named(run, images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'iiae\[ray\]'"):
        embed_files(run, images, tmp_path / "z.npz", "x", engine=embed_on_ray(2))
