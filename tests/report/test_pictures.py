"""Rows of pictures."""

import base64
import io

import torch
from PIL import Image

from helpers import save_run
from iiae.data import load
from iiae.files.pictures import strip
from iiae.model.translation import translate
from iiae.report.pictures import hit_figures, made_figures, make_strip
from iiae.types import Draw


def opened(source):
    assert source.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))


def test_a_strip_has_its_images_with_gaps_that_show_the_page():
    red = torch.tensor([1.0, -1, -1])[:, None, None].expand(3, 32, 32)
    made = strip([red, None, red])
    assert made.size == (3 * 32 + 2 * 2, 32)
    assert made.getpixel((5, 5)) == (255, 0, 0, 255) == made.getpixel((70, 5))
    assert made.getpixel((33, 5))[3] == made.getpixel((40, 5))[3] == 0
    assert make_strip("a", [None, red]).tiles == 2


def test_pictures_are_of_pairs_drawn_from_the_whole_set(tmp_path):
    run = save_run(tmp_path)
    pairs = load(run.settings.data).test
    first, again = made_figures(run, pairs), made_figures(run, pairs)
    assert first == again
    source = next(f for f in first if f.title == "Translation: x to y").rows[0]
    beginning = pairs.pairs(Draw(torch.arange(8))).x
    assert source != make_strip("source", list(beginning))
    chosen = pairs.pairs(Draw(pairs.sample(8, run.settings.evaluation.seed))).x
    assert source == make_strip("source", list(chosen))


def test_every_kind_of_picture_is_made_and_says_what_it_shows(tmp_path):
    run = save_run(tmp_path)
    pairs = load(run.settings.data).test
    made = made_figures(run, pairs)
    assert [f.title for f in made] == [
        "Analogies: y", "Analogies: x", "Translation: x to y", "Translation: y to x",
        "Reconstruction",
    ]  # fmt: skip
    chosen = pairs.pairs(Draw(pairs.sample(8, run.settings.evaluation.seed)))
    mean = next(row for row in made[2].rows if row.label == "prior mean")
    assert mean == make_strip("prior mean", list(translate(run.model, chosen.x, "y")))
    (hits,) = hit_figures(run, pairs, None)
    assert len(hits.rows) == 6
    assert all(row.tiles == 6 and opened(row.source).height >= 64 for row in hits.rows)
