import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from iiae.data.base import Splits
from iiae.data.classes.collections import Labelled
from iiae.data.classes.pairs import ClassPairs
from iiae.errors import DataError, MissingExtra, RunError, SettingsError
from iiae.features import finetune as tuning
from iiae.features.backbone import Backbone, load_backbone, load_backbones
from iiae.features.extract import extract_features
from iiae.features.finetune import SHARES, TuneSettings, _blend, finetune
from iiae.settings import DataSettings

CLASSES = [f"c{i}" for i in range(8)]


@pytest.fixture
def images(tmp_path):
    """Class folders of images, their split, and a small backbone in `backbone`."""
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
    return DataSettings(
        name="classes",
        root=str(tmp_path / "images"),
        unseen=str(tmp_path / "split.txt"),
        validation=2,
    )


@pytest.mark.slow
def test_a_tuned_backbone_is_the_best_of_those_tried_on_held_out_classes(images, tmp_path, caplog):
    before = load_backbone(tmp_path / "backbone")
    digest = before.digest
    first, *_, last = [tensor.clone() for tensor in before.model.parameters()]
    settings = TuneSettings(epochs=2, batch=16, side=32, frozen=0.5, mixup=0.4)
    with caplog.at_level("INFO", "iiae"):
        (chosen,) = finetune(images, before, tmp_path / "tuned", settings)
    tuned = load_backbone(tmp_path / "tuned")
    assert tuned.digest != digest
    assert tuned.side == chosen.side
    assert torch.equal(next(tuned.model.parameters()), first)  # the first half is frozen
    assert not torch.equal(list(tuned.model.parameters())[-1], last)
    tries = re.findall(r"(\d+)% of the change, (\d+) pixels: mAP@all (\S+)", caplog.text)
    tried = {(int(share), int(side)): float(quality) for share, side, quality in tries}
    best = round(100 * chosen.share)
    assert tried.keys() == {(round(100 * s), 37) for s in SHARES} | {(best, 32), (best, 48)}
    assert (
        tried[best, chosen.side] == max(tried.values()) == pytest.approx(chosen.quality, abs=1e-4)
    )
    assert (before.taught, tuned.taught) == ("", "both")


@pytest.mark.slow
def test_backbones_tuned_apart_give_features_taught_apart(images, tmp_path, monkeypatch):
    settings = TuneSettings(epochs=1, batch=16, side=32, epochs_y=2)
    fitted = []
    fit = tuning._fit_backbone
    monkeypatch.setattr(
        tuning, "_fit_backbone", lambda b, t, s: fitted.append((t.domain, s.epochs)) or fit(b, t, s)
    )
    backbone = load_backbone(tmp_path / "backbone")
    written = finetune(images, backbone, tmp_path / "tuned", settings, apart=True)
    assert [one.folder.name for one in written] == ["sketch", "photo"]
    both = load_backbones(tmp_path / "tuned")
    assert {name: one.taught for name, one in both.items()} == {
        "sketch": "sketch",
        "photo": "photo",
    }
    assert both["sketch"].digest != both["photo"].digest
    assert fitted == [("x", 1), ("y", 2)]
    with pytest.raises(SettingsError, match="epochs_y is for one backbone a domain"):
        finetune(images, backbone, tmp_path / "joint", settings)
    features = tmp_path / "f.npz"
    extract_features(tmp_path / "images", both, features, tmp_path / "cache")
    assert np.load(features)["protocol"].tolist() == ["apart"]
    extract_features(tmp_path / "images", both["photo"], features, tmp_path / "cache")
    assert np.load(features)["protocol"].tolist() == ["joint"]  # one network for both domains
    with pytest.raises(DataError, match="no backbone was trained on sketch; there are photo"):
        extract_features(tmp_path / "images", {"photo": both["photo"]}, features)


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
    monkeypatch.setattr(tuning, "load_classes", lambda data: pairs)
    monkeypatch.setattr(tuning, "_fit_backbone", lambda *given: pytest.fail("went on"))
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


@pytest.mark.parametrize("settings", [TuneSettings(mixup=float("nan")), TuneSettings(frozen=1.0)])
def test_settings_of_tuning_out_of_range_are_named(tmp_path, settings):
    backbone = Backbone("b", nn.Identity(), 32, (0.5,) * 3, (0.5,) * 3, "", ())
    with pytest.raises(SettingsError, match="must be from 0 to"):
        finetune(DataSettings(name="classes"), backbone, tmp_path / "out", settings)
