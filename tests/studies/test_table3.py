import json

import numpy as np
import pytest

import table3
import table3_rows
from studies_world import CLASSES, write_features

GIVEN = ["{protocol}-{split}.npz", "--semantics", "semantics.npz", "--out", "out", "--quick"]
PART = ["--protocols", "apart", "--splits", "split.txt"]


def rows(name="rows"):
    return table3_rows.read_rows(table3.Path("out") / f"{name}.jsonl")


def test_every_method_has_a_row_in_one_table(world, capsys):
    table3.main([*GIVEN, *PART])
    table = capsys.readouterr().out
    assert "split.txt, features taught apart (24 queries; 10 held-out seen classes" in table
    for name in (
        "CCA-64",
        "SAE",
        "FRWGAN",
        "ZSIH",
        "CAAE",
        "SEM-PCYC",
        "LCALE",
        "joint VAE",
        "IIAE",
    ):
        assert f"\n| {name} | " in table
    assert "| SEM-PCYC | word vectors, WordNet | 64 | euclidean | 1 | " in table
    assert "| SEM-PCYC | word vectors, WordNet | 64 | cosine | 1 | " in table
    assert "| 0.573 / 0.659 |" in table
    sae = next(row for row in rows() if row["method"] == "SAE")
    (reading,) = sae["readings"]
    assert np.mean(reading["map@all"]) > 0.8 > 0.5 > reading["chance map@all"]


def test_a_rerun_measures_only_rows_that_are_missing(world, monkeypatch):
    chosen = ["--methods", "SAE", "CCA-64"]
    table3.main([*GIVEN, *PART, *chosen])
    before = rows()
    with open("out/rows.jsonl", "a") as file:
        file.write('\n{"protocol": "apart", "split": "spl')  # a run that was stopped
    measured = []
    real = table3.measure

    def counted(part, method, *rest):
        measured.append(method.name)
        return real(part, method, *rest)

    monkeypatch.setattr(table3, "measure", counted)
    table3.main([*GIVEN, *PART, *chosen, "PCA-64", "LCALE"])
    assert measured == ["LCALE"]  # features of two widths have no principal components in common
    assert rows()[:2] == before
    assert len(rows()) == 3
    write_features("apart-split.txt.npz", "apart", seed=1)
    table3.main([*GIVEN, *PART, "--methods", "SAE"])
    assert measured == ["LCALE", "SAE"]  # other features, another row


def test_settings_are_chosen_on_held_out_seen_classes_alone(world):
    """Of four trials; unseen classes that are changed beyond recognition change no choice."""
    chosen = ["--methods", "SAE", "--search"]
    table3.main([*GIVEN, *PART, *chosen])
    trials = rows("trials")
    assert sorted(t["settings"]["lam"] for t in trials) == [1e-4, 0.01, 1.0, 100.0]
    best = max(trials, key=lambda trial: trial["map@all"])["settings"]
    assert json.loads((world / "out/chosen-apart-split.txt.json").read_text()) == {"SAE": best}
    assert rows()[0]["settings"] == best
    arrays = dict(np.load("apart-split.txt.npz"))
    unseen = np.isin(arrays["photo_classes"], CLASSES[::6])
    arrays["photo_features"][unseen] *= -3
    np.savez("apart-split.txt.npz", **arrays)
    table3.main([*GIVEN, *PART, *chosen])
    again = rows("trials")[4:]
    assert [t["map@all"] for t in again] == [t["map@all"] for t in trials]
    assert rows()[1]["readings"] != rows()[0]["readings"]


def test_a_method_of_one_s_own_is_one_more_row(world, capsys):
    (world / "mine.py").write_text(
        "from iiae.rivals.interface import Maps, Rival\n"
        "from iiae.rivals.baselines import NoSettings\n"
        "MINE = Rival('mine', (), NoSettings, lambda seen, s: Maps(lambda x: x[:, :9],"
        " lambda y: y[:, :9]))\n"
    )
    table3.main([*GIVEN, *PART, "--method", "mine.py:MINE", "--methods", "mine", "CCA-64"])
    assert "| mine | none | 9 | cosine | 1 | " in capsys.readouterr().out


def test_the_table_is_drawn(world):
    pytest.importorskip("matplotlib")
    table3.main([*GIVEN, *PART, "--methods", "SAE", "CCA-64", "--picture", "table.png"])
    assert (world / "table.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--protocols", "joint"], "features are apart, and joint was asked for"),
        (["--methods", "SEA"], "no row is called SEA; there are"),
        (["--semantics", "few.npz"], "no semantics for class c"),
        (["--splits", "all.txt"], "cannot give 10 for validation"),
        (["--method", "none.py:X"], "expected FILE.py:NAME"),
        (["--method", "empty.py:X"], "X is no `iiae.rivals.interface.Rival`"),
    ],
)
def test_wrong_input_ends_in_one_line(world, changed, message):
    write_features("joint-split.txt.npz", "apart")
    write_features("apart-all.txt.npz", "apart")
    (world / "all.txt").write_text("\n".join(CLASSES[1:]))
    (world / "empty.py").touch()
    np.savez("few.npz", classes=np.array(CLASSES[:3]), word_vectors=np.eye(3))
    with pytest.raises(SystemExit) as caught:
        table3.main([*GIVEN, *PART, *changed])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
