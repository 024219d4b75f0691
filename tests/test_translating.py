import numpy as np
import pytest
import torch
from PIL import Image

from iiae.data.decoding import decode_batches, expand_files
from iiae.data.images import read_image
from iiae.errors import DataError
from iiae.model import build_model
from iiae.runs import Run
from iiae.settings import make_settings
from iiae.tasks.translation import draw_exclusive, exclusive_means, interpolate, translate
from iiae.translating import Exclusive, Outputs, translate_files

SHAPE = (3, 16, 16)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    values = {"data": {"name": "digits-cdcb", "size": 16}, "model": {"shared": 2, "width": 4}}
    settings = make_settings(values)
    torch.manual_seed(0)
    model = build_model(settings.model, settings.objective, (SHAPE, SHAPE)).eval()
    return Run(tmp_path_factory.mktemp("run"), settings, model, (SHAPE, SHAPE))


def write_images(folder, count=3, size=(16, 16)):
    folder.mkdir(exist_ok=True, parents=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        noise = rng.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"a ü {i:02d}.png")
    return folder


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def as_bytes(values):
    return ((values.clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).numpy().astype(int)


def test_every_file_is_translated_under_its_own_name(run, tmp_path):
    folder = write_images(tmp_path / "in", 70)
    assert translate_files(run, [folder], "y", Outputs(folder=tmp_path / "out")) == 70
    assert {p.name for p in (tmp_path / "out").iterdir()} == {p.name for p in folder.iterdir()}
    for name in ("a ü 00.png", "a ü 69.png"):
        source = read_image(folder / name, SHAPE)[None]
        expected = as_bytes(translate(run.model, source, "y")[0])
        assert np.abs(pixels(tmp_path / "out" / name) - expected).max() <= 1


def test_the_aspect_of_the_source_is_kept(run, tmp_path):
    folder = write_images(tmp_path / "in", 1, size=(90, 60))
    translate_files(run, [folder], "y", Outputs(folder=tmp_path / "small"))
    translate_files(run, [folder], "y", Outputs(folder=tmp_path / "full", full_size=True))
    assert pixels(tmp_path / "small" / "a ü 00.png").shape == (16, 24, 3)
    assert pixels(tmp_path / "full" / "a ü 00.png").shape == (60, 90, 3)


def test_folder_and_grid_come_together(run, tmp_path):
    folder = write_images(tmp_path / "in")
    outputs = Outputs(tmp_path / "out", tmp_path / "grid.png", spread=True)
    translate_files(run, [folder], "x", outputs, Exclusive(samples=2))
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names[:3] == ["a ü 00 draw 1.png", "a ü 00 draw 2.png", "a ü 00 spread.png"]
    assert len(names) == 9
    assert pixels(tmp_path / "grid.png").shape[1] > 3 * 64


def test_draws_repeat_for_a_seed_and_differ_between_seeds(run, tmp_path):
    folder = write_images(tmp_path / "in", 1)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        chosen = Exclusive(samples=1, seed=seed)
        translate_files(run, [folder], "y", Outputs(folder=tmp_path / name), chosen)
    one, same, other = (pixels(tmp_path / n / "a ü 00 draw 1.png") for n in "abc")
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_interpolation_goes_from_one_reference_to_the_other(run, tmp_path):
    folder = write_images(tmp_path / "in", 3)
    files = sorted(folder.iterdir())
    chosen = Exclusive(like=files[1:], interpolate=3)
    translate_files(run, [files[0]], "y", Outputs(folder=tmp_path / "out"), chosen)
    source = read_image(files[0], SHAPE)[None]
    for step, file in ((1, files[1]), (3, files[2])):
        like = read_image(file, SHAPE)[None]
        expected = as_bytes(translate(run.model, source, "y", like=like)[0])
        made = pixels(tmp_path / "out" / f"a ü 00 step {step}.png")
        assert np.abs(made - expected).max() <= 1


def test_steps_of_an_interpolation_are_even():
    line = interpolate(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 1.0]), 5)
    assert line.tolist() == [[0, 1], [0.5, 1], [1, 1], [1.5, 1], [2, 1]]
    with pytest.raises(DataError, match="1 steps; interpolation has at least 2"):
        interpolate(torch.zeros(2), torch.ones(2), 1)


