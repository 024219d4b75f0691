import numpy as np
from PIL import Image

from helpers import save_run, small_settings, write_images


def test_images_become_a_grid_or_a_folder(digits_run, digits, iiae):
    picture = digits / "grid.png"
    code, _, err = iiae(
        "translate", digits_run, digits / "x", "--to", "y", "--samples", 2, "--out", picture
    )
    assert code == 0, err
    with Image.open(picture) as image:
        assert image.width > 3 * 64
    code, _, err = iiae(
        "translate", digits_run, digits / "y" / "0000.png", digits / "y" / "0001.png",
        "--to", "x", "--like", digits / "x" / "0002.png", "--out", digits / "folder",
    )  # fmt: skip
    assert code == 0, err
    assert sorted(p.name for p in (digits / "folder").iterdir()) == ["0000.png", "0001.png"]


def test_domains_are_asked_for_by_name_or_letter(tmp_path, iiae, monkeypatch):
    save_run(tmp_path / "run", small_settings('data.names=["sketch", "photo"]'))
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(3, 32)))
    monkeypatch.chdir(tmp_path)
    for to, domain in (("photo", "sketch"), ("y", "x")):
        code, _, err = iiae("translate", "run", "a.npy", "--to", to, "--out", f"{to}.npy")
        assert code == 0, err
        code, _, err = iiae("embed", "run", "a.npy", "--domain", domain, "--out", f"z{to}.npy")
        assert code == 0, err
    for name in ("{}.npy", "z{}.npy"):
        assert (np.load(name.format("photo")) == np.load(name.format("y"))).all()


def test_translate_names_what_is_wrong_with_its_input(digits_run, tmp_path, iiae):
    (tmp_path / "broken.png").write_bytes(b"no image")
    code, _, err = iiae("translate", digits_run, tmp_path / "broken.png", "--to", "y")
    assert (code, "broken.png: not an image" in err) == (2, True)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in "ab":
        Image.new("RGB", (16, 16)).save(tmp_path / folder / "same.png")
    code, _, err = iiae(
        "translate", digits_run, tmp_path / "a" / "same.png", tmp_path / "b" / "same.png",
        "--to", "y", "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 2
    assert "two inputs are called same" in err


def test_names_of_translations_decide_their_form(iiae, tmp_path, monkeypatch):
    save_run(tmp_path / "run")
    write_images(tmp_path / "in", ["a.png", "b.png"])
    monkeypatch.chdir(tmp_path)
    translated = ("translate", "run", "in", "--to", "y", "--out")
    assert iiae(*translated, "results.v2")[0] == 0
    assert sorted(p.name for p in (tmp_path / "results.v2").iterdir()) == ["a.png", "b.png"]
    assert iiae(*translated, "grid.JPEG")[0] == 0
    with Image.open(tmp_path / "grid.JPEG") as image:
        assert image.format == "JPEG"
    (tmp_path / "folder.png").mkdir()
    assert iiae(*translated, "folder.png")[0] == 0
    assert len(list((tmp_path / "folder.png").iterdir())) == 2
    for option in (("--grid", "g.png"), ("--full-size",)):
        code, _, err = iiae(*translated, "grid.png", *option)
        assert code == 2
        assert "--grid and --full-size go with a folder; --out grid.png is one picture" in err
    assert iiae("translate", "run", "in", "--to", "y")[0] == 0
    assert (tmp_path / "translation.png").is_file()


def test_translated_features_are_npy_and_take_no_options_of_images(iiae, tmp_path, monkeypatch):
    save_run(tmp_path / "run", small_settings())
    np.save(tmp_path / "x.npy", np.zeros((3, 32)))
    monkeypatch.chdir(tmp_path)
    translated = ("translate", "run", "x.npy", "--to", "y")
    assert iiae(*translated)[0] == 0
    assert iiae(*translated, "--out", "model.v1.2")[0] == 0
    assert {p.name for p in tmp_path.iterdir()} == {
        "run", "x.npy", "translation.npy", "model.v1.2.npy",
    }  # fmt: skip
    code, _, err = iiae(*translated, "--out", "z.npz")
    assert code == 2 and "z.npz: translated vectors are written to .npy, .csv or .tsv" in err
    for option in (("--full-size",), ("--grid", "g.png"), ("--spread",)):
        code, _, err = iiae(*translated, *option)
        assert code == 2
        assert "are for images, not for features" in err


def test_a_folder_is_embedded(digits_run, digits, iiae):
    (digits / "x" / "broken.png").write_bytes(b"no image")
    output = digits / "z.npz"
    common = ("embed", digits_run, digits / "x", "--out", output)
    words = ("--domain", "x", "--block", "exclusive")
    code, _, err = iiae(*common, *words)
    assert (code, output.exists()) == (2, False)
    assert err == f"DataError: {digits}/x/broken.png: not an image that can be read\n"
    _, out, err = iiae(*common, *words, "--on-error", "skip")
    assert out == f"wrote 3 rows into {output}; 1 left out, see {output}.failed.jsonl\n"
    with np.load(output) as arrays:
        assert arrays["path"].tolist() == ["0000.png", "0001.png", "0002.png"]
        assert arrays["vector"].shape == (3, 2)
    common = ("embed", digits_run, digits / "x" / "broken.png", "--out", output)
    code, _, err = iiae(*common, *words, "--on-error", "skip")
    assert code == 1
    assert "NothingReadable: none of 1 samples could be read; the first: " in err


def test_tiles_write_images_at_their_own_size_and_wrong_ones_are_explained(
    digits_run, iiae, tmp_path
):
    Image.new("RGB", (70, 41)).save(tmp_path / "wide.png")
    given = ("translate", digits_run, tmp_path / "wide.png", "--to", "y")
    code, out, err = iiae(*given, "--tiles", "16", "--out", tmp_path / "out")
    assert (code, out.splitlines()[-1]) == (
        0,
        f"wrote translations of 1 image to {tmp_path / 'out'}",
    ), err
    with Image.open(tmp_path / "out" / "wide.png") as image:
        assert image.size == (70, 41)
    for wrong, says in (("a", "write SIZE,OVERLAP"), ("16,16", "the size must be above")):
        code, _, err = iiae(*given, "--tiles", wrong, "--out", tmp_path / "out")
        assert code == 2
        assert says in err
    code, _, err = iiae(*given, "--tiles", "16", "--out", tmp_path / "one.png")
    assert code == 2 and "--out FOLDER" in err
