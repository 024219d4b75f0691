import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from helpers import write_images
from iiae.data import load
from iiae.data.base import Splits
from iiae.data.classes.collections import Labelled
from iiae.data.classes.pairs import ClassPairs, load_classes
from iiae.errors import DataError, MissingExtra, RunError, SettingsError
from iiae.features import supervised
from iiae.features.backbone import Backbone, load_backbone
from iiae.features.supervised import (
    SHARES,
    HeadSettings,
    TuneSettings,
    _blend,
    _map,
    finetune,
    train_head,
)
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


def test_a_head_does_not_see_unseen_or_validation_items(data, tmp_path):
    steps = HeadSettings(size=8, steps=5, batch=16)
    train_head(data, tmp_path / "one.npz", steps)
    arrays = dict(np.load(data.root))
    seen = load(data).train.classes
    for side in ("sketch", "photo"):
        other = ~np.isin(arrays[f"{side}_classes"], seen)
        arrays[f"{side}_features"][other] *= -3
    np.savez(data.root, **arrays)
    train_head(data, tmp_path / "two.npz", steps)
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
    found = load(given.model_copy(update={"root": str(out)}))
    assert found.train.shapes == ((16,), (16,))
    assert found.test.classes == ["c1", "c5"]


def test_a_head_never_replaces_the_features_it_is_made_of(data, tmp_path):
    with pytest.raises(DataError, match="is an input"):
        train_head(data, Path(data.root))


def test_a_head_says_when_the_domains_have_features_of_different_networks(data, tmp_path):
    arrays = dict(np.load(data.root))
    arrays["photo_features"] = arrays["photo_features"][:, :7]
    np.savez(data.root, **arrays)
    with pytest.raises(DataError, match="20 wide in x and 7 in y"):
        train_head(data, tmp_path / "out.npz")


def test_a_head_says_that_images_need_features_first(data, tmp_path):
    for side in ("sketch", "photo"):
        for name in CLASSES:
            write_images(tmp_path / "images", [f"{side}/{name}/{i}.png" for i in range(2)])
    given = data.model_copy(update={"root": str(tmp_path / "images")})
    with pytest.raises(DataError, match="iiae features"):
        train_head(given, tmp_path / "out.npz")


@pytest.mark.slow
def test_a_tuned_backbone_is_the_best_of_those_tried_on_held_out_classes(tmp_path, caplog):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1])
    transformers.ResNetModel(config).save_pretrained(tmp_path / "backbone")
    (tmp_path / "backbone" / "preprocessor_config.json").write_text('{"size": 32}')
    colours = np.random.default_rng(0).integers(0, 256, (6, 3))
    for side in ("sketch", "photo"):
        for name, colour in zip(CLASSES, colours, strict=False):
            folder = tmp_path / "images" / side / name
            folder.mkdir(parents=True)
            for i in range(8):
                Image.new("RGB", (40, 40), tuple(map(int, colour))).save(folder / f"{i}.png")
    (tmp_path / "split.txt").write_text("c1")
    data = DataSettings(
        name="classes",
        root=str(tmp_path / "images"),
        split=str(tmp_path / "split.txt"),
        validation=2,
    )
    before = load_backbone(tmp_path / "backbone")
    digest = before.digest
    first, *_, last = [tensor.clone() for tensor in before.model.parameters()]
    settings = TuneSettings(epochs=2, batch=16, side=32, frozen=0.5, mixup=0.4)
    with caplog.at_level("INFO", "iiae"):
        found = finetune(data, before, tmp_path / "tuned", settings)
    tuned = load_backbone(tmp_path / "tuned")
    assert tuned.digest != digest
    assert tuned.side == found.side
    assert torch.equal(next(tuned.model.parameters()), first)  # the first half is frozen
    assert not torch.equal(list(tuned.model.parameters())[-1], last)
    tries = re.findall(r"(\d+)% of the change, (\d+) pixels: mAP@all (\S+)", caplog.text)
    tried = {(int(share), int(side)): float(quality) for share, side, quality in tries}
    best = round(100 * found.share)
    assert tried.keys() == {(round(100 * s), 37) for s in SHARES} | {(best, 32), (best, 48)}
    assert tried[best, found.side] == max(tried.values()) == pytest.approx(found.quality, abs=1e-4)
    held_out = load_classes(data.model_copy(update={"size": 37})).validation
    assert _map(tuned.embed, held_out) == pytest.approx(found.quality, abs=1e-6)


def test_quality_is_of_domains_scaled_as_in_training():
    """An offset and a scale of one domain change nothing."""
    generator = np.random.default_rng(0)
    labels = np.repeat(CLASSES, 6)
    centres = np.repeat(generator.standard_normal((8, 5)), 6, axis=0)
    x, y = (centres + generator.standard_normal((48, 5)) for _ in range(2))

    def side(values):
        return Labelled(torch.from_numpy(values).float(), labels, labels)

    plain = _map(lambda part: part, ClassPairs(side(x), side(y)))
    moved = _map(lambda part: part, ClassPairs(side(x), side(5 + 3 * y)))
    assert moved == pytest.approx(plain, abs=1e-6)
    assert 0.2 < plain < 1


def test_a_blend_of_weights_lies_between_its_ends():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    start = {name: torch.zeros_like(t) for name, t in network.state_dict().items()}
    end = {name: torch.full_like(t, 4) for name, t in network.state_dict().items()}
    counted = network[1].num_batches_tracked.clone()
    _blend(network, start, end, 0.25)
    assert all((t == 1).all() for t in network.parameters())
    assert (network[1].running_var == 1).all()
    assert network[1].num_batches_tracked == counted


def test_what_cannot_be_saved_is_said_before_tuning(tmp_path, monkeypatch):
    pairs = Splits(*[ClassPairs(*[Labelled(torch.zeros(2, 1), np.array(["a", "b"]), [])] * 2)] * 3)
    monkeypatch.setattr(supervised, "load_classes", lambda data: pairs)
    monkeypatch.setattr(supervised, "_fit_backbone", lambda *given: pytest.fail("went on"))
    backbone = Backbone("made up", nn.Linear(1, 1), 32, (0.0,) * 3, (1.0,) * 3, "d" * 16, ())
    with pytest.raises(MissingExtra, match="saving a backbone"):
        finetune(DataSettings(name="classes"), backbone, tmp_path / "out")
    backbone.model.save_pretrained = None
    (tmp_path / "out").touch()
    with pytest.raises(RunError, match="out: cannot be written to"):
        finetune(DataSettings(name="classes"), backbone, tmp_path / "out")


def test_a_tuned_backbone_does_not_replace_the_one_it_came_from(tmp_path, iiae):
    given = ("images", "--backbone", tmp_path, "--unseen", "sake25", "-o", tmp_path)
    code, _, errors = iiae("finetune", *given)
    assert code == 2
    assert errors.startswith("DataError: ")
    assert "is an input, which the output would replace" in errors


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


@pytest.mark.parametrize("settings", [TuneSettings(mixup=float("nan")), TuneSettings(frozen=1.0)])
def test_settings_of_tuning_out_of_range_are_named(tmp_path, settings):
    backbone = Backbone("b", nn.Identity(), 32, (0.5,) * 3, (0.5,) * 3, "", ())
    with pytest.raises(SettingsError, match="must be from 0 to"):
        finetune(DataSettings(name="classes"), backbone, tmp_path / "out", settings)


def test_a_head_may_be_trained_without_mixing(data, tmp_path):
    steps = HeadSettings(size=8, steps=3, batch=16, mixup=0.0)
    assert train_head(data, tmp_path / "head.npz", steps) > 0
