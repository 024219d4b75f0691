import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import iiae as library
from iiae.errors import DataError
from iiae.inference import tiles as tiling
from iiae.inference.tiles import Tiles, translate_large, translate_tiles
from iiae.model.build import build_model
from iiae.model.translation import translate
from iiae.run_folder import StoredRun
from iiae.settings import load_settings, make_settings
from iiae.types import PerDomain

SHAPE = (3, 16, 16)
ROOT = Path(__file__).parents[2]


def made_run(folder, bands=(3, 3), sides=((16, 16), (16, 16))):
    values = {"data": {"name": "two-folders", "size": 16, "bands": list(bands)}}
    chosen = make_settings({**values, "model": {"shared": 2, "width": 4}})
    torch.manual_seed(0)
    shapes = ((bands[0], *sides[0]), (bands[1], *sides[1]))
    model = build_model(chosen.model, chosen.objective, shapes).eval()
    return StoredRun(folder, chosen, model, PerDomain(*shapes))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made_run(tmp_path_factory.mktemp("run"))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(2, 20), st.data())
def test_a_model_that_changes_nothing_gives_the_image_back(run, height, width, size, data):
    overlap = data.draw(st.integers(0, size - 1))
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "content", lambda model, source, to: source)
        patch.setattr(tiling, "render", lambda model, shared, to, exclusive: shared)
        made = translate_tiles(run.model, image, "y", (3, size, size), Tiles(size, overlap))
    torch.testing.assert_close(made, image * 2 - 1, atol=1e-5, rtol=0)


def test_tiles_that_differ_in_all_blend_without_a_step(run, monkeypatch):
    # black and white tiles in turn: a step of 2 where they meet, if they did not blend
    def board(model, source, to):
        return torch.where(torch.arange(len(source)) % 2 == 0, 1.0, -1.0)[:, None, None, None]

    monkeypatch.setattr(tiling, "content", board)
    monkeypatch.setattr(tiling, "render", lambda m, z, to, e: z.expand(-1, 3, 16, 16))
    made = translate_tiles(run.model, torch.zeros(3, 16, 88), "y", SHAPE, Tiles(16, 8))
    steps = made.diff(dim=2).abs()
    assert steps[:, :, 7::8].max() < 0.05  # where a tile begins or ends
    assert steps.max() < 2 * np.pi / 2 / 8  # the slope of a squared sine that rises by 2 in 8
    assert made.max() == 1 and made.min() == -1


def test_tiles_take_the_size_of_their_own_domain(tmp_path):
    run = made_run(tmp_path, sides=((16, 24), (20, 18)))
    Image.new("RGB", (50, 40)).save(tmp_path / "q.png")
    for to in "yx":
        translate_large(run, [tmp_path / "q.png"], to, tmp_path / to, Tiles(30, 8))
        with Image.open(next((tmp_path / to).iterdir())) as made:
            assert made.size == (50, 40)


def test_a_tile_that_is_the_whole_image_is_the_plain_translation(run):
    image = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(1))
    made = translate_tiles(run.model, image, "y", SHAPE, Tiles(16, 4))
    torch.testing.assert_close(made, translate(run.model, image[None] * 2 - 1, "y")[0])


def test_large_and_oblong_files_are_translated_at_their_own_size(run, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (57, 101, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "wide.png")
    Image.fromarray(noise[:9, :11]).save(tmp_path / "tiny.png")
    inputs = [tmp_path / "wide.png", tmp_path / "tiny.png"]
    for tiles in (Tiles(16, 4), Tiles(40, 0), Tiles(8, 2)):
        out = tmp_path / f"out {tiles.size}"
        assert translate_large(run, inputs, "y", out, tiles) == 2
        for name, size in (("wide.png", (101, 57)), ("tiny.png", (11, 9))):
            with Image.open(out / name) as image:
                assert image.size == size


def test_bands_and_16_bits_are_kept_from_reading_to_writing(tmp_path, monkeypatch):
    run = made_run(tmp_path, bands=(4, 4))
    values = np.random.default_rng(0).integers(0, 65536, (20, 30, 4)).astype(np.uint16)
    np.save(tmp_path / "field.npy", values)
    pages = [Image.fromarray(np.ascontiguousarray(values[:, :, i])) for i in range(4)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    monkeypatch.setattr(tiling, "content", lambda model, source, to: source)
    monkeypatch.setattr(tiling, "render", lambda model, shared, to, exclusive: shared)
    inputs = [tmp_path / "field.npy", tmp_path / "scan.tif"]
    translate_large(run, inputs, "y", tmp_path / "out", Tiles(16, 4))
    assert np.abs(np.load(tmp_path / "out" / "field.npy").astype(int) - values).max() <= 1
    with Image.open(tmp_path / "out" / "scan.tif") as image:
        assert image.n_frames == 4
        for band in range(4):
            image.seek(band)
            assert np.abs(np.asarray(image).astype(int) - values[:, :, band]).max() <= 1


def test_an_image_that_cannot_be_read_is_skipped_or_stops(run, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"nothing")
    Image.new("RGB", (20, 20)).save(tmp_path / "good.png")
    inputs = [tmp_path / "bad.png", tmp_path / "good.png"]
    with pytest.raises(DataError, match=r"bad.png: not an image"):
        translate_large(run, inputs, "y", tmp_path / "out", Tiles(16, 4))
    assert translate_large(run, inputs, "y", tmp_path / "out", Tiles(16, 4), on_error="skip") == 1


@pytest.mark.parametrize("tiles", [Tiles(0, 0), Tiles(16, 16), Tiles(16, -1)])
def test_tiles_that_cannot_be_cut_are_refused(tiles):
    with pytest.raises(DataError, match="the size must be above the overlap"):
        tiles.checked()


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A small model of digits; digits are framed in black, and so is what it paints."""
    overrides = ["data.limit=512", "model.width=8", "training.epochs=12", "training.batch=32"]
    settings = load_settings(ROOT / "experiments" / "digits-cdcb.toml", overrides)
    return library.fit(settings, out=tmp_path_factory.mktemp("digits") / "run")


def test_neighbouring_pixels_differ_no_more_across_seams_than_inside_tiles(digits):
    path = ROOT / "benchmarks" / "tiles.py"
    spec = importlib.util.spec_from_file_location("tiles", path)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    image = bench.noise(512)

    def seams(overlap):
        tiles = Tiles(16, overlap)
        return bench.seams(translate_tiles(digits.model, image, "y", SHAPE, tiles), tiles, 4)

    abutting, half = seams(0), seams(8)
    assert abutting.across > 1.5 * abutting.inside  # there is something to mend
    assert half.across <= half.inside
    assert half.grid < abutting.grid / 5
