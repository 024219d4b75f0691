import json


def test_a_run_is_evaluated_and_reported(digits_run, iiae):
    code, out, err = iiae("evaluate", digits_run)
    assert code == 0, err
    assert out.index("finds partners:") < out.index("Instance retrieval among 359 items")
    rows = [line for line in out.splitlines() if "│" in line]
    assert "95% CI" in out and rows and not any(" [" in row for row in rows)
    found = json.loads(iiae("evaluate", digits_run, "--json", "--split", "validation")[1])
    assert found["pairs"] == 179
    assert json.loads((digits_run / "metrics.json").read_text())["test"]["pairs"] == 359

    code, _, err = iiae("report", digits_run)
    assert code == 0, err
    assert (digits_run / "report.html").stat().st_size > 50_000
