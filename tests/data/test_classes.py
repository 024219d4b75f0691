import logging
import unicodedata

import numpy as np
import pytest
import torch
from PIL import Image

from iiae.data import load
from iiae.data.classes.collections import Labelled
from iiae.data.classes.pairs import ClassPairs, InstancePairs, standardised_splits
from iiae.data.classes.splits import SPLITS, class_split, known_to, plain
from iiae.data.sampling import AlignedBatches, ClassBatches, make_batches
from iiae.data.synthetic import load_synthetic
from iiae.errors import DataError
from iiae.settings import DataSettings
from iiae.types import Draw

CLASSES = [f"c{i}" for i in range(8)]
rng = np.random.default_rng(0)


def items(counts, size=4, marker=0.0):
    labels = np.repeat([f"c{i}" for i in range(len(counts))], counts)
    values = rng.standard_normal((len(labels), size)).astype(np.float32)
    values[:, 0] = [int(name[1:]) for name in labels]
    values[:, 1] = marker + np.arange(len(labels))
    paths = np.array([f"{name}/{i}.png" for i, name in enumerate(labels)])
    return Labelled(torch.from_numpy(values), labels, paths)


def write_npz(path, x=None, y=None, **extra):
    x, y = x or items([3] * 8), y or items([5] * 8)
    arrays = {}
    for side, one in (("sketch", x), ("photo", y)):
        arrays |= {
            f"{side}_features": one.values.numpy().astype(np.float16),
            f"{side}_classes": one.labels,
            f"{side}_paths": one.paths,
        }
    np.savez(path, **(arrays | extra))
    return path


def settings(root, split=None, **values):
    return DataSettings(name="classes", root=str(root), split=split and str(split), **values)


@pytest.fixture
def split(tmp_path):
    path = tmp_path / "unseen.txt"
    path.write_text("c1\nc6\n")
    return path


@pytest.mark.parametrize(
    ("name", "count", "one"),
    [
        ("sempcyc25", 25, "jack-o-lantern"),
        ("sake25", 25, "cup"),
        ("yelamarthi21", 21, "songbird"),
        ("tuberlin_sempcyc30", 30, "walkie talkie"),
    ],
)
def test_published_splits_come_by_name(name, count, one):
    split = class_split(name)
    assert len(split.unseen) == count
    assert one in split.unseen
    assert len(split.digest) == 12
    assert name in SPLITS


def test_a_digest_tells_lists_apart_but_not_spellings(tmp_path):
    digests = {class_split(name).digest for name in SPLITS}
    assert len(digests) == len(SPLITS)
    (tmp_path / "mine.txt").write_text(
        "\n".join(name.replace("-", "_").upper() for name in class_split("sempcyc25").unseen)
    )
    assert class_split(str(tmp_path / "mine.txt")).digest == class_split("sempcyc25").digest
    assert plain("car_(sedan)") == plain("Car (sedan)") == "car_sedan"


def test_unknown_splits_are_refused():
    with pytest.raises(
        DataError, match=r"'sake' is neither a split nor a file; did you mean sake25"
    ):
        class_split("sake")


def test_classes_that_a_backbone_was_taught_are_named():
    labels = ["tench, Tinca tinca", "brown bear, bruin", "tabby, tabby cat", "cup"]
    assert known_to(labels, ["bear", "cat", "cup", "ca", "songbird"]) == {
        "bear": "brown bear, bruin",
        "cat": "tabby, tabby cat",
        "cup": "cup",
    }


def test_drawn_pairs_are_random_items_of_one_class():
    pairs = ClassPairs(items([2, 3]), items([5, 1], marker=100))
    index = torch.arange(len(pairs))
    assert len(pairs) == 5 + 3
    pair = pairs.pairs(Draw(index, seed=1))
    assert torch.equal(pair.x[:, 0], pair.y[:, 0])
    assert torch.equal(pair.x, pairs.pairs(Draw(index, seed=1)).x)
    assert not torch.equal(pair.x, pairs.pairs(Draw(index, seed=2)).x)


def test_every_item_is_in_some_fixed_pair():
    pairs = ClassPairs(items([2, 3]), items([5, 1], marker=100))
    pair = pairs.pairs(Draw(torch.arange(len(pairs))))
    assert set(pair.x[:, 1].tolist()) == set(range(5))
    assert set(pair.y[:, 1].tolist()) == set(range(100, 106))
    assert torch.equal(pair.x[:, 0], pair.y[:, 0])


def test_a_batch_of_all_classes_has_each_once():
    pairs = ClassPairs(items([2, 7, 3, 3]), items([5, 1, 4, 4]))
    batches = ClassBatches(pairs.class_of, 4, seed=0)
    drawn = list(batches)
    assert len(drawn) == len(pairs) // 4
    for draw in drawn:
        assert sorted(pairs.class_of[draw.indices.numpy()]) == [0, 1, 2, 3]


