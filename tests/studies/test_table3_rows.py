from pathlib import Path

import numpy as np
import torch

from iiae.rivals.baselines import NoSettings
from iiae.rivals.interface import Maps, Rival
from table3_plan import Method, load_part, read_plan
from table3_rows import add_row, measure, read_rows, those, tried


def method(x, y, distance="cosine"):
    def learn(seen, settings):
        return Maps(x, y, distance)

    return Method("made up", Rival("made up", (), NoSettings, learn), {}, {})


def part():
    plan_file = Path(__file__).parents[2] / "experiments" / "table3.toml"
    plan = read_plan(plan_file, [], quick=True)
    return load_part("{protocol}-{split}.npz", "apart", "split.txt", plan, None)


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path):
    path = tmp_path / "rows.jsonl"
    add_row(path, {"method": "a"})
    path.write_text(path.read_text() + '{"method": "b", "se')
    add_row(path, {"method": "c"})
    assert [row["method"] for row in read_rows(path)] == ["a", "c"]
    assert read_rows(tmp_path / "none.jsonl") == []


def test_rows_are_those_of_equal_settings_only():
    rows = [{"method": "a", "settings": {"lam": lam}} for lam in (1.0, 2.0)]
    assert those(rows, {"method": "a", "settings": {"lam": 2.0}}) == rows[1:]


def test_a_trial_that_diverged_counts_as_zero(world):
    def diverged(rows):
        return torch.full((len(rows), 3), torch.nan)

    assert tried(part(), method(diverged, diverged), 0, {})["map@all"] == 0.0


def test_codes_without_a_direction_are_measured_by_their_own_distance_alone(world):
    def bits(rows):
        return torch.cat([torch.zeros(1, 2), (rows[1:, :2] > 0).float()])

    row = measure(part(), method(bits, bits, "hamming"), 0, {})
    assert [reading["distance"] for reading in row["readings"]] == ["hamming"]
    whole = measure(part(), method(lambda x: x[:, :2], lambda y: y[:, :2], "euclidean"), 0, {})
    assert [reading["distance"] for reading in whole["readings"]] == ["euclidean", "cosine"]
    assert np.shape(whole["readings"][0]["map@all"]) == (24,)
