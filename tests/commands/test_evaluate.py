import json

import pytest
import torch
from torch import nn

from helpers import small_settings
from iiae.data import load
from iiae.evidence.collect import evidence_of_run
from iiae.report.verdict import verdict
from iiae.results import Results, load_results
from iiae.run_folder import load_run
from iiae.training import fit


def test_a_run_is_evaluated_and_reported(digits_run, iiae):
    code, out, err = iiae("evaluate", digits_run)
    assert code == 0, err
    assert out.index("finds partners:") < out.index("Instance retrieval among 359 items")
    rows = [line for line in out.splitlines() if "│" in line]
    assert "95% CI" in out and rows and not any(" [" in row for row in rows)
    printed = json.loads(iiae("evaluate", digits_run, "--json", "--split", "validation")[1])
    assert printed["pairs"] == 179
    assert json.loads((digits_run / "metrics.json").read_text())["test"]["pairs"] == 359

    code, _, err = iiae("report", digits_run)
    assert code == 0, err
    assert (digits_run / "report.html").stat().st_size > 50_000


@pytest.fixture(scope="module")
def hasty_run(tmp_path_factory):
    """A features run that was stopped after two epochs."""
    return fit(small_settings(), tmp_path_factory.mktemp("hasty") / "run", progress=False).folder


def test_a_run_that_was_stopped_too_soon_reads_like_one(hasty_run, iiae):
    first = iiae("evaluate", hasty_run)[1].splitlines()[0]
    assert first.startswith("FAIL    finds partners: ")
    code, out, err = iiae("disentangle", hasty_run, "--null", 1)
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("FAIL    finds partners: ")
    assert [line[8:].partition(":")[0] for line in lines if line[:7].strip().isupper()][:4] == [
        "finds partners",
        "nothing exclusive in z_s",
        "nothing shared in z_x, z_y",
        "styles differ",
    ]
    assert "train longer (training.epochs)" in " ".join(out.split())
    assert "Trained anew for 1 epochs" in " ".join(out.split())
    stored = load_results(hasty_run).evidence
    assert stored.null.epochs == 1
    assert len(stored.null.shuffled) == 1
    assert stored.matching.pairs == 60
    assert set(stored.gains) == {"means", "active means", "samples"}


def test_a_run_whose_draws_are_all_alike_reads_like_one(hasty_run):
    stored = load_run(hasty_run)
    with torch.no_grad():
        for decoder in (stored.model.decoder_x, stored.model.decoder_y):
            next(m for m in decoder.modules() if isinstance(m, nn.Linear)).weight.zero_()
    verdicts = verdict(Results(evidence=evidence_of_run(stored, load(stored.settings.data))))
    assert verdicts[3].mark == "fail"
    assert "differ by 0.00" in verdicts[3].sentence


def test_latents_without_a_model_have_no_null(tmp_path, iiae):
    code, _, err = iiae("disentangle", "--latents", tmp_path / "z.npz", "--null", 3)
    assert code == 2
    assert "--latents have no model" in err


def test_degraded_copies_stand_beside_clean_images(digits_run, iiae):
    code, out, err = iiae("evaluate", digits_run, "--degrade")
    assert code == 0, err
    assert "Recall@1 of clean images and of degraded copies" in out
    printed = json.loads(iiae("evaluate", digits_run, "--degrade", "--json")[1])
    assert printed["degraded"] != printed["retrieval"]
    assert printed["degraded"]["shared_x_to_y"]["recall"].keys() == {
        *printed["retrieval"]["shared_x_to_y"]["recall"]
    }
    assert json.loads(iiae("evaluate", digits_run, "--json")[1])["degraded"] is None
