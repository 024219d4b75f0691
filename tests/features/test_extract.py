import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from iiae.data import load
from iiae.errors import DataError, SettingsError
from iiae.features.backbone import Backbone
from iiae.features.extract import extract_features
from iiae.settings import DataSettings


class Colours(nn.Module):
    """Features: the mean of each channel. Counts the images it is shown."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.shown = 0
        self.fail_after = 10**9

    def forward(self, pixel_values):
        self.shown += len(pixel_values)
        if self.shown > self.fail_after:
            raise KeyboardInterrupt
        return type("Output", (), {"pooler_output": pixel_values.mean((2, 3))})


@pytest.fixture
def backbone():
    return Backbone("colours", Colours(), 8, (0.0,) * 3, (1.0,) * 3, "d" * 16, ("a cup", "dog"))


def write_images(root, domains=("photo", "sketch"), classes=("a", "b", "c", "d"), count=3):
    shade = 0
    for domain in domains:
        for name in classes:
            folder = root / domain / name
            folder.mkdir(parents=True)
            for i in range(count):
                shade += 1
                Image.new("RGB", (10, 12), (shade, 0, 255)).save(folder / f"{i} ü.png")
    return root


def test_domains_and_classes_are_told_by_folders(tmp_path, backbone):
    root = write_images(tmp_path / "images")
    counts = extract_features(root, backbone, tmp_path / "f.npz", tmp_path / "cache", batch=5)
    assert counts == {"photo": 12, "sketch": 12}
    arrays = np.load(tmp_path / "f.npz")
    assert arrays["photo_classes"].tolist() == sorted("abcd" * 3)
    assert arrays["photo_paths"][0] == "a/0 ü.png"
    np.testing.assert_allclose(arrays["sketch_features"][:, 0] * 255, range(13, 25), atol=1e-3)
    assert arrays["backbone_labels"].tolist() == ["a cup", "dog"]


def test_averaged_features_are_means_of_three_views_and_kept_apart(tmp_path, backbone):
    root = write_images(tmp_path / "images", ("photo",))
    one, three = tmp_path / "f.npz", tmp_path / "a.npz"
    extract_features(root, backbone, one, tmp_path / "cache")
    assert backbone.model.shown == 12
    extract_features(root, backbone.averaging(), three, tmp_path / "cache")
    assert backbone.model.shown == 12 + 3 * 12
    extract_features(root, backbone.averaging(), three, tmp_path / "cache")
    assert backbone.model.shown == 12 + 3 * 12
    np.testing.assert_allclose(  # of flat colours, all views are alike
        np.load(three)["photo_features"], np.load(one)["photo_features"], atol=1e-5
    )
    assert str(np.load(three)["backbone"]).endswith("-averaged")


def test_views_have_two_other_sizes_and_a_mirror_image(backbone):
    seen = []
    backbone.model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["pixel_values"]), with_kwargs=True
    )
    images = torch.rand(1, 3, 12, 12)
    backbone._replace(side=12).averaging().embed(images)
    assert [tuple(view.shape[-2:]) for view in seen] == [(10, 10), (12, 12), (14, 14)]
    torch.testing.assert_close(seen[1], images.flip(-1) / 2 + 0.5)


def test_the_file_trains_a_model(tmp_path, backbone):
    root = write_images(tmp_path / "images")
    extract_features(root, backbone, tmp_path / "f.npz", tmp_path / "cache")
    (tmp_path / "split.txt").write_text("b")
    split = str(tmp_path / "split.txt")
    parts = load(DataSettings(name="classes", root=str(tmp_path / "f.npz"), unseen=split))
    assert parts.test.classes == ["b"]
    assert parts.train.shapes == ((3,), (3,))


def test_what_is_kept_is_not_computed_again_wherever_it_lies(tmp_path, backbone):
    root = write_images(tmp_path / "images")
    extract_features(root, backbone, tmp_path / "f.npz", tmp_path / "cache")
    assert backbone.model.shown == 24
    root.rename(tmp_path / "moved")
    extract_features(tmp_path / "moved", backbone, tmp_path / "g.npz", tmp_path / "cache")
    assert backbone.model.shown == 24
    one, other = np.load(tmp_path / "f.npz"), np.load(tmp_path / "g.npz")
    assert all(np.array_equal(one[name], other[name]) for name in one.files)
    extract_features(
        tmp_path / "moved",
        backbone._replace(digest="e" * 16),
        tmp_path / "h.npz",
        tmp_path / "cache",
    )
    assert backbone.model.shown == 48


def test_a_stopped_run_goes_on(tmp_path, backbone):
    root = write_images(tmp_path / "images")
    backbone.model.fail_after = 13
    with pytest.raises(KeyboardInterrupt):
        extract_features(root, backbone, tmp_path / "f.npz", tmp_path / "cache", batch=4)
    assert not (tmp_path / "f.npz").exists()
    backbone.model.fail_after = 10**9
    before = backbone.model.shown
    extract_features(root, backbone, tmp_path / "f.npz", tmp_path / "cache", batch=4)
    assert backbone.model.shown - before == 24 - 12


def test_one_folder_of_images_is_one_domain(tmp_path, backbone):
    root = write_images(tmp_path / "images", domains=(".",))
    assert extract_features(root, backbone, tmp_path / "f.npz", tmp_path / "cache") == {
        "images": 12
    }
    assert extract_features(root / "a", backbone, tmp_path / "g.npz", tmp_path / "c") == {"a": 3}


def test_features_are_written_to_npz_alone(tmp_path, backbone):
    root = write_images(tmp_path / "images", domains=("photo",), classes=("a",))
    image = root / "photo" / "a" / "0 ü.png"
    before = image.read_bytes()
    with pytest.raises(SettingsError, match="are written as"):
        extract_features(root, backbone, image, tmp_path / "cache")
    assert image.read_bytes() == before


def test_hidden_folders_links_and_other_files_are_no_classes(tmp_path, backbone, caplog):
    root = tmp_path / "images"
    write_images(root, classes=("a", "b"))
    before = extract_features(root, backbone, tmp_path / "f.npz", tmp_path / "cache")
    (root / ".cache" / "a").mkdir(parents=True)
    (root / "photo" / ".checkpoints").mkdir()
    (root / "self").symlink_to(".")
    (root / "photo" / "a" / "z.heic").touch()
    (root / "photo" / "a" / "gone.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(DataError, match=r"gone.png: no such file"):
        extract_features(root, backbone, tmp_path / "f.npz", tmp_path / "cache")
    after = extract_features(
        root, backbone, tmp_path / "f.npz", tmp_path / "cache", on_error="skip"
    )
    assert after == before
    assert "photo: 1 file with other endings was left out: .heic" in caplog.text


def test_broken_images_are_named_or_left_out(tmp_path, backbone, caplog):
    root = write_images(tmp_path / "images")
    (root / "photo" / "b" / "1 ü.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"1 ü.png: not an image"):
        extract_features(root, backbone, tmp_path / "f.npz", tmp_path / "cache")
    counts = extract_features(
        root, backbone, tmp_path / "f.npz", tmp_path / "cache", on_error="skip"
    )
    assert counts == {"photo": 11, "sketch": 12}
    assert "skipped 1 of" in caplog.text
    assert len(np.load(tmp_path / "f.npz")["photo_paths"]) == 11
    with pytest.raises(DataError, match="no such folder"):
        extract_features(tmp_path / "nowhere", backbone, tmp_path / "f.npz", tmp_path / "cache")
