from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from iiae.errors import RunError
from iiae.files.images import to_image
from iiae.files.pictures import (
    Row,
    framed,
    grid,
    picture_format,
    picture_formats,
    save_picture,
    strip,
)


def test_values_map_to_bytes():
    image = to_image(torch.tensor([-1.0, 0.0, 1.0, 3.0]).expand(3, 1, 4))
    assert [image.getpixel((i, 0))[0] for i in range(4)] == [0, 128, 255, 255]
    assert to_image(torch.zeros(1, 2, 2)).mode == "L"


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_images_of_any_number_of_channels_can_be_looked_at(channels):
    image = torch.linspace(-1, 1, channels * 64).view(channels, 8, 8)
    shown = np.asarray(to_image(image).convert("RGB"))
    red = ((image[0] + 1) * 127.5).round().byte().numpy()
    assert (shown[..., 0] == red).all()
    assert (shown[..., 1] == shown[..., 0]).all() == (channels < 3)
    frames = framed(image[None].repeat(2, 1, 1, 1), [True, False])
    assert frames.shape == (2, 3, 8, 8)
    assert frames[0, 2, 0, 0] > frames[0, 0, 0, 0]  # blue


def test_a_strip_takes_images_of_several_sizes():
    made = strip([torch.ones(3, 8, 6), None, torch.zeros(1, 4, 10)])
    assert made.size == (3 * 10 + 2, 8)


def test_a_grid_shows_every_image_where_it_belongs():
    rows = [
        Row("first", torch.full((3, 3, 16, 16), 1.0)),
        Row("a longer label", torch.full((2, 1, 16, 16), -1.0)),
    ]
    picture = grid("title", rows)
    dark = (np.asarray(picture) == 0).all(-1).sum()
    assert dark == 2 * 64 * 64
    assert picture.width > 3 * 64
    assert grid("a title that is much wider than its only image " * 4, rows[:1]).width > 900


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.v2.webp", "WEBP"), ("a.tif", "TIFF")],
)
def test_a_picture_has_the_format_that_its_name_ends_in(tmp_path, name, kind):
    save_picture(Image.new("RGB", (20, 10), (200, 0, 0)), tmp_path / name)
    with Image.open(tmp_path / name) as image:
        assert (image.format, image.size) == (kind, (20, 10))


def test_every_ending_that_is_offered_can_be_written(tmp_path):
    for ending in picture_formats():
        save_picture(Image.new("RGB", (20, 10)), tmp_path / f"a{ending}")


@pytest.mark.parametrize("name", ["results", "results.v2", "a.npy", ".png", "a.png.d"])
def test_other_names_are_no_pictures(name):
    assert picture_format(Path(name)) is None


def test_a_picture_that_its_format_cannot_hold_is_named(tmp_path):
    with pytest.raises(RunError, match=r"a.webp: cannot be written as WEBP: .*; try .png"):
        save_picture(Image.new("RGB", (20_000, 1)), tmp_path / "a.webp")
    assert not list(tmp_path.iterdir())
