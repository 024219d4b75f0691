import json


def test_a_run_is_evaluated_and_reported(digits_run, iiae):
    code, out, err = iiae("evaluate", digits_run)
    assert code == 0, err
    assert "Instance retrieval among 359 items" in out
    found = json.loads(iiae("evaluate", digits_run, "--json", "--split", "validation")[1])
    assert found["pairs"] == 179
    assert json.loads((digits_run / "metrics.json").read_text())["test"]["pairs"] == 359

    code, _, err = iiae("report", digits_run)
    assert code == 0, err
    assert (digits_run / "report.html").stat().st_size > 50_000


def test_degraded_copies_stand_beside_clean_images(digits_run, iiae):
    code, out, err = iiae("evaluate", digits_run, "--degrade")
    assert code == 0, err
    assert "Recall@1 of clean images and of degraded copies" in out
    found = json.loads(iiae("evaluate", digits_run, "--degrade", "--json")[1])
    assert found["degraded"] != found["retrieval"]
    assert found["degraded"]["shared_x_to_y"]["recall"].keys() == {
        *found["retrieval"]["shared_x_to_y"]["recall"]
    }
    assert json.loads(iiae("evaluate", digits_run, "--json")[1])["degraded"] is None
