import unicodedata

import pytest
import torch
from PIL import Image

from iiae.data import load
from iiae.errors import DataError
from iiae.settings import DataSettings
from iiae.types import Draw

RED, BLUE = (255, 0, 0), (0, 0, 255)


def side_by_side(path, left=RED, right=BLUE, width=32):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (width, 16), left)
    image.paste(right, (width // 2, 0, width, 16))
    image.save(path)


def settings(**values):
    return DataSettings(**{"size": 16, **values})


def test_the_left_half_is_x_and_the_right_half_y(tmp_path):
    for i in range(10):
        side_by_side(tmp_path / f"{i}.png")
    parts = load(settings(name="side-by-side", root=str(tmp_path)))
    assert sum(len(p) for p in parts) == 10
    pair = parts.train.pairs(Draw(torch.arange(3)))
    assert pair.x.shape == (3, 3, 16, 16)
    assert pair.x[:, :, 3, 3].tolist() == [[1, -1, -1]] * 3
    assert pair.y[:, :, 3, 3].tolist() == [[-1, -1, 1]] * 3


@pytest.mark.parametrize(
    ("given", "tested"),
    [
        ({"train": 20, "val": 3, "test": 4}, 4),
        ({"train": 20, "val": 3}, 3),
        ({"train": 20, "test": 4}, 4),
        ({"train": 20}, None),
    ],
)
def test_given_splits_are_kept_and_validation_never_comes_from_training(tmp_path, given, tested):
    for part, count in given.items():
        for i in range(count):
            side_by_side(tmp_path / part / f"{i}.png")
    parts = load(settings(name="side-by-side", root=str(tmp_path)))
    assert sum(len(p) for p in parts) == sum(given.values())
    assert len(parts.test) == (tested or len(parts.test))
    assert len(parts.validation) == 3 if len(given) == 3 else 0 < len(parts.validation) < 7
    files = [set(p.files) for p in parts]
    assert not (files[0] & files[1] or files[0] & files[2] or files[1] & files[2])
    if "test" in given:
        assert all(f.x.parent.name == "test" for f in files[2])


def test_two_folders_are_matched_by_name_whatever_the_ending(tmp_path):
    names = ["b", "a ä", "日本", "c"]
    for side, ending, colour in (("l", "png", RED), ("r", "jpg", BLUE)):
        (tmp_path / side).mkdir()
        for name in names:
            Image.new("RGB", (20, 30), colour).save(tmp_path / side / f"{name}.{ending}")
    parts = load(settings(name="two-folders", x=str(tmp_path / "l"), y=str(tmp_path / "r")))
    files = [f for p in parts for f in p.files]
    assert len(files) == 4
    assert all(f.x.stem == f.y.stem for f in files)
    assert parts.train.pairs(Draw(torch.arange(2))).x[0, 0].min() == 1


def test_files_without_a_partner_are_named(tmp_path):
    for side, names in (("l", "abc"), ("r", "acd")):
        (tmp_path / side).mkdir()
        for name in names:
            Image.new("RGB", (4, 4)).save(tmp_path / side / f"{name}.png")
    with pytest.raises(DataError) as error:
        load(settings(name="two-folders", x=str(tmp_path / "l"), y=str(tmp_path / "r")))
    missing = f"{tmp_path / 'l' / 'b.png'}, {tmp_path / 'r' / 'd.png'}"
    assert str(error.value).startswith(f"no partner of the same name for {missing}; rename them")


def test_names_are_one_however_their_accents_are_written(tmp_path):
    for side, form in (("l", "NFC"), ("r", "NFD")):
        (tmp_path / side).mkdir()
        for i in range(5):
            name = unicodedata.normalize(form, f"café {i}.png")
            Image.new("RGB", (4, 4)).save(tmp_path / side / name)
    parts = load(settings(name="two-folders", x=str(tmp_path / "l"), y=str(tmp_path / "r")))
    assert sum(map(len, parts)) == 5
    Image.new("RGB", (4, 4)).save(tmp_path / "l" / unicodedata.normalize("NFD", "café 0.png"))
    with pytest.raises(DataError, match="have one name; which is meant"):
        load(settings(name="two-folders", x=str(tmp_path / "l"), y=str(tmp_path / "r")))


def test_two_files_of_one_name_are_refused(tmp_path):
    for side in "lr":
        (tmp_path / side).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / side / "a.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "l" / "a.jpg")
    with pytest.raises(DataError, match="have one name; which is meant"):
        load(settings(name="two-folders", x=str(tmp_path / "l"), y=str(tmp_path / "r")))


def test_an_odd_width_is_refused_by_name(tmp_path):
    for i in range(5):
        side_by_side(tmp_path / f"{i}.png", width=33)
    with pytest.raises(DataError, match=r"\d.png: is 33 pixels wide; .* even width"):
        load(settings(name="side-by-side", root=str(tmp_path)))


def test_too_few_and_missing_folders_are_said(tmp_path, monkeypatch):
    side_by_side(tmp_path / "only.png")
    with pytest.raises(DataError, match="1 pair; at least 4 are needed"):
        load(settings(name="side-by-side", root=str(tmp_path)))
    monkeypatch.setenv("IIAE_DATA", str(tmp_path))
    with pytest.raises(
        DataError, match=r"data.root = nowhere: no such folder; looked in nowhere and"
    ):
        load(settings(name="side-by-side", root="nowhere"))
    with pytest.raises(DataError, match=r"data.x is missing"):
        load(settings(name="two-folders"))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "sizes"), [("facades", [400, 100, 106]), ("maps", [979, 117, 1098])]
)
def test_the_published_sets_have_their_sizes(real_data, name, sizes):
    parts = load(DataSettings(name="side-by-side", root=str(real_data / name), size=16))
    assert [len(p) for p in parts] == sizes
