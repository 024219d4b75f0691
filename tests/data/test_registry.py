import numpy as np
import pytest
import torch
from PIL import Image

from helpers import write_images
from iiae.data import DATASETS, DataSet, check_shapes, export_pairs, fetch, load
from iiae.data.registry import find
from iiae.data.synthetic import SyntheticPairs
from iiae.errors import DataError, SettingsError
from iiae.files.folders import image_files
from iiae.files.images import image_tensor, open_sized, read_image
from iiae.settings import DataSettings
from iiae.types import Draw


def test_an_unknown_data_set_names_the_closest():
    with pytest.raises(DataError, match=r"did you mean mnist-cdcb\?"):
        load(DataSettings(name="mnist-cbcd"))
    with pytest.raises(DataError, match="there are mnist-cdcb, digits-cdcb"):
        find("zebra")


def test_synthetic_pairs_share_what_they_say():
    pairs = SyntheticPairs(3000, seed=0)
    x, y = pairs.pairs(Draw(torch.arange(3000)))[:2]
    design = torch.cat([pairs.shared, pairs.exclusive[0]], 1)

    def explained(target, given):
        fit = given @ torch.linalg.lstsq(given, target).solution
        return 1 - ((target - fit) ** 2).sum() / ((target - target.mean(0)) ** 2).sum()

    assert explained(x, design) > 0.8
    assert explained(x, pairs.exclusive[1]) < 0.02
    assert explained(y, pairs.shared) > 0.3
    assert explained(y, pairs.exclusive[0]) < 0.02


def test_sets_of_synthetic_pairs_differ_but_mix_alike():
    train, _, test = load(DataSettings(name="synthetic", limit=500, validation=50, test=500))
    assert not torch.equal(train.x, test.x)
    design, other = (torch.cat([part.shared, part.exclusive[0]], 1) for part in (train, test))
    mixing = torch.linalg.lstsq(design, train.x).solution
    assert (other @ mixing - test.x).square().mean() < 0.2 * test.x.var()


def test_pairs_are_exported_as_pictures(tmp_path):
    pairs = load(DataSettings(name="digits-cdcb", size=16)).test
    assert export_pairs(pairs, tmp_path, 3) == 3
    assert list(image_files(tmp_path / "x")) == ["0000.png", "0001.png", "0002.png"]
    image = read_image(tmp_path / "y" / "0001.png", (3, 16, 16))
    torch.testing.assert_close(image, pairs.pairs(Draw(torch.tensor([1]))).y[0], atol=0.005, rtol=0)
    digits = load(DataSettings(name="digits-cdcb", size=16)).test
    export_pairs(digits, tmp_path / "by", 2, by="digit")
    first, second = digits.labels[:2]
    named = sorted([f"{first}/0000.png", f"{second}/0001.png"])
    assert sorted(image_files(tmp_path / "by" / "y")) == named
    with pytest.raises(DataError, match="only images"):
        export_pairs(SyntheticPairs(5, 0), tmp_path, 3)


def test_a_data_set_without_files_says_so():
    assert fetch("synthetic", None) == "synthetic needs no files of its own"
    assert fetch("two-folders", None) == "two-folders takes files of yours: data.x and data.y"


OTHER = {
    "factors": ("type",),
    "root": "a",
    "x": "a",
    "y": "a",
    "flip": True,
    "crop": 0.1,
    "turn": True,
    "pad": True,
    "bands": 4,
    "degrade": 0.5,
    "on_error": "skip",
    "split": "sake25",
    "pairing": "instance",
    "size": 64,
    "validation": 3,
    "test": 3,
    "buffer": 5,
    "limit": 9,
    "columns": "a",
    "covariates": ("a",),
}


@pytest.mark.parametrize("name", DATASETS)
def test_settings_that_a_data_set_does_not_read_are_refused(name):
    assert OTHER.keys() | {"name", "names", "seed", "missing"} == DataSettings.model_fields.keys()
    for setting in OTHER.keys() - DATASETS[name].reads:
        with pytest.raises(SettingsError, match=rf"data.{setting} = .*: has no effect on {name}; "):
            load(DataSettings(**{"name": name, setting: OTHER[setting]}))


