import json

import numpy as np
import pytest

import defaults

rng = np.random.default_rng(0)


def pairs(rows=200):
    """Two domains of one cause, each with noise of its own in other columns."""
    cause = rng.normal(size=(rows, 4))
    x = np.hstack([cause @ rng.normal(size=(4, 12)), 3 * rng.normal(size=(rows, 5))])
    y = np.hstack([cause @ rng.normal(size=(4, 9)) * 100, 3 * rng.normal(size=(rows, 5))])
    return defaults.Sides(x, y)


def test_parts_are_disjoint_and_keep_partners_together():
    every = np.arange(100.0)[:, None]
    parts = defaults.split(defaults.Sides(every, every * 2), 3)
    rows = np.concatenate([part.x[:, 0] for part in parts])
    assert sorted(rows) == list(range(100))
    assert [len(part.x) for part in parts] == [72, 8, 20]
    assert all(np.array_equal(part.x * 2, part.y) for part in parts)


def test_measures_by_hand():
    distance = np.array([[0.0, 1.0, 2.0], [0.5, 1.0, 2.0], [0.0, 1.0, 2.0]])
    assert defaults.foscttm(distance) == pytest.approx(3 / 9)
    far = np.subtract.outer(np.arange(20.0), 19 - np.arange(20.0)) ** 2
    slow = np.mean([sum(row < row[i]) < 10 for i, row in enumerate(far)])
    assert defaults.recall_at_10(far) == slow < 1
    truth = rng.normal(size=(50, 2))
    assert defaults.correlation(truth * 3 + 1, truth) == pytest.approx(1)
    assert defaults.correlation(np.ones((50, 2)), truth) == 0


@pytest.mark.parametrize("method", ["CCA", "PLS", "ridge"])
def test_rivals_find_what_is_linear(method):
    parts = defaults.split(pairs(), 0)
    values = defaults.measured(defaults.METHODS[method](parts, 0), parts.test)
    if method == "ridge":
        assert values["r of y"] > 0.5
    else:
        assert values["foscttm x to y"] < 0.15 < 0.5
        assert values["recall@10 x to y"] > 0.6


@pytest.mark.slow
def test_rows_are_kept_and_the_table_has_all(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(defaults.SETS, "made", lambda data: pairs(80))
    words = ["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--sets", "made"]
    monkeypatch.setattr("sys.argv", ["defaults.py", *words, "--seeds", "0"])
    defaults.main()
    table = capsys.readouterr().out
    assert [line.split(" | ")[1] for line in table.splitlines() if line.startswith("| made")] == [
        "CCA",
        "InfoNCE",
        "PLS",
        "deep CCA",
        "iiae",
        "ridge",
    ]
    row = json.loads((tmp_path / "out" / "made-iiae-0.json").read_text())
    assert row["foscttm x to y"] < 0.4
    monkeypatch.setitem(defaults.METHODS, "iiae", lambda *_: pytest.fail("trained again"))
    defaults.main()