@pytest.mark.parametrize("batch", [3, 6, 8])
def test_any_number_of_classes_comes_in_turn(batch):
    pairs = ClassPairs(items([9, 1, 9, 1]), items([9] * 4))
    batches = ClassBatches(pairs.class_of, batch, seed=3)
    seen = np.concatenate([pairs.class_of[d.indices.numpy()] for d in batches])
    counts = np.bincount(seen, minlength=4)
    assert counts.max() - counts.min() <= 1
    one, other = (
        [d.indices.tolist() for d in ClassBatches(pairs.class_of, batch, s)] for s in (3, 4)
    )
    assert one == [d.indices.tolist() for d in batches]
    assert one != other


def test_the_order_can_be_sought_as_for_aligned_pairs():
    pairs = ClassPairs(items([4] * 4), items([4] * 4))
    whole = [d.indices.tolist() for d in make_batches(pairs, 4, 0)]
    batches = make_batches(pairs, 4, 0)
    batches.seek(2)
    assert [d.indices.tolist() for d in batches] == whole[2:]
    aligned = load_synthetic(DataSettings(name="synthetic", limit=20)).train
    assert type(make_batches(aligned, 4, 0)) is AlignedBatches


def test_instances_are_told_by_their_names():
    x = items([2, 2])._replace(
        paths=np.array(["a/n1_7-1.png", "a/n1_7-2.png", "b/q-1.png", "b/z-1.png"])
    )
    y = items([1, 1])._replace(paths=np.array(["a/n1_7.jpg", "b/q.jpg"]))
    pairs = InstancePairs(x, y)
    assert pairs.matches.tolist() == [[0, 0], [1, 0], [2, 1]]
    pair = pairs.pairs(Draw(torch.arange(3), seed=5))
    assert torch.equal(pair.x, x.values[:3])
    assert torch.equal(pair.y, y.values[[0, 0, 1]])
    with pytest.raises(DataError, match="no x file matches a y file of its class"):
        InstancePairs(items([2]), items([2])._replace(paths=np.array(["e.png", "f.png"])))


def test_seen_and_unseen_classes_are_disjoint(tmp_path, split):
    parts = load(settings(write_npz(tmp_path / "f.npz"), split, validation=2))
    classes = [set(p.classes) for p in parts]
    assert classes[2] == {"c1", "c6"}
    assert len(classes[1]) == 2
    assert classes[0] | classes[1] == set(CLASSES) - classes[2]
    assert not classes[0] & classes[1]
    assert (len(parts.test.x.labels), len(parts.test.y.labels)) == (6, 10)
    assert "unseen (digest" in parts.test.split


