import re
import sys

import pytest
import torch

import iiae
from iiae.data import load
from iiae.errors import MissingExtra
from iiae.evaluation.evaluate import evaluate
from iiae.evidence.collect import evidence_of_run
from iiae.report.page import write_report
from iiae.run_folder import save_metrics
from iiae.settings import make_settings
from iiae.training import fit


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    settings = make_settings(
        {
            "title": "A <title> & more",
            "data": {
                "name": "digits-cdcb",
                "names": ["white", "coloured"],
                "size": 16,
                "limit": 100,
            },
            "model": {"width": 4, "shared": 2, "exclusive": 2},
            "training": {"epochs": 2, "batch": 32},
        }
    )
    return fit(settings, tmp_path_factory.mktemp("run"), progress=False)


def test_the_page_is_complete_and_stands_alone(run, tmp_path):
    pairs = load(run.settings.data).test
    save_metrics(run.folder, "test", evaluate(run, pairs))
    page = write_report(run, pairs, tmp_path / "report.html").read_text(encoding="utf-8")
    order = (
        "A &lt;title&gt; &amp; more", "finds partners", "Search: from white to coloured",
        "What the names mean here", "Analogies: coloured", "Translation: white to coloured",
        "What each latent predicts", "What is shared", "Use this model", "Learning",
        "Reconstruction", "All numbers", "Instance retrieval among 359 items", "How it was trained",
        "Settings", f"by iiae {iiae.__version__}",
    )  # fmt: skip
    places = [page.find(part) for part in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", page)
    assert page.count("<img") == page.count('alt="') > 40
    assert "shared, white to coloured" in page and "shared, x to y" not in page


def test_numbers_and_settings_are_folded_and_pictures_are_not(run, tmp_path):
    pairs = load(run.settings.data).test
    save_metrics(run.folder, "test", evaluate(run, pairs))
    page = write_report(run, pairs, tmp_path / "report.html").read_text(encoding="utf-8")
    unfolded = re.sub(r"<details.*?</details>", "", page, flags=re.DOTALL)
    assert "<table" not in unfolded and "[objective]" not in unfolded
    assert unfolded.count("<img") == page.count("<img")


@pytest.mark.slow
def test_evidence_is_told_in_words_and_drawn(run, tmp_path):
    data = load(run.settings.data)
    save_metrics(run.folder, "test", evaluate(run, data.test))
    save_metrics(run.folder, "evidence", evidence_of_run(run, data))
    page = write_report(run, data.test, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "By active means:" in page
    assert (
        page.index("What each latent predicts") < page.index("What leaked") < page.index("Leakage,")
    )
    assert "z_s holds at most" in page and "only white holds" in page


def test_a_missing_extra_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"iiae report needs the extra 'report'"):
        write_report(run, load(run.settings.data).test, tmp_path / "report.html")
