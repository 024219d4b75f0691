"""What training shows, on terminals and in pipes."""

import io
import itertools
import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from helpers import small_settings
from iiae.training import fit


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 80 columns in place of standard error."""
    shown = io.StringIO()

    def console(**options):
        return Console(file=shown, width=80, force_terminal=True, **options | {"stderr": False})

    monkeypatch.setattr("rich.console.Console", console)
    monkeypatch.setattr("iiae.training.progress.SETTLED_SECONDS", -1)
    return shown


def test_at_80_columns_there_are_a_bar_the_time_left_and_ten_lines_of_epochs(tmp_path, terminal):
    fit(small_settings("training.epochs=25"), tmp_path)
    text = terminal.getvalue()
    for seen in (
        "━",
        "%",
        " left",
        "Recall@1 ",
        "about ",
        " in all",
        "pairs to train on",
        "'features'",
    ):
        assert seen in text, seen
    last = text.replace("\r", "\n").split("\n")
    assert len({line for line in last if "validation: loss" in line}) <= 10
    assert "epoch 25/25" in text


@pytest.mark.parametrize(("patience", "words"), [("", "in all"), ("=9", "at most")])
def test_the_first_steps_which_are_slower_do_not_count_as_the_pace(
    tmp_path, terminal, monkeypatch, patience, words
):
    times = itertools.accumulate([0.0, *[50.0] * 3, *[2.0] * 1000])  # the start, then steps
    monkeypatch.setattr("iiae.training.progress.time", SimpleNamespace(monotonic=times.__next__))
    settings = small_settings(
        "training.epochs=25", *[f"training.patience{patience}"] * bool(patience)
    )
    fit(settings, tmp_path)
    steps = 25 * (200 // settings.training.batch)
    minutes, seconds = divmod(150 + 2 * (steps - 3), 60)
    assert f"about {minutes} min {seconds} s {words}" in terminal.getvalue()


def test_a_pipe_gets_lines_alone(tmp_path, capsys):
    fit(small_settings("training.epochs=12"), tmp_path)
    lines = capsys.readouterr().err.splitlines()
    epochs = [re.match(r"epoch +(\d+)/12 .* validation: loss .*, Recall@1 ", s) for s in lines]
    assert [int(shown[1]) for shown in epochs if shown] == [2, 4, 6, 8, 10, 12]
    assert "━" not in "".join(lines)


def test_what_is_not_to_be_shown_is_not(tmp_path, capsys):
    fit(small_settings(), tmp_path, progress=False)
    assert capsys.readouterr().err == ""
