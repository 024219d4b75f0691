import json

import numpy as np
import pytest

import few_pairs
from defaults import Sides
from iiae.data.missing import Sides as Has

rng = np.random.default_rng(0)


def pairs(rows):
    """Two domains of one cause; column 0 of both is the number of the row."""
    cause = rng.normal(size=(rows, 4))
    x, y = cause @ rng.normal(size=(4, 9)), cause @ rng.normal(size=(4, 7))
    return Sides(*(np.c_[np.arange(rows), side] for side in (x, y)))


def test_known_pairs_test_pairs_and_the_rest_are_disjoint():
    parts, rest = few_pairs.few(pairs(200), seed=1, count=50)
    rows = [part.x[:, 0] for part in (*parts, rest)]
    assert [len(some) for some in rows] == [45, 5, 40, 110]
    assert sorted(np.concatenate(rows)) == list(range(200))


def test_of_the_rest_no_row_keeps_its_partner():
    parts, rest = few_pairs.few(pairs(200), seed=1, count=50)
    train = few_pairs.partial_pairs(parts.train, rest)
    assert len(train) == 45
    assert [(train.sides == side).sum() for side in Has] == [45, 55, 55]


@pytest.mark.slow
def test_rows_are_kept_and_the_table_and_the_picture_have_all(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(few_pairs, "SETS", {"made": lambda data: pairs(120)})
    words = ["--data", ".", "--out", str(tmp_path), "--pairs", "30", "--seeds", "0"]
    words += ["--set", "training.epochs=2", "--picture", str(tmp_path / "few.png")]
    monkeypatch.setattr("sys.argv", ["few_pairs.py", *words])
    few_pairs.main()
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| made")]
    assert len(table) == 3 and "CCA" in table[-1]
    assert (tmp_path / "few.png").stat().st_size > 5000
    rows = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert {row["tried"] for row in rows} == {"", "training.epochs=2"}
    monkeypatch.setattr(few_pairs, "learned", lambda *_: pytest.fail("trained again"))
    few_pairs.main()
