"""`make demo`, as the README says, reaches what it says."""

import subprocess
import sys
from pathlib import Path

import pytest
from scipy.stats import binom

from iiae.results import load_results

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_demo_reaches_its_numbers(tmp_path):
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    here = [f"BIN={Path(sys.executable).parent}", "-o", ".venv/demo"]  # set up already
    command = ["make", "-f", ROOT / "Makefile", *here, "demo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    demo = tmp_path / "runs" / "demo"
    assert (demo / "report.html").is_file()
    assert (demo / "translation.png").is_file()
    evaluation = load_results(demo).test
    for way in ("x_to_y", "y_to_x"):
        shared, exclusive = (
            getattr(evaluation.retrieval, f"{z}_{way}") for z in ("shared", "exclusive")
        )
        assert shared.recall[1].rate >= 0.95
        # chance is one hit of 359: three, which a 95% interval excludes, come once in twelve
        # directions without any leak, so that the interval would fail by machine
        hits, chance = round(exclusive.recall[1].rate * evaluation.pairs), exclusive.chance[1]
        assert binom.sf(hits - 1, evaluation.pairs, chance) > 0.001
    probes = evaluation.readability.probes
    for domain, factor in (("x", "background colour"), ("y", "digit colour")):
        assert probes["means"].cells[factor][f"z_{domain}"].linear.score >= 0.9
        for matrix in probes.values():
            assert matrix.cells[factor][f"z_s given {domain}"].linear.score <= 0.05
