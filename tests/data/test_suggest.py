"""Settings for folders of pictures, by what lies there."""

import logging

import numpy as np
import pytest
from PIL import Image

from iiae.data import suggest_settings
from iiae.data.arrays import ArrayPairs
from iiae.data.missing import drop_partners
from iiae.data.sampling import make_batches
from iiae.data.suggest import suggest_settings_for, suggest_settings_of
from iiae.errors import DataError, SettingsError
from iiae.model.build import build_model
from iiae.settings import make_settings


def folder(path, width, height):
    path.mkdir()
    for i in range(3):
        Image.new("RGB", (width, height)).save(path / f"{i}.png")
    return path


@pytest.mark.parametrize(
    ("size", "chosen"), [((16, 16), 16), ((9, 16), 16), ((20, 30), 32), ((600, 400), 64)]
)
def test_the_size_is_that_of_the_pictures_and_said(tmp_path, caplog, size, chosen):
    x, y = (folder(tmp_path / name, *size) for name in "ab")
    with caplog.at_level(logging.INFO, "iiae"):
        assert suggest_settings(x, y)["data"]["size"] == chosen
    assert f"trained on at {chosen}x{chosen}" in caplog.text


def test_what_a_user_has_chosen_is_gone_with_and_not_talked_about(tmp_path, caplog):
    x, y = (folder(tmp_path / name, 600, 400) for name in "ab")
    asked = ["data.size=128", "model.side=8", "data.bands=4"]
    with caplog.at_level(logging.INFO, "iiae"):
        chosen = suggest_settings(x, y, overrides=asked)
    assert not caplog.records
    assert (chosen["data"]["size"], chosen["model"]["family"]) == (128, "small")
    assert "degrade" not in chosen["data"]  # which takes RGB alone
    large = suggest_settings(x, y, overrides=["data.size=256"])
    assert (large["data"]["degrade"], large["model"]["family"]) == (0.5, "image-map")
    with pytest.raises(SettingsError, match=r"data\.size = 'big'"):
        suggest_settings(x, y, overrides=["data.size=big"])


def test_the_log_tells_what_is_trained_with_and_not_what_was_replaced(caplog):
    counts = np.arange(240).reshape(120, 2)
    pairs = ArrayPairs(counts, counts[::-1].copy())
    asked = ["objective.x.kind=negative-binomial", "model.size=small", "training.epochs=7"]
    with caplog.at_level(logging.INFO, "iiae"):
        suggest_settings_of(pairs, overrides=asked)
    assert "negative-binomial and normal likelihoods" in caplog.text
    assert "size small (z_s of 16, z_x and z_y of 8, width 64;" in caplog.text
    assert "7 epochs" in caplog.text
    assert "y holds whole numbers from 0" in caplog.text
    assert "x holds whole numbers from 0" not in caplog.text


def test_pictures_in_halves_get_a_finer_map_of_what_is_shared(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "iiae"):
        halves = make_settings(suggest_settings(pairs=folder(tmp_path / "pairs", 200, 100)))
    assert (halves.model.side, halves.data.crop) == (8, 0.15)
    assert "z_s is a map of 8x8" in caplog.text
    x, y = (folder(tmp_path / name, 100, 100) for name in "ab")
    with caplog.at_level(logging.INFO, "iiae"):
        apart = make_settings(suggest_settings(x, y))
    assert apart.model.side is None
    assert "settings={'model.side': 8}" in caplog.text
    small = make_settings(suggest_settings(pairs=folder(tmp_path / "small", 32, 16)))
    assert small.model.side is None


@pytest.mark.parametrize(
    ("x", "y", "family"),
    [
        ((3, 28, 28), (1, 28, 28), "small"),
        ((3, 100, 100), (3, 100, 100), "small"),
        ((3, 64, 64), (3, 64, 100), "small"),
        ((3, 128, 128), (3, 128, 128), "small"),
        ((3, 256, 256), (3, 256, 256), "image-map"),
    ],
)
def test_images_in_arrays_get_networks_that_take_them(x, y, family):
    chosen = make_settings(suggest_settings_for((x, y)))
    assert chosen.model.family == family
    build_model(chosen.model, chosen.objective, (x, y))


def test_vectors_beside_images_are_refused():
    for shapes in (((5,), (3, 32, 32)), ((3, 32, 32), (5,))):
        with pytest.raises(DataError, match="one side holds vectors, the other images"):
            suggest_settings_for(shapes)


