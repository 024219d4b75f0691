import gzip
import sys

import numpy as np
import pytest
import torch

from data.test_idx import idx
from iiae.data import load
from iiae.data.digits import (
    MNIST_FILES,
    ColouredDigits,
    fetch_mnist,
    find_mnist,
    load_mnist,
)
from iiae.errors import DataError, MissingExtra
from iiae.settings import DataSettings
from iiae.types import Draw

rng = np.random.default_rng(0)
DIGITS = rng.integers(0, 256, (12, 8, 8)).astype(np.uint8)


def digits(size=16, seed=0):
    return ColouredDigits(DIGITS, np.arange(12) % 10, size, seed)


def test_pairs_follow_the_definition():
    pairs = digits(size=8)
    pair = pairs.pairs(Draw(torch.tensor([3])))
    ink = torch.tensor(DIGITS[3] / 255.0).float()
    background, colour = pairs.colours[3]
    for c in range(3):
        x = ink + (1 - ink) * background[c]
        torch.testing.assert_close(pair.x[0, c], 2 * x - 1)
        torch.testing.assert_close(pair.y[0, c], 2 * ink * colour[c] - 1)


def test_images_are_in_range_and_of_the_size_asked_for():
    for size in (8, 16, 32, 64):
        pair = digits(size).pairs(Draw(torch.arange(4)))
        assert pair.x.shape == pair.y.shape == (4, 3, size, size)
        assert pair.x.abs().max() <= 1


def test_the_fixed_appearance_is_fixed_and_a_seed_draws_another():
    pairs, index = digits(), torch.arange(5)
    fixed = pairs.pairs(Draw(index))
    assert torch.equal(fixed.x, pairs.pairs(Draw(index)).x)
    drawn = pairs.pairs(Draw(index, seed=1))
    assert torch.equal(drawn.x, pairs.pairs(Draw(index, seed=1)).x)
    assert not torch.equal(drawn.x, fixed.x)


def test_factors_are_those_of_the_fixed_appearance():
    pairs = digits(size=8)
    factors = pairs.factors()
    assert factors["background colour"].values.shape == (12, 3)
    bare = ColouredDigits(np.zeros((12, 8, 8), np.uint8), np.zeros(12), 8, 0)
    corner = bare.pairs(Draw(torch.arange(12))).x[:, :, 0, 0]
    torch.testing.assert_close(
        corner, 2 * torch.tensor(bare.factors()["background colour"].values) - 1
    )


def test_mnist_digits_are_framed_not_resampled():
    raw = rng.integers(0, 256, (2, 28, 28)).astype(np.uint8)
    y = ColouredDigits(raw, np.zeros(2), 32, 0)
    ink = y._ink(torch.arange(2))
    assert torch.equal(ink[:, 0, 2:-2, 2:-2], torch.tensor(raw).float() / 255)
    assert ink[:, :, :2].max() == 0


def test_bundled_digits_make_disjoint_sets():
    parts = load(DataSettings(name="digits-cdcb", size=16))
    assert [len(p) for p in parts] == [1259, 179, 359]
    seen = [{d.numpy().tobytes() for d in p.digits} for p in parts]
    # a few of the 1,797 digits are equal pixel by pixel; no more may be
    assert len(seen[0] & seen[2]) < 5


def write_mnist(folder, train=20, test=6):
    folder.mkdir(exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (count, 28, 28))
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        labels = idx(np.arange(count) % 10)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    return folder


def test_mnist_is_found_and_split(tmp_path, monkeypatch):
    write_mnist(tmp_path / "mnist")
    monkeypatch.setenv("IIAE_DATA", str(tmp_path))
    parts = load_mnist(DataSettings(name="mnist-cdcb", validation=5))
    assert [len(p) for p in parts] == [15, 5, 6]
    assert find_mnist(str(tmp_path)) == tmp_path / "mnist"


def test_missing_files_are_named_with_where_was_looked_and_the_remedy(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError) as error:
        find_mnist(str(tmp_path))
    message = str(error.value)
    assert "missing: t10k-labels-idx1-ubyte[.gz];" in message
    assert f"looked in {tmp_path}, {tmp_path / 'mnist'}" in message
    assert "iiae data mnist-cdcb --root DIR" in message


def test_a_cut_off_file_is_named(tmp_path):
    write_mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz: damaged or cut off"):
        load_mnist(DataSettings(name="mnist-cdcb", root=str(tmp_path)))


def test_images_and_labels_must_fit(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(19)))
    with pytest.raises(DataError, match=r"do not fit: shapes \(20, 28, 28\) and \(19,\)"):
        load_mnist(DataSettings(name="mnist-cdcb", root=str(tmp_path)))


def test_a_failed_download_says_what_to_do_and_leaves_nothing(tmp_path, monkeypatch):
    import pooch

    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(pooch, "retrieve", offline)
    with pytest.raises(DataError, match=r"could not be fetched .*by hand"):
        fetch_mnist(tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())


def test_a_download_with_a_wrong_checksum_is_refused(tmp_path, monkeypatch):
    import pooch

    def wrong(url, known, name, folder, processor):
        path = folder / name
        path.write_bytes(gzip.compress(b"something else"))
        return processor(str(path), "download", None)

    monkeypatch.setattr(pooch, "retrieve", wrong)
    with pytest.raises(DataError, match="could not be fetched"):
        fetch_mnist(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtra, match=r"digits-cdcb needs the extra 'sklearn'"):
        load(DataSettings(name="digits-cdcb"))


@pytest.mark.data
def test_real_mnist_has_the_canonical_checksums(real_data):
    from iiae.data.digits import _file, _md5

    folder = find_mnist(str(real_data))
    for name, digest in MNIST_FILES.items():
        assert _md5(_file(folder, name)) == digest
    assert fetch_mnist(folder) == folder  # nothing to fetch: works without a network
