"""In a process of its own: the shape checks of the other tests break torch.compile."""

import shutil
import subprocess

import pytest

from helpers import program


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_the_compiled_loss_equals_the_plain_one(tmp_path):
    done = subprocess.run(program("compiled_loss"), capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
