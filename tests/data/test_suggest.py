"""Settings for folders of pictures, by what lies there."""

import logging

import pytest
from PIL import Image

from iiae.data import suggest_settings
from iiae.errors import DataError


def folder(path, width, height):
    path.mkdir()
    for i in range(3):
        Image.new("RGB", (width, height)).save(path / f"{i}.png")
    return path


@pytest.mark.parametrize(
    ("size", "chosen"), [((16, 16), 16), ((9, 16), 16), ((20, 30), 32), ((600, 400), 64)]
)
def test_the_size_is_that_of_the_pictures_and_said(tmp_path, caplog, size, chosen):
    x, y = (folder(tmp_path / name, *size) for name in "ab")
    with caplog.at_level(logging.INFO, "iiae"):
        assert suggest_settings(x, y)["data"]["size"] == chosen
    assert f"trained on at {chosen}x{chosen}" in caplog.text


def test_pictures_that_are_seldom_pairs_are_warned_of(tmp_path, caplog):
    pairs = folder(tmp_path / "pairs", 32, 16)
    assert suggest_settings(pairs=pairs)["data"]["size"] == 16
    assert "are these pairs" not in caplog.text
    suggest_settings(pairs=folder(tmp_path / "squares", 16, 16))
    assert "16x16 pictures are split into two of 8x16; are these pairs" in caplog.text


def test_the_side_that_is_wrong_is_named(tmp_path):
    x = folder(tmp_path / "a", 16, 16)
    with pytest.raises(DataError, match="nothing: no such folder"):
        suggest_settings(x, tmp_path / "nothing")
    with pytest.raises(DataError, match=r"0\.png: is a file, the other side a folder"):
        suggest_settings(x, x / "0.png")
    with pytest.raises(DataError, match="give --y"):
        suggest_settings(x)
