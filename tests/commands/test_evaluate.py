import json


def test_a_run_is_evaluated_and_reported(digits_run, run_iiae):
    done = run_iiae("evaluate", digits_run)
    assert done.returncode == 0, done.stderr
    assert "Instance retrieval among 359 items" in done.stdout
    found = json.loads(run_iiae("evaluate", digits_run, "--json", "--split", "validation").stdout)
    assert found["pairs"] == 179
    assert json.loads((digits_run / "metrics.json").read_text())["test"]["pairs"] == 359

    done = run_iiae("report", digits_run)
    assert done.returncode == 0, done.stderr
    assert (digits_run / "report.html").stat().st_size > 50_000
