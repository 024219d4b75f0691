import errno

import pytest

from iiae.errors import DataError, RunError
from iiae.files import make_folder, read_csv, refuse_inputs, write_atomically, write_text


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
        (b"a,b,a\n1,2,3\n", "several columns called a"),
        (b"\xff\xfe", "not a CSV table in UTF-8"),
        (None, "No such file"),
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