def test_features_are_standardised_by_the_training_classes_alone(tmp_path, split):
    path = write_npz(tmp_path / "f.npz")
    plain_parts = load(settings(path, split))
    parts = standardised_splits(plain_parts)
    for side in "xy":
        train = getattr(parts.train, side).values
        torch.testing.assert_close(train.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
        torch.testing.assert_close(train.std(0), torch.ones(4), atol=1e-4, rtol=0)
        raw = getattr(plain_parts.train, side).values
        expected = (getattr(plain_parts.test, side).values - raw.mean(0)) / raw.std(0)
        torch.testing.assert_close(getattr(parts.test, side).values, expected, atol=1e-4, rtol=1e-3)


def write_authors(folder, x=None, y=None, test=("c6", "c7")):
    folder.mkdir()
    sides = (("sketch", x or items([3] * 8)), ("image", y or items([5] * 8)))
    for side, one in sides:
        for part, chosen in (
            ("train", np.isin(one.labels, test, invert=True)),
            ("test", np.isin(one.labels, test)),
        ):
            np.save(folder / f"{part}_{side}_features.npy", one.values.numpy()[chosen])
            paths = np.array([f"/somewhere/{p}" for p in one.paths[chosen]])
            np.save(folder / f"{part}_{side}_paths.npy", paths)
    return folder


def test_the_authors_files_are_read_and_say_what_is_unseen(tmp_path):
    parts = load(settings(write_authors(tmp_path / "split1")))
    assert set(parts.test.classes) == {"c6", "c7"}
    assert (len(parts.test.x.labels), len(parts.test.y.labels)) == (6, 10)


def test_classes_in_train_and_test_are_refused(tmp_path):
    folder = write_authors(tmp_path / "split1")
    paths = np.load(folder / "test_sketch_paths.npy")
    paths[0] = "/somewhere/c0/1.png"
    np.save(folder / "test_sketch_paths.npy", paths)
    with pytest.raises(DataError, match="classes in train and in test: c0"):
        load(settings(folder))


def test_class_folders_of_images_are_read(tmp_path, split):
    for side, colour in (("sketch", "white"), ("photo", "red")):
        for name in CLASSES:
            (tmp_path / side / name).mkdir(parents=True)
            for i in range(2 if side == "sketch" else 3):
                Image.new("RGB", (20, 20), colour).save(tmp_path / side / name / f"{i}.png")
    parts = load(settings(tmp_path, split, size=16))
    assert parts.train.shapes == ((3, 16, 16), (3, 16, 16))
    pair = parts.train.pairs(Draw(torch.arange(4), seed=0))
    assert pair.x.min() == 1
    assert pair.y[:, 1].max() == -1
    (tmp_path / "photo" / "c3" / "0.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"c3.0.png: not an image"):
        load(settings(tmp_path, split, size=16))
    for i in range(3):
        (tmp_path / "photo" / "c3" / f"{i}.png").unlink()
    with pytest.raises(DataError, match="photo: no images in c3"):
        load(settings(tmp_path, split, size=16))


def test_class_folders_are_found_whatever_lies_beside_them(tmp_path, split, caplog):
    for side, form in (("sketch", "NFC"), ("photo", "NFD")):
        for name in [*CLASSES, unicodedata.normalize(form, "café")]:
            (tmp_path / side / name / "deeper.png").mkdir(parents=True)
            for i in range(2):
                Image.new("RGB", (20, 20)).save(tmp_path / side / name / f"{i}.png")
        (tmp_path / side / ".checkpoints").mkdir()
        (tmp_path / side / "self").symlink_to(".")
    (tmp_path / "photo" / "c1" / "2.heic").touch()
    with caplog.at_level(logging.INFO, "iiae"):
        parts = load(settings(tmp_path, split, size=16))
    assert "photo: 1 file with other endings was left out: .heic" in caplog.text
    classes = {c for part in parts for c in part.classes}
    assert classes == {*CLASSES, unicodedata.normalize("NFC", "café")}


def test_a_list_of_classes_in_another_encoding_is_named(tmp_path):
    (tmp_path / "l.txt").write_bytes("c1\ncafé\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"l.txt: not text in UTF-8: line 2"):
        class_split(str(tmp_path / "l.txt"))
    (tmp_path / "l.txt").write_bytes("c1 \r\n\r\nc2".encode("utf-8-sig"))
    assert class_split(str(tmp_path / "l.txt")).unseen == ("c1", "c2")


def test_classes_in_other_scripts_are_told_apart():
    assert plain("Käse-Brot") == plain(unicodedata.normalize("NFD", "käse brot")) == "käse_brot"
    assert plain("猫") != plain("犬")


def test_wrong_collections_say_what_is_wrong(tmp_path, split):
    path = write_npz(tmp_path / "a.npz", x=items([3] * 7))
    with pytest.raises(
        DataError, match="one domain only: sketch alone has none; photo alone has c7"
    ):
        load(settings(path, split))
    path = write_npz(tmp_path / "b.npz", sketch_paths=np.array(["a"]))
    with pytest.raises(DataError, match="24 features, 24 classes and 1 paths"):
        load(settings(path, split))
    path = write_npz(tmp_path / "c.npz", sketch_features=np.array([[np.nan]] * 24))
    with pytest.raises(DataError, match="NaN or infinite features in row 0"):
        load(settings(path, split))
    np.savez(tmp_path / "d.npz", sketch_classes=np.array([object()], dtype=object))
    with pytest.raises(DataError, match="holds Python objects"):
        load(settings(tmp_path / "d.npz", split))
    path = write_npz(tmp_path / "e.npz")
    (tmp_path / "strange.txt").write_text("c1\nunicorn")
    with pytest.raises(DataError, match="has no class unicorn"):
        load(settings(path, tmp_path / "strange.txt"))
    with pytest.raises(DataError, match=r"data.split is missing"):
        load(settings(path))
    with pytest.raises(DataError, match="6 seen classes cannot give 5 for validation"):
        load(settings(path, split, validation=5))


def test_mixed_widths_in_the_authors_files_are_refused(tmp_path):
    folder = write_authors(tmp_path / "split1")
    wide = np.load(folder / "test_image_features.npy")
    np.save(folder / "test_image_features.npy", np.hstack([wide, wide]))
    with pytest.raises(DataError, match="image features are 4 wide in train and 8 in test"):
        load(settings(folder))


def test_a_backbone_that_knows_unseen_classes_is_warned_of(tmp_path, split, caplog):
    path = write_npz(tmp_path / "f.npz", backbone_labels=np.array(["old c1, x", "other"]))
    load(settings(path, split))
    assert "taught 1 of the 2 unseen classes" in caplog.text
    assert "c1 (old c1, x)" in caplog.text


def test_files_called_alike_in_two_classes_are_paired_within_their_class():
    x = items([2, 2])._replace(paths=np.array(["a/1-1.png", "a/2-1.png", "b/1-1.png", "b/2-1.png"]))
    y = items([2, 2])._replace(paths=np.array(["a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg"]))
    assert InstancePairs(x, y).matches.tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]


def test_two_instances_of_a_class_with_one_name_are_refused():
    x = items([1])._replace(paths=np.array(["a/1-1.png"]))
    y = items([2])._replace(paths=np.array(["a/1.jpg", "a/1.png"]))
    with pytest.raises(DataError, match=r"a/1.jpg and a/1.png: two instances of class"):
        InstancePairs(x, y)
