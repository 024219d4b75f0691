import logging
import sys

import pytest
import torch

from iiae.errors import DataError, MissingExtra
from iiae.features.backbone import load_backbone


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny vision model, saved as `transformers` saves one."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("backbone")
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], id2label={0: "cat", 1: "dog"}
    )
    torch.manual_seed(0)
    transformers.ResNetModel(config).half().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        '{"size": {"height": 32, "width": 32}, "image_mean": [0.5, 0.4, 0.3], '
        '"image_std": [0.2, 0.2, 0.25]}'
    )
    return folder


def test_images_of_any_size_become_pooled_features(folder):
    backbone = load_backbone(folder)
    assert (backbone.side, backbone.classes) == (32, ("cat", "dog"))
    features = backbone.embed(torch.rand(3, 3, 40, 50) * 2 - 1)
    assert features.shape == (3, 12)
    assert features.dtype == torch.float32


def test_images_are_normalised_as_the_model_was_trained(folder):
    backbone = load_backbone(folder)
    grey = torch.zeros(1, 3, 32, 32)
    expected = torch.tensor([0.0, 0.5, 0.8])
    torch.testing.assert_close(backbone.prepare(grey)[0, :, 5, 5], expected)


def test_the_digest_is_of_the_weights(folder):
    one, same = load_backbone(folder), load_backbone(folder)
    assert one.digest == same.digest
    assert len(one.digest) == 16


def test_what_is_no_model_is_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="cannot be loaded"):
        load_backbone(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        load_backbone("./nowhere")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match="extra 'features'"):
        load_backbone(tmp_path)


def test_the_hub_is_named_and_its_client_kept_quiet(monkeypatch, caplog, capfd):
    transformers = pytest.importorskip("transformers")
    client = logging.getLogger("huggingface_hub")
    before = client.level

    def ask(name):
        client.warning("Retrying")
        raise OSError("no answer")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", ask)
    caplog.set_level("INFO", "iiae")
    with pytest.raises(DataError, match="backbone ada/b: cannot be loaded: no answer"):
        load_backbone("ada/b")
    assert "no folder of that name here, so the Hugging Face hub is asked" in caplog.text
    assert "Retrying" not in caplog.text + capfd.readouterr().err
    assert client.level == before


@pytest.mark.data
def test_mobilenet_agrees_with_the_features_at_hand(real_data):
    import numpy as np

    from iiae.files.images import read_image

    backbone = load_backbone(real_data / "weights" / "mobilenet_v2_imagenet")
    known = np.load(real_data / "sketchy" / "mobilenet_v2_features.npz")
    cosines = []
    for row in range(0, 3125, 400):
        path = real_data / "sketchy" / "photo" / str(known["photo_paths"][row])
        features = backbone.embed(read_image(path, (3, 128, 128))[None])[0]
        expected = torch.from_numpy(known["photo_features"][row].astype(np.float32))
        cosines.append(torch.cosine_similarity(features, expected, dim=0).item())
    # theirs were taken from images of twice the side
    assert np.median(cosines) > 0.8
