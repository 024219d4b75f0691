"""The demo as one command, short: its numbers are held by tests/test_demo.py."""

import pytest


@pytest.mark.slow
def test_the_demo_ends_with_a_verdict_a_report_and_the_command_of_the_page(tmp_path, iiae):
    pytest.importorskip("lancedb")
    out = tmp_path / "demo"
    short = ("--set", "training.epochs=1", "--set", "model.width=8", "--set", "data.limit=200")
    code, text, err = iiae("demo", "--out", out, *short)
    assert code == 0, err
    assert "finds partners: " in text and str(out / "report.html") in text
    assert f"next: iiae serve {out} --gallery {out / 'gallery'}" in err
    assert (out / "report.html").is_file() and (out / "translation.png").is_file()
    assert "What leaked" in (out / "report.html").read_text(encoding="utf-8")
    assert len(list((out / "collection" / "y").iterdir())) == 10  # a folder a digit
    code, _, err = iiae("demo", "--out", out, *short)
    assert code == 2 and "holds" in err
    code, _, err = iiae("demo", "--out", out, "--overwrite", *short, "--set", "training.seed=1")
    assert code == 0, err  # the gallery of the weights before is replaced
