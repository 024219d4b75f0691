import re
import sys

import pytest
import torch
from PIL import Image

from iiae.data import load
from iiae.errors import MissingExtra
from iiae.evaluation.evaluate import evaluate
from iiae.evidence.collect import prove_run
from iiae.report import page as report
from iiae.report.page import write_report
from iiae.run_folder import save_metrics
from iiae.settings import make_settings
from iiae.training import fit
from iiae.types import Draw


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    settings = make_settings(
        {
            "title": "A <title> & more",
            "data": {"name": "digits-cdcb", "size": 16, "limit": 100},
            "model": {"width": 4, "shared": 2, "exclusive": 2},
            "training": {"epochs": 2, "batch": 32},
        }
    )
    return fit(settings, tmp_path_factory.mktemp("run"), progress=False)


def blank():
    return Image.new("RGB", (4, 4))


def test_the_page_is_complete_and_stands_alone(run, tmp_path):
    pairs = load(run.settings.data).test
    save_metrics(run.folder, "test", evaluate(run, pairs))
    page = write_report(run, pairs, tmp_path / "report.html").read_text(encoding="utf-8")
    for part in (
        "Instance retrieval among 359 items", "What can be read linearly", "Reconstruction",
        "Translation, y to x", "Analogies in x", "Learning", "information_bound",
        "A &lt;title&gt; &amp; more", "What is shared", "z_x: ",
    ):  # fmt: skip
        assert part in page or part.replace("_", " ") in page, part
    assert not re.search(r"(src|href)=[\"'](?!data:)", page)
    assert page.count("<img") == page.count('alt="') == 6


def test_pictures_are_of_pairs_drawn_from_the_whole_set(run, monkeypatch):
    shown = []
    pairs = load(run.settings.data).test
    monkeypatch.setattr(report, "_reconstruction", lambda run, pair: shown.append(pair) or blank())
    monkeypatch.setattr(report, "_translation", lambda *_: blank())
    monkeypatch.setattr(report, "_analogies", lambda *_: blank())
    for _ in range(2):
        report._pictures(run, pairs)
    assert torch.equal(shown[0].x, shown[1].x)
    first = pairs.pairs(Draw(torch.arange(8)))
    assert shown[0].x.shape == first.x.shape
    assert not torch.equal(shown[0].x, first.x)


@pytest.mark.slow
def test_evidence_is_told_in_words_and_drawn(run, tmp_path):
    data = load(run.settings.data)
    save_metrics(run.folder, "test", evaluate(run, data.test))
    save_metrics(run.folder, "evidence", prove_run(run, data))
    page = write_report(run, data.test, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "By active means:" in page
    assert page.index("What leaked") < page.index("What each latent tells") < page.index("Leakage,")
    assert page.count("<img") == page.count('alt="') == 7


def test_a_missing_extra_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"iiae report needs the extra 'report'"):
        write_report(run, load(run.settings.data).test, tmp_path / "report.html")
