from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from helpers import small_settings
from iiae.errors import RunError
from iiae.run_folder import MODEL, SETTINGS, load_run, stored


def copy(folder, to, without=()):
    to.mkdir()
    for name in (SETTINGS, MODEL):
        if name not in without:
            (to / name).write_bytes((folder / name).read_bytes())
    return to


def test_a_loaded_run_gives_the_same_answers(folder):
    x = torch.randn(5, 32)
    one, other = load_run(folder), load_run(folder)
    assert torch.equal(one.model.encode_x(x).shared.mean, other.model.encode_x(x).shared.mean)
    assert not one.model.training
    assert one.settings == small_settings()


def test_weights_that_may_not_be_read_are_not_called_missing(folder, monkeypatch):
    def refuse(path, *_):  # as for other users than root
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(stored, "load_settings", lambda _: small_settings())
    with pytest.raises(RunError, match=rf"{MODEL}: cannot be read: Permission denied$"):
        load_run(folder)


def test_what_is_no_run_is_refused(folder, tmp_path):
    with pytest.raises(RunError, match=r"not a run folder: it has no settings.toml"):
        load_run(tmp_path)
    with pytest.raises(RunError, match=r"has no model.safetensors"):
        load_run(copy(folder, tmp_path / "a", {MODEL}))


def test_damaged_weights_are_refused(folder, tmp_path):
    cut = copy(folder, tmp_path / "cut")
    (cut / MODEL).write_bytes((cut / MODEL).read_bytes()[:1000])
    with pytest.raises(RunError, match="damaged, or not of these settings"):
        load_run(cut)
    other = copy(folder, tmp_path / "other")
    save_file({"a": torch.zeros(1)}, other / MODEL, {"shapes": "[[32], [32]]"})
    with pytest.raises(RunError, match="damaged, or not of these settings"):
        load_run(other)
    foreign = copy(folder, tmp_path / "foreign")
    save_file({"a": torch.zeros(1)}, foreign / MODEL)
    with pytest.raises(RunError, match="damaged, or not of these settings"):
        load_run(foreign)


def test_weights_of_before_there_were_levels_are_read(folder, tmp_path):
    before = copy(folder, tmp_path / "before")
    with safe_open(before / MODEL, "pt") as file:
        notes = file.metadata()
    weights = load_file(before / MODEL)
    weights.pop("levels")
    save_file(weights, before / MODEL, notes)
    assert torch.equal(load_run(before).model.levels[0], torch.linspace(0, 1, 201))
    weights.pop("active")
    save_file(weights, before / MODEL, notes)
    with pytest.raises(RunError, match="it has no active"):
        load_run(before)


def test_an_unfinished_run_says_how_to_go_on(folder, tmp_path):
    unfinished = copy(folder, tmp_path / "u", {MODEL})
    (unfinished / "checkpoints").mkdir()
    (unfinished / "checkpoints" / "last.ckpt").write_bytes(b"")
    with pytest.raises(RunError, match="training has not finished: iiae train --resume --out"):
        load_run(unfinished)
