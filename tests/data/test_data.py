import numpy as np
import pytest
import torch
from PIL import Image

from iiae.data import check_name, export_pairs, fetch, load
from iiae.data.images import image_files, image_tensor, open_sized, read_image
from iiae.data.splits import held_out
from iiae.data.synthetic import SyntheticPairs
from iiae.errors import DataError
from iiae.settings import DataSettings
from iiae.types import Draw


def test_an_unknown_data_set_names_the_closest():
    with pytest.raises(DataError, match=r"did you mean mnist-cdcb\?"):
        load(DataSettings(name="mnist-cbcd"))
    with pytest.raises(DataError, match="there are mnist-cdcb, digits-cdcb"):
        check_name("zebra")


def test_held_out_sets_are_disjoint_and_complete():
    parts = held_out(50, 7, 9, seed=2)
    assert [len(p) for p in parts] == [34, 7, 9]
    assert sorted(np.concatenate(parts).tolist()) == list(range(50))
    assert not np.array_equal(parts[2], held_out(50, 7, 9, seed=3)[2])


def test_synthetic_pairs_share_what_they_say():
    pairs = SyntheticPairs(3000, seed=0)
    x, y = pairs.pairs(Draw(torch.arange(3000)))
    design = torch.cat([pairs.shared, pairs.exclusive[0]], 1)

    def explained(target, given):
        fit = given @ torch.linalg.lstsq(given, target).solution
        return 1 - ((target - fit) ** 2).sum() / ((target - target.mean(0)) ** 2).sum()

    assert explained(x, design) > 0.8
    assert explained(x, pairs.exclusive[1]) < 0.02
    assert explained(y, pairs.shared) > 0.3
    assert explained(y, pairs.exclusive[0]) < 0.02


def test_sets_of_synthetic_pairs_differ_but_mix_alike():
    parts = load(DataSettings(name="synthetic", limit=50, validation=50, test=50))
    assert not torch.equal(parts.train.x, parts.test.x)


def test_pairs_are_exported_as_pictures(tmp_path):
    pairs = load(DataSettings(name="digits-cdcb", size=16)).test
    export_pairs(pairs, tmp_path, 3)
    assert [p.name for p in image_files(tmp_path / "x")] == ["0000.png", "0001.png", "0002.png"]
    image = read_image(tmp_path / "y" / "0001.png", (3, 16, 16))
    torch.testing.assert_close(image, pairs.pairs(Draw(torch.tensor([1]))).y[0], atol=0.005, rtol=0)
    with pytest.raises(DataError, match="only images"):
        export_pairs(SyntheticPairs(5, 0), tmp_path, 3)


def test_a_data_set_without_files_says_so():
    assert fetch("synthetic", None) == "synthetic needs no files of its own"


def test_images_of_every_mode_are_read_as_a_person_expects(tmp_path):
    def value(image, name="a.png", channels=3):
        image.save(tmp_path / name)
        found = read_image(tmp_path / name, (channels, 2, 2))
        assert found.shape == (channels, 2, 2)
        return [round(v, 2) for v in found[:, 0, 0].tolist()]

    assert value(Image.new("RGB", (4, 4), (255, 0, 0))) == [1, -1, -1]
    assert value(Image.new("L", (4, 4), 255)) == [1, 1, 1]
    assert value(Image.new("RGB", (4, 4), (255, 255, 255)), channels=1) == [1]
    assert value(Image.new("RGBA", (4, 4), (0, 0, 0, 0))) == [1, 1, 1]
    assert value(Image.fromarray(np.full((4, 4), 65535, np.uint16))) == [1, 1, 1]
    assert value(Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "a.tif") == [1, 1, 1]
    assert value(Image.new("P", (4, 4))) == [-1, -1, -1]


def test_exif_rotation_is_obeyed(tmp_path):
    image = Image.new("RGB", (2, 2))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by half a circle
    image.save(tmp_path / "a.png", exif=exif)
    found = read_image(tmp_path / "a.png", (1, 2, 2))
    assert found[0].tolist() == [[-1, -1], [-1, 1]]


def smooth_jpeg(path, width, height, **options):
    """Gradients and a disc: what an area mean can be exact about."""
    down, along = np.mgrid[0:height, 0:width] / max(width, height)
    disc = ((down - 0.3) ** 2 + (along - 0.4) ** 2 < 0.05) * 0.5
    pixels = np.stack([down, along, disc], 2) * 255
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=95, **options)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_in_part_with_the_same_result(tmp_path, orientation):
    path, exif = tmp_path / "a.jpg", Image.Exif()
    exif[0x0112] = orientation
    smooth_jpeg(path, 1200, 960, exif=exif)
    whole, size = open_sized(path)
    part, same = open_sized(path, side=16)
    assert same == size == whole.size == ((1200, 960) if orientation == 1 else (960, 1200))
    assert part.size == tuple(n // 8 for n in size)
    shape = (3, 16, 16)
    difference = (image_tensor(whole, shape) - read_image(path, shape)).abs()
    assert difference.mean() < 1 / 127.5
    assert difference.max() < 12 / 127.5  # at the disc's edge


def test_a_large_jpeg_cut_off_is_named_all_the_same(tmp_path):
    path = tmp_path / "a.jpg"
    smooth_jpeg(path, 1200, 900)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(DataError, match=r"a.jpg: damaged or cut off"):
        read_image(path, (3, 16, 16))


def test_images_of_a_few_times_the_side_are_decoded_in_full(tmp_path):
    smooth_jpeg(tmp_path / "a.jpg", 190, 190)
    assert open_sized(tmp_path / "a.jpg", side=16)[0].size == (190, 190)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"hello", "not an image"), ("cut", "damaged or cut off")],
)
def test_images_that_cannot_be_read_are_named(tmp_path, content, message):
    path = tmp_path / "bild ö.png"
    if content == "cut":
        noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3)).astype(np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif content:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_image(path, (3, 8, 8))
    assert "bild ö.png" in str(error.value)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    Image.new("L", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"bomb.png: too many pixels"):
        read_image(tmp_path / "bomb.png", (1, 8, 8))


def test_a_folder_without_images_is_said(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="holds no images"):
        image_files(tmp_path)


def test_hidden_files_beside_images_are_none(tmp_path):
    for name in ("b.PNG", "a.jpg", "._a.jpg", ".png", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in image_files(tmp_path)] == ["a.jpg", "b.PNG"]