def test_unreadable_files_are_named_or_skipped_and_counted(run, tmp_path, caplog):
    folder = write_images(tmp_path / "in", 4)
    (folder / "a ü 02.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a ü 02.png: not an image"):
        translate_files(run, [folder], "y", Outputs(folder=tmp_path / "out"))
    done = translate_files(run, [folder], "y", Outputs(folder=tmp_path / "out2"), on_error="skip")
    assert done == 3
    assert "skipped 1 of 4 files" in caplog.text


@pytest.mark.parametrize(
    ("exclusive", "spread", "message"),
    [
        (Exclusive(samples=1), True, "at least 2 samples"),
        (Exclusive(interpolate=2), False, None),
    ],
)
def test_options_that_do_not_fit_are_refused(run, tmp_path, exclusive, spread, message):
    folder = write_images(tmp_path / "in", 2)
    outputs = Outputs(folder=tmp_path / "out", spread=spread)
    if message is None:
        assert translate_files(run, [folder], "y", outputs, exclusive) == 2
        return
    with pytest.raises(DataError, match=message):
        translate_files(run, [folder], "y", outputs, exclusive)


def test_numbers_of_references_are_checked(run, tmp_path):
    files = sorted(write_images(tmp_path / "in", 3).iterdir())
    outputs = Outputs(folder=tmp_path / "out")
    with pytest.raises(DataError, match="2 references; give one, or --interpolate"):
        translate_files(run, files[:1], "y", outputs, Exclusive(like=files[:2]))
    with pytest.raises(DataError, match="3 references to interpolate between; give two"):
        translate_files(run, files[:1], "y", outputs, Exclusive(like=files, interpolate=4))


def test_names_that_differ_in_case_alone_clash(run, tmp_path):
    for folder, name in (("a", "One.png"), ("b", "one.png")):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (16, 16)).save(tmp_path / folder / name)
    with pytest.raises(DataError, match="two inputs are called one"):
        translate_files(run, [tmp_path / "a", tmp_path / "b"], "y", Outputs(folder=tmp_path / "o"))


@pytest.mark.parametrize("name", ["folder", "grid", "reference", "spread"])
def test_an_output_never_replaces_an_input(run, tmp_path, name):
    folder = write_images(tmp_path / "in", 2)
    one, two = sorted(folder.iterdir())
    spread = one.rename(folder / f"{two.stem} spread.png")
    draws = Exclusive(samples=2)
    inputs, outputs, exclusive = {
        "folder": ([two], Outputs(folder=tmp_path / "in" / ".." / "in"), Exclusive()),
        "grid": ([two], Outputs(grid=two), Exclusive()),
        "reference": ([two], Outputs(grid=spread), Exclusive(like=[spread])),
        "spread": ([folder], Outputs(folder=folder, spread=True), draws),
    }[name]
    before = {file: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(DataError, match="is an input, which the output would replace"):
        translate_files(run, inputs, "y", outputs, exclusive)
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_batches_are_decoded_in_order_whatever_their_size(tmp_path):
    files = expand_files([write_images(tmp_path / "in", 11)])
    batches = list(decode_batches(files, SHAPE, 4))
    assert [len(b.files) for b in batches] == [4, 4, 3]
    assert [f for b in batches for f in b.files] == files
    for batch in batches:
        for file, image in zip(batch.files, batch.images, strict=True):
            assert torch.equal(image, read_image(file, SHAPE))


def test_a_reference_gives_its_own_exclusive_mean(run):
    images = torch.rand(2, *SHAPE) * 2 - 1
    found = exclusive_means(run.model, images, "x")
    torch.testing.assert_close(found, run.model.encode_x(images).exclusive.mean)
    assert draw_exclusive(run.model, "x", 3, torch.Generator().manual_seed(0)).shape == (3, 8)
