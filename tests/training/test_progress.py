"""What training shows, on terminals and in pipes."""

import io
import re

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


def test_a_pipe_gets_lines_alone(tmp_path, capsys):
    fit(small_settings("training.epochs=12"), tmp_path)
    lines = capsys.readouterr().err.splitlines()
    epochs = [re.match(r"epoch +(\d+)/12 .* validation: loss .*, Recall@1 ", s) for s in lines]
    assert [int(shown[1]) for shown in epochs if shown] == [2, 4, 6, 8, 10, 12]
    assert "━" not in "".join(lines)


def test_what_is_not_to_be_shown_is_not(tmp_path, capsys):
    fit(small_settings(), tmp_path, progress=False)
    assert capsys.readouterr().err == ""
