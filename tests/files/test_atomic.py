import errno
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iiae.errors import DataError, RunError
from iiae.files.atomic import (
    json_text,
    make_folder,
    read_csv,
    read_lines,
    refuse_inputs,
    typed_cells,
    write_atomically,
    write_text,
)


def test_text_is_written_whole(tmp_path):
    write_text(tmp_path / "new" / "a.txt", "é\n")
    assert (tmp_path / "new" / "a.txt").read_text(encoding="utf-8") == "é\n"


def test_a_failure_leaves_what_was_there_and_no_litter(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail(temporary):
        temporary.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError, match="disk is full; the file that was there before is kept"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_other_failures_leave_no_litter_either(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write_atomically(tmp_path / "a", lambda _: 1 / 0)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_made_once_and_left_empty(tmp_path):
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert not list((tmp_path / "a" / "b").iterdir())


@pytest.mark.parametrize("inner", ["file", "file/below"])
def test_a_folder_cannot_be_where_a_file_is(tmp_path, inner):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file.*: cannot be written to"):
        make_folder(tmp_path / inner)


def test_a_table_of_a_spreadsheet_is_read(tmp_path):
    file = tmp_path / "a.csv"
    file.write_bytes('path,größe\r\na b.png,"1,5"\r\n\r\nc.png,\r\n'.encode("utf-8-sig"))
    assert read_csv(file) == (["path", "größe"], [["a b.png", "1,5"], ["c.png", ""]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n3\n", "row 2 has 1 cells and the heading 2"),
        (b"a,b\n1,2,3\n", "row 1 has 3 cells and the heading 2"),
        (b"a,b,a\n1,2,3\n", "several columns named a"),
        (b"a;b\n1,5;2\n", "cells are separated by semicolons; separate them by commas"),
        (b"a\tb\n1\t2\n", "cells are separated by tabs; separate them by commas"),
        (b"\xff\xfe", "not a CSV table in UTF-8"),
        (None, "a.csv: no such file"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, content, message):
    file = tmp_path / "a.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_csv(file)


def test_an_input_is_known_by_any_of_its_names(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").touch()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    (tmp_path / "b.png").symlink_to(tmp_path / "in" / "a.png")
    inputs = [tmp_path / "in" / "a.png"]
    for name in ("in/a.png", "new/../in/a.png", "link/a.png", "b.png"):
        with pytest.raises(DataError, match="is an input"):
            refuse_inputs([tmp_path / name], inputs)
    refuse_inputs([tmp_path / "in" / "c.png", tmp_path / "new" / "a.png"], inputs)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"cat\ndog\n", ["cat", "dog"]),
        ("cat\ndog".encode("utf-8-sig"), ["cat", "dog"]),
        (b" cat \r\ndog\t\r\n\r\n\n", ["cat", "dog"]),
        ("größe\n\n日本\x0bx\n".encode(), ["größe", "", "日本\x0bx"]),
        (b"", []),
    ],
)
def test_lines_are_read_whatever_the_editor_left_around_them(tmp_path, content, lines):
    (tmp_path / "a.txt").write_bytes(content)
    assert read_lines(tmp_path / "a.txt") == lines


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\ncafé\n".encode("latin-1"), "line 2 is in another encoding, such as Latin-1; save it"),
        ("cat\n".encode("utf-16"), "text in UTF-16; save it as UTF-8"),
        ("cat\n".encode("utf-16-be"), "text in UTF-16; save it as UTF-8"),
        (None, "no such file"),
    ],
)
def test_text_in_another_encoding_is_named_with_its_remedy(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_lines(tmp_path / "a.txt")
    assert "\n" not in str(caught.value)


NOT_NUMBERS = ["00007", "1_000", "12e3", "1e5", "nan", "inf", "-0", "+1", "1.50", ".5", "1.", "٣"]


def written(cells):
    return ["" if cell is None else str(cell) for cell in cells]


@given(st.lists(st.one_of(st.text(), st.integers().map(str), st.floats().map(str))))
def test_any_text_of_a_csv_comes_back_as_written(texts):
    cells = typed_cells(texts)
    assert written(cells) == texts
    kinds = {type(cell) for cell in cells if cell is not None}
    assert kinds <= {int, float} or kinds == {str}
    assert all(math.isfinite(cell) for cell in cells if isinstance(cell, float))


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers_become_numbers(values):
    assert typed_cells(list(map(str, values))) == values


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_what_only_looks_like_a_number_keeps_its_column_text(text):
    assert typed_cells(["1", text, ""]) == ["1", text, None]


def test_columns_are_numbers_where_nothing_is_lost():
    assert typed_cells(["1", "", "2.5", "-0.125"]) == [1, None, 2.5, -0.125]
    assert typed_cells([str(2**63 - 1), str(-(2**63))]) == [2**63 - 1, -(2**63)]
    for texts in ([str(2**63)], [str(2**53 + 1), "0.5"], ["0.1234567890123456789"], ["9" * 5000]):
        assert typed_cells(texts) == texts


def test_json_has_null_for_what_it_has_no_word_for():
    value = {"a": [math.nan, np.float32("inf"), 1.5, np.int64(3)], "b": (np.array([np.nan]), "é")}
    assert json.loads(json_text(value)) == {"a": [None, None, 1.5, 3], "b": [[None], "é"]}
    assert json_text({"a": 1}, indent=2) == '{\n  "a": 1\n}'


@given(st.recursive(st.floats() | st.none() | st.text(), lambda inner: st.lists(inner)))
def test_json_is_strict_whatever_is_in_it(value):
    def refuse(constant):
        raise AssertionError(constant)

    json.loads(json_text(value), parse_constant=refuse)
