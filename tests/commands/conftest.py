"""A run on small images, trained by the command."""

import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def run_iiae():
    """A command in a process of its own."""

    def run(*arguments, cwd=None):
        code = "from iiae.commands.app import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
        )

    return run


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory, run_iiae):
    folder = tmp_path_factory.mktemp("commands")
    (folder / "digits.toml").write_text(
        'title = "digits"\n[data]\nname = "digits-cdcb"\nsize = 16\nlimit = 100\n'
        "[model]\nwidth = 4\nshared = 2\nexclusive = 2\n[training]\nepochs = 1\nbatch = 32\n"
    )
    done = run_iiae("train", folder / "digits.toml", "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    assert "next: iiae evaluate" in done.stdout
    return folder / "run"


@pytest.fixture
def digits(tmp_path, run_iiae):
    """A folder with three digit pairs, in x/ and y/."""
    done = run_iiae("data", "digits-cdcb", "--export", tmp_path, "--count", 3, "--size", 16)
    assert done.returncode == 0, done.stderr
    return tmp_path
