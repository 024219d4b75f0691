import numpy as np
import pytest
from PIL import Image

from iiae.errors import DataError
from iiae.files.bands import encode_bands, fit_bands, read_bands
from iiae.files.image_source import open_images
from iiae.files.images import fit_image, inner_box


def noise(*shape, top=65536, kind=np.uint16):
    return np.random.default_rng(0).integers(0, top, shape).astype(kind)


def test_16_bits_of_greys_and_arrays_are_kept(tmp_path):
    grey = noise(10, 12)
    Image.fromarray(grey).save(tmp_path / "a.tif")
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", grey)
    for name in ("a.tif", "a.png", "a.npy"):
        read = read_bands(tmp_path / name, 1)
        assert read.shape == (1, 10, 12)
        assert np.array_equal((read[0] * 65535).round(), grey)


def test_the_pages_of_a_tiff_are_its_bands(tmp_path):
    bands = [noise(6, 7) // (i + 1) for i in range(5)]
    first, *rest = map(Image.fromarray, bands)
    first.save(tmp_path / "a.tif", save_all=True, append_images=rest)
    assert np.array_equal((read_bands(tmp_path / "a.tif", 5) * 65535).round(), np.stack(bands))


def test_four_channels_of_bytes_are_four_bands_and_colour_becomes_one_grey(tmp_path):
    rgba = noise(5, 6, 4, top=256, kind=np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    read = read_bands(tmp_path / "a.png", 4)
    assert np.array_equal((read.transpose(1, 2, 0) * 255).round(), rgba)
    Image.fromarray(rgba[:, :, :3]).save(tmp_path / "b.png")
    assert read_bands(tmp_path / "b.png", 1).shape == (1, 5, 6)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L"])
def test_one_band_has_transparency_on_white_as_colour_images_have(tmp_path, mode):
    image = Image.new("LA", (4, 2), (0, 0)).convert("RGBA" if mode == "P" else mode)
    image = image.convert(mode)
    image.save(tmp_path / "a.png", **({"transparency": 0} if mode in "PL" else {}))
    assert np.array_equal(read_bands(tmp_path / "a.png", 1), np.ones((1, 2, 4)))


@pytest.mark.parametrize(
    ("values", "bands", "says"),
    [
        (np.zeros((4, 4, 2), np.uint8), 3, "has 2 bands; 3 are wanted"),
        (np.zeros(4, np.uint8), 1, r"is \(4,\); an image is"),
        (np.full((4, 4), 1.5), 1, "values from 1.5 to 1.5"),
        (np.full((4, 4), -1), 1, "values from -1 to -1"),
        (np.full((4, 4), np.nan), 1, "values from nan to nan"),
        (np.full((4, 4), 70000), 1, "values from 70000 to 70000"),
    ],
)
def test_other_bands_and_unknown_ranges_are_refused(tmp_path, values, bands, says):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(DataError, match=f"a.npy: {says}"):
        read_bands(tmp_path / "a.npy", bands)


def test_a_damaged_array_is_named(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a.npy: damaged or cut off"):
        read_bands(tmp_path / "a.npy", 1)


@pytest.mark.parametrize("ending", [".npy", ".tif"])
def test_what_is_written_is_read_back(tmp_path, ending):
    import torch

    values = torch.rand(3, 8, 9) * 2 - 1
    (tmp_path / f"a{ending}").write_bytes(encode_bands(values, ending))
    assert np.abs(read_bands(tmp_path / f"a{ending}", 3) * 2 - 1 - values.numpy()).max() < 1e-4


def test_padding_keeps_the_aspect_and_repeats_the_edges():
    image = Image.fromarray(noise(10, 40, 3, top=256, kind=np.uint8))
    padded = np.asarray(fit_image(image, 16, 16, pad=True))
    assert inner_box((40, 10), (16, 16), True) == (0, 6, 16, 10)
    assert np.array_equal(padded[6:10], np.asarray(fit_image(image, 16, 4)))
    assert (padded[:6] == padded[6]).all() and (padded[10:] == padded[9]).all()
    values = np.random.default_rng(0).random((2, 10, 40)).astype(np.float32)
    assert fit_bands(values, 16, 16, pad=True).shape == (2, 16, 16)


def test_arrays_of_a_folder_are_images_of_a_model_of_bands_alone(tmp_path):
    np.save(tmp_path / "a.npy", noise(20, 30, 4))
    Image.fromarray(noise(8, 8, 4, top=256, kind=np.uint8)).save(tmp_path / "b.png")
    both = open_images(tmp_path, (4, 16, 16), "x")
    assert [both.name(i) for i in range(len(both))] == ["a.npy", "b.png"]
    (sample,) = both.read([0])
    assert sample.values.shape == (4, 16, 16) and sample.size == (30, 20)
    assert len(open_images(tmp_path, (3, 16, 16), "x")) == 1
