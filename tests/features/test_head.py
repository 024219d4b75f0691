from pathlib import Path

import numpy as np
import pytest

from helpers import write_images
from iiae.data import load
from iiae.errors import DataError, SettingsError
from iiae.features.head import HeadSettings, train_head
from iiae.settings import DataSettings

CLASSES = [f"c{i}" for i in range(8)]


@pytest.fixture
def data(tmp_path):
    """Classes differ in 4 of 20 features; each domain has an offset of its own."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((8, 20)) * (np.arange(20) < 4) * 2
    arrays = {}
    for side, count in (("sketch", 12), ("photo", 15)):
        labels = np.repeat(np.arange(8), count)
        noise = generator.standard_normal((len(labels), 20))
        arrays[f"{side}_features"] = centres[labels] + noise + generator.standard_normal(20)
        arrays[f"{side}_classes"] = np.array(CLASSES)[labels]
        arrays[f"{side}_paths"] = np.array([f"{i}.png" for i in range(len(labels))])
    np.savez(tmp_path / "f.npz", **arrays)
    (tmp_path / "split.txt").write_text("c1\nc5")
    return DataSettings(
        name="classes",
        root=str(tmp_path / "f.npz"),
        split=str(tmp_path / "split.txt"),
        validation=2,
    )


def test_a_head_writes_features_that_know_the_classes(data, tmp_path):
    out = tmp_path / "head.npz"
    quality = train_head(data, out, HeadSettings(size=16, steps=150, batch=64))
    assert quality > 0.5
    before, after = np.load(data.root), np.load(out)
    assert after["sketch_features"].shape == (96, 16)
    assert np.array_equal(before["photo_paths"], after["photo_paths"])
    assert "head 16 seed 0" in str(after["backbone"])


@pytest.mark.parametrize("apart", [False, True])
def test_a_head_does_not_see_unseen_or_validation_items(data, tmp_path, apart):
    steps = HeadSettings(size=8, steps=5, batch=16)
    train_head(data, tmp_path / "one.npz", steps, apart)
    arrays = dict(np.load(data.root))
    seen = load(data).train.classes
    for side in ("sketch", "photo"):
        other = ~np.isin(arrays[f"{side}_classes"], seen)
        arrays[f"{side}_features"][other] *= -3
    np.savez(data.root, **arrays)
    train_head(data, tmp_path / "two.npz", steps, apart)
    one, two = np.load(tmp_path / "one.npz"), np.load(tmp_path / "two.npz")
    for side in ("sketch", "photo"):
        trained = np.isin(arrays[f"{side}_classes"], seen)
        one_side, two_side = one[f"{side}_features"], two[f"{side}_features"]
        np.testing.assert_array_equal(one_side[trained], two_side[trained])
        assert not np.array_equal(one_side[~trained], two_side[~trained])


def test_a_head_takes_the_authors_layout_and_keeps_their_unseen_classes(data, tmp_path):
    arrays, folder = np.load(data.root), tmp_path / "features"
    folder.mkdir()
    for side, name in (("sketch", "sketch"), ("photo", "image")):
        classes = arrays[f"{side}_classes"]
        for part, chosen in (
            ("test", np.isin(classes, ["c1", "c5"])),
            ("train", ~np.isin(classes, ["c1", "c5"])),
        ):
            paths = [f"/data/{c}/{i}.png" for i, c in enumerate(classes) if chosen[i]]
            np.save(folder / f"{part}_{name}_paths.npy", np.array(paths))
            np.save(folder / f"{part}_{name}_features.npy", arrays[f"{side}_features"][chosen])
    out = tmp_path / "head.npz"
    given = data.model_copy(update={"root": str(folder), "split": None})
    train_head(given, out, HeadSettings(size=16, steps=5, batch=64))
    splits = load(given.model_copy(update={"root": str(out)}))
    assert splits.train.shapes == ((16,), (16,))
    assert splits.test.classes == ["c1", "c5"]


def test_a_head_never_replaces_the_features_it_is_made_of(data, tmp_path):
    with pytest.raises(DataError, match="is an input"):
        train_head(data, Path(data.root))


def test_a_head_says_when_the_domains_have_features_of_different_networks(data, tmp_path):
    arrays = dict(np.load(data.root))
    arrays["photo_features"] = arrays["photo_features"][:, :7]
    np.savez(data.root, **arrays)
    with pytest.raises(DataError, match=r"20 wide in x and 7 in y.*--apart"):
        train_head(data, tmp_path / "out.npz")


def test_features_of_two_widths_are_fine_for_heads_taught_apart(data, tmp_path):
    arrays = dict(np.load(data.root))
    arrays["photo_features"] = arrays["photo_features"][:, :17]
    np.savez(data.root, **arrays)
    steps = HeadSettings(size=16, steps=150, batch=64)
    assert train_head(data, tmp_path / "out.npz", steps, apart=True) > 0.5
    assert np.load(tmp_path / "out.npz")["photo_features"].shape == (120, 16)


def test_a_head_taught_apart_sees_its_own_domain_only(data, tmp_path):
    steps = HeadSettings(size=8, steps=20, batch=16)
    train_head(data, tmp_path / "one.npz", steps, apart=True)
    arrays = dict(np.load(data.root))
    for other, same in (("sketch", "photo"), ("photo", "sketch")):
        moved = {**arrays, f"{other}_features": arrays[f"{other}_features"][::-1]}
        np.savez(tmp_path / "moved.npz", **moved)
        given = data.model_copy(update={"root": str(tmp_path / "moved.npz")})
        train_head(given, tmp_path / "two.npz", steps, apart=True)
        one, two = np.load(tmp_path / "one.npz"), np.load(tmp_path / "two.npz")
        assert np.array_equal(one[f"{same}_features"], two[f"{same}_features"])
        assert not np.array_equal(one[f"{other}_features"], two[f"{other}_features"])


def test_spaces_taught_apart_are_not_aligned_and_a_joint_one_is(data, tmp_path):
    """Photos are the sketches themselves, so that only the networks can tell them apart."""
    arrays = dict(np.load(data.root))
    arrays |= {f"photo_{key}": arrays[f"sketch_{key}"] for key in ("features", "classes", "paths")}
    np.savez(data.root, **arrays)
    for apart in (False, True):
        steps = HeadSettings(size=16, steps=100, batch=64)
        train_head(data, tmp_path / "out.npz", steps, apart)
        written = np.load(tmp_path / "out.npz")
        gap = np.abs(written["sketch_features"] - written["photo_features"]).mean()
        assert (gap > 0.5) if apart else (gap == 0)


def test_the_command_names_how_its_quality_was_measured(data, tmp_path, iiae):
    given = ("head", data.root, "--unseen", data.split, "--validation", "2", "--steps", "5")
    for words, how in ((["--apart"], "within each domain, trained apart"), ([], "x searching y")):
        code, out, _ = iiae(*given, "--size", "8", "-o", tmp_path / "out.npz", *words)
        assert code == 0
        assert f"held-out seen classes, {how}: mAP@all 0." in out


@pytest.mark.parametrize(
    ("before", "apart", "after"),
    [(None, False, "joint"), (None, True, "apart"), ("joint", True, "joint")],
)
def test_the_protocol_is_recorded_and_every_result_names_it(data, tmp_path, before, apart, after):
    """Heads taught apart on features of one network for both domains are joint still."""
    if before:
        np.savez(data.root, **np.load(data.root), protocol=np.array([before]))
    train_head(data, tmp_path / "out.npz", HeadSettings(size=8, steps=3, batch=16), apart)
    assert np.load(tmp_path / "out.npz")["protocol"].tolist() == [after]
    test = load(data.model_copy(update={"root": str(tmp_path / "out.npz")})).test
    assert test.split.endswith(f", features taught {after}")


def test_a_head_says_that_images_need_features_first(data, tmp_path):
    for side in ("sketch", "photo"):
        for name in CLASSES:
            write_images(tmp_path / "images", [f"{side}/{name}/{i}.png" for i in range(2)])
    given = data.model_copy(update={"root": str(tmp_path / "images")})
    with pytest.raises(DataError, match="iiae features"):
        train_head(given, tmp_path / "out.npz")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (HeadSettings(size=0), "size = 0: must be from 1e-12 to 1e"),
        (HeadSettings(dropout=1.0), "dropout = 1.0: must be from 0 to 0.99"),
        (HeadSettings(learning_rate=float("inf")), "learning_rate = inf: must be"),
        (HeadSettings(seed=-1), "seed = -1: must be from 0"),
    ],
)
def test_settings_of_a_head_out_of_range_are_named(data, tmp_path, settings, message):
    with pytest.raises(SettingsError, match=message):
        train_head(data, tmp_path / "head.npz", settings)


def test_a_head_may_be_trained_without_mixing(data, tmp_path):
    steps = HeadSettings(size=8, steps=3, batch=16, mixup=0.0)
    assert train_head(data, tmp_path / "head.npz", steps) > 0