def test_data_sets_read_what_they_say(tmp_path):
    read = set()

    class Recorder(DataSettings):
        def __getattribute__(self, name):
            read.add(name)
            return super().__getattribute__(name)

    names = [f"{i}.png" for i in range(12)]
    for folder in ("x", "y", "x/a", "x/b", "x/c", "x/d", "y/a", "y/b", "y/c", "y/d"):
        write_images(tmp_path / folder, names, seed=len(folder))
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"x/{n},y/{n}\n" for n in names))
    np.savez(tmp_path / "a.npz", x=np.eye(12), y=np.eye(12))
    (tmp_path / "unseen.txt").write_text("d")
    x, y = str(tmp_path / "x"), str(tmp_path / "y")
    given = {
        "digits-cdcb": {},
        "synthetic": {},
        "arrays": {"x": str(tmp_path / "a.npz")},
        "two-folders": {"x": x, "y": y},
        "side-by-side": {"root": x},
        "table": {"root": str(tmp_path / "t.csv")},
        "classes": {
            "root": str(tmp_path), "x": "x", "y": "y", "split": str(tmp_path / "unseen.txt"),
        },
    }  # fmt: skip
    for name, values in given.items():
        settings = Recorder(name=name, **values)
        read.clear()
        DATASETS[name].load(settings)
        by_itself = DATASETS[name].reads - {"degrade"}  # which `load` reads for all
        assert read & OTHER.keys() == by_itself, name


def test_settings_of_images_are_refused_where_the_data_is_vectors(tmp_path):
    arrays = {}
    for side in ("sketch", "photo"):
        arrays[f"{side}_features"] = np.random.default_rng(0).normal(size=(12, 4))
        arrays[f"{side}_classes"] = np.repeat(list("abcd"), 3)
        arrays[f"{side}_paths"] = np.array([f"{i}.png" for i in range(12)])
    np.savez(tmp_path / "f.npz", unseen=np.array(["d"]), **arrays)
    settings = DataSettings(name="classes", root=str(tmp_path / "f.npz"))
    assert load(settings).train.shapes == ((4,), (4,))
    with pytest.raises(SettingsError, match=r"data.size: has no effect on vectors"):
        load(settings.model_copy(update={"size": 64}))


def test_a_registered_function_reads_every_setting_unless_it_says_otherwise(monkeypatch):
    seen = []
    kept = load(DataSettings(name="synthetic", limit=20))
    own = DataSet(lambda settings: seen.append(settings.crop) or kept)
    monkeypatch.setitem(DATASETS, "own", own)
    assert load(DataSettings(name="own", crop=0.5, buffer=3)) is kept
    assert seen == [0.5]


@pytest.mark.parametrize(
    ("shapes", "taken", "message"),
    [
        (((13,), (4,)), ((12,), (4,)), "x has 13 values, the model takes 12"),
        (((3,), (3, 8, 8)), ((3,), (3, 16, 16)), "y has shape 3x8x8, the model takes 3x16x16; "),
        (((3, 8, 8), (3,)), ((192,), (3,)), "x has shape 3x8x8, the model takes 192"),
    ],
)
def test_shapes_that_a_model_does_not_take_are_named(shapes, taken, message):
    check_shapes(taken, taken)
    with pytest.raises(DataError, match=message):
        check_shapes(shapes, taken)


