import numpy as np
import pytest
import torch

from iiae.data import load, suggest_settings
from iiae.data.arrays import ArrayPairs, read_array
from iiae.errors import DataError
from iiae.settings import DataSettings, make_settings
from iiae.types import Draw

rng = np.random.default_rng(0)


def save(tmp_path, x, y):
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    return DataSettings(name="arrays", x=str(tmp_path / "x.npy"), y=str(tmp_path / "y.npy"))


def test_rows_of_two_files_are_pairs(tmp_path):
    x = rng.normal(size=(40, 5))
    settings = save(tmp_path, x, 2 * x[:, :3])
    parts = load(settings)
    assert [len(p) for p in parts] == [32, 4, 4]
    for part in parts:
        pair = part.pairs(Draw(torch.arange(len(part))))
        torch.testing.assert_close(pair.y, 2 * pair.x[:, :3])
    everything = torch.cat([p.x for p in parts]).numpy()
    assert np.allclose(np.sort(everything[:, 0]), np.sort(x[:, 0]).astype(np.float32))


def test_an_npz_holds_both_sides(tmp_path):
    np.savez(tmp_path / "pairs.npz", x=rng.normal(size=(10, 2)), y=rng.normal(size=(10, 3)))
    parts = load(DataSettings(name="arrays", x=str(tmp_path / "pairs.npz")))
    assert parts.train.shapes == ((2,), (3,))


def test_byte_images_become_floats_channels_first():
    x = rng.integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    pairs = ArrayPairs(x, x[..., 0])
    pair = pairs.pairs(Draw(torch.arange(6)))
    assert pairs.shapes == ((3, 8, 8), (1, 8, 8))
    torch.testing.assert_close(pair.x[2, 1], torch.tensor(x[2, :, :, 1] / 127.5 - 1).float())


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((5, 2)), np.zeros((6, 2)), "has 5 samples and .* has 6"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "are empty"),
        (np.zeros((1, 2)), np.zeros((1, 2)), "1 pair; at least 4 are needed"),
        (np.zeros((9, 2, 2, 2, 2)), np.zeros((9, 2)), r"shape \(9, 2, 2, 2, 2\); expected"),
        (np.zeros(9), np.zeros((9, 2)), r"shape \(9,\); expected"),
        (np.zeros((9, 4, 4, 7), np.uint8), np.zeros((9, 2)), "7 channels last"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(tmp_path, x, y, message):
    with pytest.raises(DataError, match=message):
        load(save(tmp_path, x, y))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_with_nan_or_infinite_values_are_named(tmp_path, bad):
    x = np.zeros((20, 3))
    x[[4, 11], 1] = bad
    with pytest.raises(DataError, match=r"x.npy: NaN or infinite values in row 4, 11"):
        load(save(tmp_path, x, np.zeros((20, 3))))


def test_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"o.npy: holds Python objects \(a pickle\)"):
        read_array(tmp_path / "o.npy")


def test_text_is_not_numbers(tmp_path):
    np.save(tmp_path / "t.npy", np.array(["a", "b"]))
    with pytest.raises(DataError, match="holds <U1, not numbers"):
        read_array(tmp_path / "t.npy")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_damaged_files_are_named(tmp_path, name):
    path = tmp_path / name
    if name.endswith("z"):
        np.savez(path, x=np.zeros((50, 20)), y=np.zeros((50, 20)))
    else:
        np.save(path, np.zeros((50, 20)))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(DataError, match=f"{name}: damaged, cut off, or not a NumPy file"):
        read_array(path, "y")


def test_missing_files_and_arrays_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none.npy: no such file"):
        read_array(tmp_path / "none.npy")
    np.savez(tmp_path / "a.npz", left=np.zeros(3))
    with pytest.raises(DataError, match=r"a.npz: holds left, not x"):
        load(DataSettings(name="arrays", x=str(tmp_path / "a.npz")))
    with pytest.raises(DataError, match=r"data.x is missing"):
        load(DataSettings(name="arrays"))
    np.save(tmp_path / "x.npy", np.zeros((5, 2)))
    with pytest.raises(DataError, match=r"data.y is missing"):
        load(DataSettings(name="arrays", x=str(tmp_path / "x.npy")))


def test_too_much_held_out_is_refused(tmp_path):
    settings = save(tmp_path, np.zeros((9, 2)), np.zeros((9, 2)))
    with pytest.raises(DataError, match="9 pairs cannot give 8 for validation"):
        load(settings.model_copy(update={"validation": 8}))


@pytest.mark.parametrize(("shape", "family"), [((30, 7), "features"), ((30, 3, 32, 32), "small")])
def test_suggested_settings_build_a_model(tmp_path, shape, family):
    from iiae.model import build_model

    settings = save(tmp_path, np.zeros(shape), np.zeros(shape))
    suggested = make_settings(suggest_settings(tmp_path / "x.npy", tmp_path / "y.npy"))
    assert suggested.model.family == family
    build_model(suggested.model, suggested.objective, load(settings).train.shapes)


def test_a_limit_keeps_that_many_pairs(tmp_path):
    x = rng.normal(size=(40, 5))
    parts = load(save(tmp_path, x, x).model_copy(update={"limit": 20}))
    assert sum(map(len, parts)) == 20
