import logging

import numpy as np
import pytest
import torch
from PIL import Image

from iiae.data import image_pairs, load
from iiae.data.image_pairs import ImagePairs, PairFiles, Preprocessing
from iiae.errors import DataError
from iiae.settings import DataSettings
from iiae.types import Draw


def side_by_side(path, width=32):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (width, 16), (255, 0, 0))
    image.paste((0, 0, 255), (width // 2, 0, width, 16))
    image.save(path)


def test_memory_and_disk_give_the_same_pixels(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for i in range(6):
        noise = rng.integers(0, 256, (24, 48, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{i}.png")
    files = [PairFiles(tmp_path / f"{i}.png", None) for i in range(6)]
    kept = ImagePairs(files, Preprocessing(16))
    monkeypatch.setattr(image_pairs, "MEMORY_SHARE", 0)
    streamed = ImagePairs(files, Preprocessing(16))
    assert kept.pixels is not None
    assert streamed.pixels is None
    draw = Draw(torch.tensor([4, 1]))
    for one, other in zip(kept.pairs(draw)[:2], streamed.pairs(draw)[:2], strict=True):
        assert torch.equal(one, other)


def test_a_broken_image_is_named_when_it_is_reached(tmp_path, monkeypatch):
    monkeypatch.setattr(image_pairs, "MEMORY_SHARE", 0)
    side_by_side(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    pairs = ImagePairs(
        [PairFiles(tmp_path / f"{n}.png", None) for n in ("good", "bad")], Preprocessing(16)
    )
    pairs.pairs(Draw(torch.tensor([0])))
    with pytest.raises(DataError, match=r"bad.png: damaged or cut off"):
        pairs.pairs(Draw(torch.tensor([1])))


def test_both_images_of_a_pair_are_mirrored_together_and_only_in_training(tmp_path):
    ramp = np.tile(np.arange(0, 256, 16, dtype=np.uint8), (16, 1))
    both = np.repeat(np.hstack([ramp, ramp])[..., None], 3, 2)
    Image.fromarray(both).save(tmp_path / "a.png")
    pairs = ImagePairs([PairFiles(tmp_path / "a.png", None)] * 40, Preprocessing(16, flip=True))
    index = torch.arange(40)
    fixed = pairs.pairs(Draw(index))
    drawn = pairs.pairs(Draw(index, seed=5))
    mirrored = torch.tensor(
        [torch.equal(a, b.flip(-1)) for a, b in zip(drawn.x, fixed.x, strict=True)]
    )
    assert 8 < mirrored.sum() < 32
    assert torch.equal(drawn.x, drawn.y)
    assert torch.equal(drawn.x[~mirrored], fixed.x[~mirrored])
    assert torch.equal(drawn.x, pairs.pairs(Draw(index, seed=5)).x)


def ramps(folder, count):
    """Pairs whose x and y are one image: each pixel tells its column and row."""
    row, column = np.mgrid[0:20, 0:20].astype(np.uint8) * 12
    image = np.stack([row, column, row], -1)
    Image.fromarray(np.hstack([image, image])).save(folder / "a.png")
    return [PairFiles(folder / "a.png", None)] * count


def test_one_random_window_is_cut_out_of_both_images(tmp_path):
    pairs = ImagePairs(ramps(tmp_path, 50), Preprocessing(16, crop=0.25))
    index = torch.arange(50)
    drawn = pairs.pairs(Draw(index, seed=3))
    assert drawn.x.shape == (50, 3, 16, 16)
    assert torch.equal(drawn.x, drawn.y)
    corners = {tuple(image[:2, 0, 0].tolist()) for image in drawn.x}
    assert len(corners) > 10
    assert torch.equal(drawn.x, pairs.pairs(Draw(index, seed=3)).x)
    assert not torch.equal(drawn.x, pairs.pairs(Draw(index, seed=4)).x)


def test_a_fixed_appearance_is_the_middle_window(tmp_path):
    fixed = ImagePairs(ramps(tmp_path, 2), Preprocessing(16, flip=True, crop=0.25)).pairs(
        Draw(torch.arange(2))
    )
    whole = ImagePairs(ramps(tmp_path, 2), Preprocessing(20)).pairs(Draw(torch.arange(2)))
    assert torch.equal(fixed.x, whole.x[:, :, 2:18, 2:18])


def broken_folder(folder):
    for i in range(12):
        side_by_side(folder / f"{i}.png")
    for name in ("3", "7"):
        (folder / f"{name}.png").write_bytes((folder / f"{name}.png").read_bytes()[:60])
    return {"name": "side-by-side", "root": str(folder), "size": 16}


def test_pairs_that_cannot_be_read_are_skipped_counted_and_listed(tmp_path, caplog):
    values = broken_folder(tmp_path)
    with pytest.raises(DataError, match=r"[37].png: damaged or cut off"):
        load(DataSettings(**values))
    with caplog.at_level(logging.WARNING, "iiae"):
        parts = load(DataSettings(**values, on_error="skip"))
    assert sum(map(len, parts)) == 10
    assert {f.x.stem for p in parts for f in p.files}.isdisjoint({"3", "7"})
    for name in ("3", "7"):
        assert f"skipped {tmp_path / name}.png: damaged" in caplog.text


def test_a_set_of_which_nothing_can_be_read_is_an_error(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"none of 5 pairs can be read"):
        load(DataSettings(name="side-by-side", root=str(tmp_path), size=16, on_error="skip"))


def test_the_log_says_only_that_pixels_are_not_kept(tmp_path, caplog, monkeypatch):
    with caplog.at_level(logging.INFO, "iiae"):
        ImagePairs(ramps(tmp_path, 3), Preprocessing(16))
        assert not caplog.text
        monkeypatch.setattr(image_pairs, "MEMORY_SHARE", 0)
        ImagePairs(ramps(tmp_path, 3), Preprocessing(16))
    assert "3 pairs are decoded at each draw" in caplog.text


def test_all_eight_ways_are_shown_and_both_images_alike(tmp_path):
    pairs = ImagePairs(ramps(tmp_path, 200), Preprocessing(20, turn=True))
    drawn = pairs.pairs(Draw(torch.arange(200), seed=1))
    assert torch.equal(drawn.x, drawn.y)
    corners = {tuple(image[:2, 0, 1].tolist()) for image in drawn.x}
    assert len(corners) == 8
    fixed = pairs.pairs(Draw(torch.arange(200)))
    assert torch.equal(fixed.x, fixed.x[:1].expand_as(fixed.x))


def test_sides_have_bands_of_their_own_and_16_bits(tmp_path):
    rng = np.random.default_rng(0)
    for side in ("x", "y"):
        (tmp_path / side).mkdir()
    for i in range(6):
        grey = rng.integers(0, 65536, (16, 16)).astype(np.uint16)
        Image.fromarray(grey).save(tmp_path / "x" / f"{i}.tif")
        np.save(tmp_path / "y" / f"{i}.npy", rng.integers(0, 65536, (16, 16, 4)).astype(np.uint16))
    where = {"x": str(tmp_path / "x"), "y": str(tmp_path / "y")}
    parts = load(DataSettings(name="two-folders", **where, size=16, bands=(1, 4)))
    assert parts.train.shapes == ((1, 16, 16), (4, 16, 16))
    pair = parts.test.pairs(Draw(torch.arange(1)))
    file = parts.test.files[0]
    kept = (pair.x[0, 0] + 1) * 32767.5
    assert np.array_equal(kept.round().numpy(), np.asarray(Image.open(file.x)))
    bands = (pair.y[0] + 1) * 32767.5
    assert np.array_equal(bands.round().numpy().transpose(1, 2, 0), np.load(file.y))
    with pytest.raises(DataError, match="has 4 bands; 2 are wanted"):
        load(DataSettings(name="two-folders", **where, size=16, bands=(1, 2)))


def test_oblong_images_are_padded_if_so_asked(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(6):
        tall = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)  # halves of 8 x 16
        Image.fromarray(tall).save(tmp_path / f"{i}.png")
    values = {"name": "side-by-side", "root": str(tmp_path), "size": 16}
    test = load(DataSettings(**values, pad=True)).test
    kept = test.pairs(Draw(torch.arange(1))).x[0]
    with Image.open(test.files[0].x) as image:
        left = torch.from_numpy(np.array(image)[:, :8]).permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(kept[:, :, 4:12], left)
    assert torch.equal(kept[:, :, :4], left[:, :, :1].expand(-1, -1, 4))
    stretched = load(DataSettings(**values)).test.pairs(Draw(torch.arange(1))).x[0]
    assert not torch.equal(kept, stretched)