def test_images_of_every_mode_are_read_as_a_person_expects(tmp_path):
    def value(image, name="a.png", channels=3):
        image.save(tmp_path / name)
        pixels = read_image(tmp_path / name, (channels, 2, 2))
        assert pixels.shape == (channels, 2, 2)
        return [round(v, 2) for v in pixels[:, 0, 0].tolist()]

    assert value(Image.new("RGB", (4, 4), (255, 0, 0))) == [1, -1, -1]
    assert value(Image.new("L", (4, 4), 255)) == [1, 1, 1]
    assert value(Image.new("RGB", (4, 4), (255, 255, 255)), channels=1) == [1]
    assert value(Image.new("RGBA", (4, 4), (0, 0, 0, 0))) == [1, 1, 1]
    assert value(Image.fromarray(np.full((4, 4), 65535, np.uint16))) == [1, 1, 1]
    assert value(Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "a.tif") == [1, 1, 1]
    assert value(Image.new("P", (4, 4))) == [-1, -1, -1]
    assert value(Image.fromarray(np.full((4, 4), 0.5, np.float32)), "a.tif") == [0, 0, 0]
    assert value(Image.fromarray(np.full((4, 4), 65535, np.int32)), "a.tif") == [1, 1, 1]


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("f4", 0, 255), ("f4", -1000, 1000), ("f4", 0, np.nan), ("i4", 0, 2e9), ("i4", -50, 50)],
)
def test_images_of_values_in_no_known_range_are_named_with_it(tmp_path, kind, low, high):
    pixels = np.linspace(low, high, 64).reshape(8, 8).astype(kind)
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a.tif: values from .* to .*, but .* scale them"):
        read_image(tmp_path / "a.tif", (3, 8, 8))


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_one_ramp_is_read_alike_from_every_kind_of_number(tmp_path, kind):
    top = {"u1": 255, "u2": 65535, "f4": 1}[kind]
    ramp = (np.tile(np.arange(16) / 15, (16, 1)) * top).round(6).astype(kind)
    Image.fromarray(ramp).save(tmp_path / "a.tif")
    expected = torch.arange(16) / 7.5 - 1
    image = read_image(tmp_path / "a.tif", (1, 16, 16))
    torch.testing.assert_close(image, expected.expand(1, 16, 16), atol=0.005, rtol=0)


def test_a_missing_file_whose_name_has_backslashes_says_what_to_write(tmp_path):
    with pytest.raises(DataError, match=r"no such file; write / between folders, not \\$"):
        read_image(tmp_path / "left\\000.png", (3, 8, 8))


def test_exif_rotation_is_obeyed(tmp_path):
    image = Image.new("RGB", (2, 2))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by half a circle
    image.save(tmp_path / "a.png", exif=exif)
    pixels = read_image(tmp_path / "a.png", (1, 2, 2))
    assert pixels[0].tolist() == [[-1, -1], [-1, 1]]


def smooth_jpeg(path, width, height, **options):
    """Gradients and a disc: what an area mean can be exact about."""
    down, along = np.mgrid[0:height, 0:width] / max(width, height)
    disc = ((down - 0.3) ** 2 + (along - 0.4) ** 2 < 0.05) * 0.5
    pixels = np.stack([down, along, disc], 2) * 255
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=95, **options)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_in_part_with_the_same_result(tmp_path, orientation):
    path, exif = tmp_path / "a.jpg", Image.Exif()
    exif[0x0112] = orientation
    smooth_jpeg(path, 1200, 960, exif=exif)
    whole, size = open_sized(path)
    part, same = open_sized(path, side=16)
    assert same == size == whole.size == ((1200, 960) if orientation == 1 else (960, 1200))
    assert part.size == tuple(n // 8 for n in size)
    shape = (3, 16, 16)
    difference = (image_tensor(whole, shape) - read_image(path, shape)).abs()
    assert difference.mean() < 1 / 127.5
    assert difference.max() < 12 / 127.5  # at the disc's edge


def test_a_large_jpeg_cut_off_is_named_all_the_same(tmp_path):
    path = tmp_path / "a.jpg"
    smooth_jpeg(path, 1200, 900)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(DataError, match=r"a.jpg: damaged or cut off"):
        read_image(path, (3, 16, 16))


def test_images_of_a_few_times_the_side_are_decoded_in_full(tmp_path):
    smooth_jpeg(tmp_path / "a.jpg", 190, 190)
    assert open_sized(tmp_path / "a.jpg", side=16)[0].size == (190, 190)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"hello", "not an image"), ("cut", "damaged or cut off")],
)
def test_images_that_cannot_be_read_are_named(tmp_path, content, message):
    path = tmp_path / "bild ö.png"
    if content == "cut":
        noise = np.random.default_rng(0).integers(0, 256, (50, 50, 3)).astype(np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif content:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_image(path, (3, 8, 8))
    assert "bild ö.png" in str(error.value)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    Image.new("L", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match=r"bomb.png: too many pixels"):
        read_image(tmp_path / "bomb.png", (1, 8, 8))
