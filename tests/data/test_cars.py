import numpy as np
import pytest
import torch

from iiae.data import load
from iiae.data.cars import CarPairs
from iiae.errors import DataError
from iiae.settings import DataSettings
from iiae.types import Draw

rng = np.random.default_rng(0)


def write(folder, ids, shape=(4, 24, 16, 16, 3)):
    images = rng.integers(0, 256, (len(ids), *shape)).astype(np.uint8)
    np.savez(folder / "cars64.npz", images=images, ids=np.array(ids))
    return images


def settings(folder, size=16):
    return DataSettings(name="cars", root=str(folder), size=size)


def test_a_pair_is_azimuth_0_and_another_of_the_same_car_and_elevation(tmp_path):
    images = write(tmp_path, [3, 7])
    pairs = CarPairs(images, np.array([3, 7]))
    assert len(pairs) == 2 * 4 * 23
    index = torch.tensor([0, 23 * 4 + 2 * 23 + 22])  # car 7, elevation 2, azimuth 23
    pair = pairs.pairs(Draw(index))

    def pixels(value):
        return torch.from_numpy(value).permute(2, 0, 1) / 127.5 - 1

    torch.testing.assert_close(pair.x[1], pixels(images[1, 2, 0]))
    torch.testing.assert_close(pair.y[1], pixels(images[1, 2, 23]))
    torch.testing.assert_close(pair.y[0], pixels(images[0, 0, 1]))
    factors = pairs.factors()
    assert [factors[n].values[index[1]] for n in ("car", "elevation", "azimuth")] == [7, 2, 23]


def test_cars_are_split_by_their_published_numbers(tmp_path):
    ids = [*range(1, 31), 191, 192, 199]
    write(tmp_path, ids)
    parts = load(settings(tmp_path))
    cars = [set(p.ids.tolist()) for p in parts]
    assert cars[2] == {192, 199}
    assert len(cars[1]) == 3
    assert cars[0] | cars[1] == set(ids) - cars[2]
    assert not cars[0] & cars[1]


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((4, 24, 16, 16, 3), 64, r"images have side 16; data.size must divide it: set 16"),
        ((4, 20, 16, 16, 3), 16, r"expected bytes \(5, 4, 24\)"),
    ],
)
def test_another_form_is_refused(tmp_path, shape, size, message):
    write(tmp_path, [1, 2, 3, 4, 192], shape)
    with pytest.raises(DataError, match=message):
        load(settings(tmp_path, size))


def test_the_original_files_give_the_same_pairs(tmp_path):
    from scipy.io import savemat

    ids = [1, 2, 7, 191, 192]
    images = write(tmp_path, ids)
    original = tmp_path / "original"
    original.mkdir()
    for number, image in zip(ids, images, strict=True):
        savemat(original / f"car_{number:03d}_mesh.mat", {"im": image.transpose(2, 3, 4, 1, 0)})
    compact, read = load(settings(tmp_path)), load(settings(original))
    for one, other in zip(compact, read, strict=True):
        assert one.ids.tolist() == other.ids.tolist()
        assert torch.equal(one.images, other.images)


def test_larger_images_are_averaged_over_areas(tmp_path):
    images = write(tmp_path, [1, 2, 3, 4, 192])
    image = load(settings(tmp_path, 8)).test.images[0]
    blocks = images[4].reshape(4, 24, 8, 2, 8, 2, 3).mean((3, 5)).round()
    assert np.array_equal(image.numpy(), blocks)


def test_damaged_original_files_are_named(tmp_path):
    (tmp_path / "car_001.mat").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"car_001.mat: not a .mat file with an array im"):
        load(settings(tmp_path))


def test_a_missing_file_says_where_was_looked(tmp_path):
    with pytest.raises(DataError, match=r"cars64.npz, are missing; looked in"):
        load(settings(tmp_path))


@pytest.mark.data
def test_the_real_cars_have_the_published_split(real_data):
    parts = load(DataSettings(name="cars", root=str(real_data / "cars"), size=64))
    assert min(parts.test.ids) >= 192
    assert max(parts.train.ids) <= 191
    assert len(parts.test) == len(parts.test.ids) * 92
