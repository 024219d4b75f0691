"""`make demo`, as the README says, reaches what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_demo_reaches_its_numbers(tmp_path):
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    here = [f"BIN={Path(sys.executable).parent}", "-o", ".venv/ready"]  # set up already
    command = ["make", "-f", ROOT / "Makefile", *here, "demo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    demo = tmp_path / "runs" / "demo"
    assert (demo / "report.html").is_file()
    assert (demo / "translation.png").is_file()
    found = json.loads((demo / "metrics.json").read_text())["test"]
    recall = {name: way["recall@1"] for name, way in found["retrieval"].items()}
    for way in ("x_to_y", "y_to_x"):
        assert recall[f"shared_{way}"]["rate"] >= 0.95
        exclusive = recall[f"exclusive_{way}"]
        assert exclusive["low"] <= exclusive["chance"] <= exclusive["high"]
    scores = {row["factor"]: row["scores"] for row in found["readability"]}
    for domain, factor in (("x", "background colour"), ("y", "digit colour")):
        assert scores[factor][f"z_{domain}, mean"] >= 0.9
        for latent in ("mean", "active mean", "sample"):
            assert scores[factor][f"z_s given {domain}, {latent}"] <= 0.05
