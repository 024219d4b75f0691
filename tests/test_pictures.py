import numpy as np
import torch

from iiae.data.images import to_image
from iiae.pictures import Row, grid


def test_values_map_to_bytes():
    image = to_image(torch.tensor([-1.0, 0.0, 1.0, 3.0]).expand(3, 1, 4))
    assert [image.getpixel((i, 0))[0] for i in range(4)] == [0, 128, 255, 255]
    assert to_image(torch.zeros(1, 2, 2)).mode == "L"


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
