import logging
import os
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helpers import write_images
from iiae.errors import DataError
from iiae.files.folders import (
    SUFFIXES,
    escaped,
    image_files,
    is_writable,
    list_images,
    same_name,
    sort_out,
    subfolders,
)
from iiae.files.images import read_image


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="holds no images"):
        image_files(tmp_path)
    (tmp_path / "a.heic").touch()
    with pytest.raises(DataError, match=r"; 1 file with other endings was left out: \.heic"):
        image_files(tmp_path)
    with pytest.raises(DataError, match="none: cannot be listed: No such file"):
        image_files(tmp_path / "none")


def test_hidden_files_beside_images_are_none(tmp_path):
    for name in ("b.PNG", "a.jpg", "._a.jpg", ".png", "notes.txt"):
        (tmp_path / name).touch()
    assert list(image_files(tmp_path)) == ["a.jpg", "b.PNG"]


@pytest.mark.parametrize("ending", sorted(SUFFIXES))
def test_every_ending_that_is_taken_can_be_read(tmp_path, ending):
    Image.new("1" if ending == ".pbm" else "RGB", (9, 9), 255).save(tmp_path / f"a{ending}")
    (path,) = image_files(tmp_path).values()
    assert read_image(path, (3, 9, 9)).shape == (3, 9, 9)


def test_other_files_are_counted_in_one_line(tmp_path, caplog):
    for name in ("a.png", "b.heic", "c.HEIC", "d.svg", "e", "labels.csv", ".hidden.heic"):
        (tmp_path / name).touch()
    with caplog.at_level(logging.INFO, "iiae"):
        assert list(image_files(tmp_path)) == ["a.png"]
    assert [record.message for record in caplog.records] == [
        f"{tmp_path}: 4 files with other endings were left out: (no ending), .heic, .svg"
    ]


def test_a_folder_called_like_an_image_is_none_and_is_looked_into(tmp_path):
    write_images(tmp_path, ["a.png", "thumbs.png/b.png"])
    assert list(image_files(tmp_path)) == ["a.png", "thumbs.png/b.png"]


def test_pipes_are_no_images_and_links_to_nothing_are_named_by_reading(tmp_path):
    write_images(tmp_path, ["a.png"])
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to(tmp_path / "a.png")
    (tmp_path / "d.png").symlink_to(tmp_path / "gone.png")
    assert list(image_files(tmp_path)) == ["a.png", "c.png", "d.png"]
    with pytest.raises(DataError, match=r"d.png: no such file"):
        read_image(tmp_path / "d.png", (3, 9, 9))


def test_a_folder_is_entered_once_whatever_links_to_it(tmp_path):
    write_images(tmp_path / "photos", ["z/a.png", "b.png"])
    write_images(tmp_path / "elsewhere", ["c.png", "deep/d.png", ".hidden/e.png"])
    (tmp_path / "photos" / "self").symlink_to(".")
    (tmp_path / "photos" / "a").symlink_to("z")  # a name before that of the folder itself
    (tmp_path / "photos" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos" / "more2").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "photos")
    assert list_images(tmp_path / "photos").images == [
        "b.png",
        "more/c.png",
        "more/deep/d.png",
        "z/a.png",
    ]


def test_a_hidden_folder_may_be_the_one_that_is_asked_for(tmp_path):
    write_images(tmp_path / ".cache", ["a.png", ".thumbs/b.png"])
    assert list_images(tmp_path / ".cache").images == ["a.png"]


def test_subfolders_are_those_below_and_none_above(tmp_path):
    for name in ("b", "a", ".git"):
        (tmp_path / name).mkdir()
    (tmp_path / "self").symlink_to(".")
    (tmp_path / "up").symlink_to("..")
    (tmp_path / "c").symlink_to("a")
    (tmp_path / "file").touch()
    assert [path.name for path in subfolders(tmp_path)] == ["a", "b"]


def test_names_that_cannot_be_written_are_skipped_and_named(tmp_path, caplog):
    write_images(tmp_path, ["a.png", "b.png", "c.png"])
    os.rename(tmp_path / "b.png", os.fsencode(tmp_path) + b"/caf\xe9.png")
    os.rename(tmp_path / "c.png", tmp_path / "two\nlines.png")
    with caplog.at_level(logging.INFO, "iiae"):
        assert list(image_files(tmp_path)) == ["a.png"]
    assert caplog.messages == [
        f"{tmp_path}: skipped 'caf\\xe9.png', 'two\\nlines.png': the name is not UTF-8, or has a "
        "line break; rename it"
    ]
    assert escaped(os.fsdecode(b"caf\xe9.png")) == "'caf\\xe9.png'"


@given(st.lists(st.text(min_size=1)))
def test_every_name_is_an_image_or_accounted_for(names):
    names = list(dict.fromkeys(name.replace("/", "") or "a" for name in names))
    files = [name + ending for name in names for ending in (".png", ".heic", ".txt")]
    listing = sort_out(files)
    hidden = sum(name.startswith(".") for name in names)
    assert len(listing.images) + len(listing.unwritable) == len(names) - hidden
    assert listing.others[".heic"] == len(names) - hidden
    assert all(map(is_writable, listing.images)) and listing.images == sorted(listing.images)


@given(st.text())
def test_both_ways_to_write_an_accent_are_one_name(text):
    assert same_name(unicodedata.normalize("NFD", text)) == same_name(
        unicodedata.normalize("NFC", text)
    )


def test_order_is_by_name_and_the_same_at_every_call(tmp_path):
    names = [f"{i:02d}/{j}.png" for i in np.random.default_rng(0).permutation(12) for j in (2, 1)]
    write_images(tmp_path, names)
    assert list_images(tmp_path).images == sorted(names)