def test_epochs_of_pictures_follow_from_their_number(tmp_path):
    few = make_settings(suggest_settings(pairs=folder(tmp_path / "pairs", 200, 100))).training
    assert (few.epochs, few.patience) == (300, 75)
    many = tmp_path / "many"
    many.mkdir()
    for i in range(1000):
        (many / f"{i}.png").touch()
    Image.new("RGB", (200, 100)).save(many / "0.png")
    training = make_settings(suggest_settings(pairs=many)).training
    assert (training.epochs, training.patience) == (96, 24)
    many.rename(tmp_path / "train")
    (tmp_path / "test").mkdir()
    Image.new("RGB", (200, 100)).save(tmp_path / "test" / "0.png")
    assert make_settings(suggest_settings(pairs=tmp_path)).training.epochs == 96


def test_pictures_that_are_seldom_pairs_are_warned_of(tmp_path, caplog):
    pairs = folder(tmp_path / "pairs", 32, 16)
    assert suggest_settings(pairs=pairs)["data"]["size"] == 16
    assert "are these pairs" not in caplog.text
    suggest_settings(pairs=folder(tmp_path / "squares", 16, 16))
    assert "16x16 pictures are split into two of 8x16; are these pairs" in caplog.text


def test_a_folder_of_shards_is_told_how_it_is_named(tmp_path):
    (tmp_path / "0.parquet").touch()
    with pytest.raises(DataError, match=r"holds Parquet files: .*'data.name': 'parquet-shards'"):
        suggest_settings(pairs=tmp_path)


def test_columns_of_a_table_of_pairs_are_named(tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text("sketch,photo\na.png,b.png\n")
    data = suggest_settings("sketch", "photo", table)["data"]
    assert (data["name"], data["x"], data["y"]) == ("table", "sketch", "photo")
    assert "x" not in suggest_settings(pairs=table)["data"]
    with pytest.raises(DataError, match="columns are named of a table, places of cells"):
        suggest_settings("sketch", "photo", folder(tmp_path / "pairs", 32, 16))


def test_the_side_that_is_wrong_is_named(tmp_path):
    x = folder(tmp_path / "a", 16, 16)
    with pytest.raises(DataError, match="nothing: no such folder"):
        suggest_settings(x, tmp_path / "nothing")
    with pytest.raises(DataError, match=r"0\.png: is a file, the other side a folder"):
        suggest_settings(x, x / "0.png")
    with pytest.raises(DataError, match="give y="):
        suggest_settings(x)


def vectors(rows):
    rng = np.random.default_rng(0)
    return ArrayPairs(rng.normal(size=(rows, 6)), rng.normal(size=(rows, 4)))


def test_the_log_says_which_sizes_follow_from_one_dial(caplog):
    with caplog.at_level(logging.INFO, "iiae"):
        chosen = make_settings(suggest_settings_of(vectors(300)))
    assert "300 pairs of 6 and 4 columns" in caplog.text
    assert "size medium (z_s of 32, z_x and z_y of 16, width 256" in caplog.text
    assert (chosen.model.shared, chosen.model.width, chosen.training.patience) == (32, 256, 75)


def test_with_a_handful_of_pairs_the_last_weights_are_kept(caplog):
    with caplog.at_level(logging.INFO, "iiae"):
        chosen = make_settings(suggest_settings_of(vectors(50))).training
    assert (chosen.keep, chosen.patience) == ("last", None)
    assert "since few pairs cannot say when to stop" in caplog.text


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_suggested_batches_suit_pairs_among_many_samples_alone(share):
    pairs = drop_partners(vectors(1000), share, seed=0)
    training = make_settings(suggest_settings_of(pairs)).training
    batches = make_batches(pairs, training.batch, 0)
    assert 700 <= len(batches) * training.epochs <= 3500


def test_of_wide_domains_encoders_see_components(caplog):
    generator = np.random.default_rng(0)
    pairs = ArrayPairs(generator.normal(size=(120, 600)), generator.normal(size=(120, 60)))
    with caplog.at_level(logging.INFO, "iiae"):
        model = make_settings(suggest_settings_of(pairs)).model
    assert (model.components, model.dropout) == ((100, 0), (0.0, 0.2))
    assert "encoders see 100 principal components of x," in caplog.text
    narrow = ArrayPairs(*generator.normal(size=(2, 120, 99)))
    assert make_settings(suggest_settings_of(narrow)).model.components == 0


def test_many_pairs_of_wide_vectors_choose_weights_by_retrieval():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(1000, 500)), generator.normal(size=(1000, 3))
    many = make_settings(suggest_settings_of(ArrayPairs(x, y))).training
    fewer = make_settings(suggest_settings_of(ArrayPairs(x[:500], y[:500]))).training
    narrow = make_settings(suggest_settings_of(ArrayPairs(x[:, :50], y))).training
    assert (many.keep, fewer.keep, narrow.keep) == ("retrieval", "best", "best")
    assert many.patience and fewer.patience
