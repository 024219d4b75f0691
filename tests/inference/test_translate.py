from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helpers import save_run, small_settings
from iiae.errors import DataError
from iiae.files.decoding import Batch, Skipped, read_batches
from iiae.files.images import read_image
from iiae.files.sources import open_source
from iiae.inference import translate as translating
from iiae.inference.exclusive import ExclusiveSource
from iiae.inference.picture_files import Translated, TranslationOutputs, _size, evenly
from iiae.inference.translate import translate_array, translate_files
from iiae.model.build import build_model
from iiae.model.translation import draw_exclusive, exclusive_means, interpolate, translate
from iiae.run_folder import StoredRun
from iiae.settings import make_settings
from iiae.types import PerDomain

SHAPE = (3, 16, 16)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    values = {"data": {"name": "digits-cdcb", "size": 16}, "model": {"shared": 2, "width": 4}}
    settings = make_settings(values)
    torch.manual_seed(0)
    model = build_model(settings.model, settings.objective, (SHAPE, SHAPE)).eval()
    return StoredRun(tmp_path_factory.mktemp("run"), settings, model, PerDomain(SHAPE, SHAPE))


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
    assert translate_files(run, [folder], "y", TranslationOutputs(folder=tmp_path / "out")) == 70
    assert {p.name for p in (tmp_path / "out").iterdir()} == {p.name for p in folder.iterdir()}
    for name in ("a ü 00.png", "a ü 69.png"):
        source = read_image(folder / name, SHAPE)[None]
        expected = as_bytes(translate(run.model, source, "y")[0])
        assert np.abs(pixels(tmp_path / "out" / name) - expected).max() <= 1


def test_the_aspect_of_the_source_is_kept(run, tmp_path):
    folder = write_images(tmp_path / "in", 1, size=(90, 60))
    translate_files(run, [folder], "y", TranslationOutputs(folder=tmp_path / "small"))
    translate_files(
        run, [folder], "y", TranslationOutputs(folder=tmp_path / "full", full_size=True)
    )
    assert pixels(tmp_path / "small" / "a ü 00.png").shape == (16, 24, 3)
    assert pixels(tmp_path / "full" / "a ü 00.png").shape == (60, 90, 3)


def test_padding_is_cut_off_again(run, tmp_path):
    data = run.settings.data.model_copy(update={"pad": True})
    padded = run._replace(settings=run.settings.model_copy(update={"data": data}))
    folder = write_images(tmp_path / "in", 1, size=(90, 60))
    translate_files(
        padded, [folder], "y", TranslationOutputs(folder=tmp_path / "full", full_size=True)
    )
    translate_files(padded, [folder], "y", TranslationOutputs(folder=tmp_path / "out"))
    assert pixels(tmp_path / "full" / "a ü 00.png").shape == (60, 90, 3)
    source = open_source([folder], SHAPE, "x", pad=True).read([0])[0].values[None]
    inner = translate(run.model, source, "y")[0][:, 2:13]  # 16 x 11 of 16 x 16
    expected = Image.fromarray(as_bytes(inner).astype(np.uint8)).resize((16, 11))
    made = Image.open(tmp_path / "out" / "a ü 00.png").resize((16, 11))
    assert np.abs(np.asarray(made).astype(int) - np.asarray(expected)).mean() < 12


def test_folder_and_grid_come_together(run, tmp_path):
    folder = write_images(tmp_path / "in")
    outputs = TranslationOutputs(tmp_path / "out", tmp_path / "grid.png", spread=True)
    translate_files(run, [folder], "x", outputs, ExclusiveSource(samples=2))
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names[:3] == ["a ü 00 sample 1.png", "a ü 00 sample 2.png", "a ü 00 spread.png"]
    assert len(names) == 9
    assert pixels(tmp_path / "grid.png").shape[1] > 3 * 64


def test_draws_repeat_for_a_seed_and_differ_between_seeds(run, tmp_path):
    folder = write_images(tmp_path / "in", 1)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        chosen = ExclusiveSource(samples=1, seed=seed)
        translate_files(run, [folder], "y", TranslationOutputs(folder=tmp_path / name), chosen)
    one, same, other = (pixels(tmp_path / n / "a ü 00 sample 1.png") for n in "abc")
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_interpolation_goes_from_one_reference_to_the_other(run, tmp_path):
    folder = write_images(tmp_path / "in", 3)
    files = sorted(folder.iterdir())
    chosen = ExclusiveSource(like=files[1:], interpolate=3)
    translate_files(run, [files[0]], "y", TranslationOutputs(folder=tmp_path / "out"), chosen)
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
        translate_files(run, [folder], "y", TranslationOutputs(folder=tmp_path / "out"))
    done = translate_files(
        run, [folder], "y", TranslationOutputs(folder=tmp_path / "out2"), on_error="skip"
    )
    assert done == 3
    assert "skipped 1 of 4 samples" in caplog.text


def test_a_folder_is_not_called_like_a_document(run, tmp_path):
    folder = write_images(tmp_path / "in", 2)
    with pytest.raises(DataError, match=r"grid\.pdf: translated images are written into a folder"):
        translate_files(run, [folder], "y", TranslationOutputs(tmp_path / "grid.pdf"))


def test_a_spread_needs_at_least_two_samples(run, tmp_path):
    folder = write_images(tmp_path / "in", 2)
    outputs = TranslationOutputs(folder=tmp_path / "out", spread=True)
    with pytest.raises(DataError, match="at least 2 samples"):
        translate_files(run, [folder], "y", outputs, ExclusiveSource(samples=1))


def test_without_references_interpolation_is_between_draws(run, tmp_path):
    folder = write_images(tmp_path / "in", 2)
    outputs = TranslationOutputs(folder=tmp_path / "out")
    assert translate_files(run, [folder], "y", outputs, ExclusiveSource(interpolate=2)) == 2
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"{p.stem} step {step}.png" for p in folder.iterdir() for step in (1, 2)}


def test_numbers_of_references_are_checked(run, tmp_path):
    files = sorted(write_images(tmp_path / "in", 3).iterdir())
    outputs = TranslationOutputs(folder=tmp_path / "out")
    with pytest.raises(DataError, match="2 references; give one, or --interpolate"):
        translate_files(run, files[:1], "y", outputs, ExclusiveSource(like=files[:2]))
    with pytest.raises(DataError, match="3 references to interpolate between; give two"):
        translate_files(run, files[:1], "y", outputs, ExclusiveSource(like=files, interpolate=4))


def test_names_that_differ_in_case_alone_clash(run, tmp_path):
    for folder, name in (("a", "One.png"), ("b", "one.png")):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (16, 16)).save(tmp_path / folder / name)
    with pytest.raises(DataError, match="two inputs are called one"):
        translate_files(
            run, [tmp_path / "a", tmp_path / "b"], "y", TranslationOutputs(folder=tmp_path / "o")
        )


@pytest.mark.parametrize("name", ["folder", "grid", "reference", "spread"])
def test_an_output_never_replaces_an_input(run, tmp_path, name):
    folder = write_images(tmp_path / "in", 2)
    one, two = sorted(folder.iterdir())
    spread = one.rename(folder / f"{two.stem} spread.png")
    draws = ExclusiveSource(samples=2)
    inputs, outputs, exclusive = {
        "folder": (
            [two],
            TranslationOutputs(folder=tmp_path / "in" / ".." / "in"),
            ExclusiveSource(),
        ),
        "grid": ([two], TranslationOutputs(grid=two), ExclusiveSource()),
        "reference": ([two], TranslationOutputs(grid=spread), ExclusiveSource(like=[spread])),
        "spread": ([folder], TranslationOutputs(folder=folder, spread=True), draws),
    }[name]
    before = {file: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(DataError, match="is an input, which the output would replace"):
        translate_files(run, inputs, "y", outputs, exclusive)
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_batches_are_decoded_in_order_whatever_their_size(tmp_path):
    source = open_source([write_images(tmp_path / "in", 11)], SHAPE, "x")
    batches = list(read_batches(source, 4, Skipped("stop")))
    assert [len(b.numbers) for b in batches] == [4, 4, 3]
    assert [i for b in batches for i in b.numbers] == list(range(11))
    for batch in batches:
        for i, image in zip(batch.numbers, batch.values, strict=True):
            assert torch.equal(image, read_image(Path(source.path(i)), SHAPE))


def test_a_reference_gives_its_own_exclusive_mean(run):
    images = torch.rand(2, *SHAPE) * 2 - 1
    means = exclusive_means(run.model, images, "x")
    torch.testing.assert_close(means, run.model.encode_x(images).exclusive.mean)
    assert draw_exclusive(run.model, "x", 3, torch.Generator().manual_seed(0)).shape == (3, 8)


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_translations_have_a_bounded_longer_side(width, height):
    size = _size((16, 16), (width, height), full_size=False)
    longer, shorter = max(width, height), min(width, height)
    assert max(size) <= max(16, min(longer, 16 * 16))
    assert min(size) >= 1
    if shorter >= 16 and longer <= 16 * shorter:
        assert min(size) == 16
        assert max(size) == round(16 * longer / shorter)
    assert _size((16, 16), (width, 3), full_size=True) == (width, 3)


def test_draws_in_blocks_are_those_at_once(run, tmp_path, monkeypatch):
    folder = write_images(tmp_path / "in", 3)
    chosen = ExclusiveSource(samples=7)
    for name, most in (("one", 2**28), ("many", 1)):
        monkeypatch.setattr(translating, "BLOCK_BYTES", most)
        outputs = TranslationOutputs(tmp_path / name, tmp_path / f"{name}.png", spread=True)
        translate_files(run, [folder], "y", outputs, chosen)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) == 3 * 8
    for name in files:
        one, many = (pixels(tmp_path / part / name) for part in ("one", "many"))
        assert np.abs(one - many).max() <= 1
    assert np.abs(pixels(tmp_path / "one.png") - pixels(tmp_path / "many.png")).max() <= 1


def test_the_spread_is_the_deviation_over_the_draws():
    made = torch.rand(9, 2, *SHAPE)
    batch = Batch([], torch.zeros(2, *SHAPE), [])
    moments = Translated(batch, [0, 8], spread=True)
    for first in (0, 4, 8):
        moments.add(first, made[first : first + 4])
    torch.testing.assert_close(moments.spread, made.std(0).mean(1), atol=1e-5, rtol=0)
    assert torch.equal(torch.stack(moments.shown), made[[0, 8]])


def test_a_grid_of_many_draws_shows_some_of_them_evenly(run, tmp_path):
    folder = write_images(tmp_path / "in", 1)
    for steps in (16, 40):
        outputs = TranslationOutputs(grid=tmp_path / f"{steps}.png")
        translate_files(run, [folder], "y", outputs, ExclusiveSource(interpolate=steps))
    assert pixels(tmp_path / "16.png").shape[0] == pixels(tmp_path / "40.png").shape[0]
    assert evenly(40, 16)[::15] == [0, 39]
    assert evenly(3, 16) == [0, 1, 2]


@pytest.mark.parametrize(
    "many", [ExclusiveSource(samples=1001), ExclusiveSource(interpolate=10**9)]
)
def test_draws_and_steps_have_a_limit(run, tmp_path, many):
    folder = write_images(tmp_path / "in", 1)
    with pytest.raises(DataError, match="draws or steps; at most 1,000"):
        translate_files(run, [folder], "y", TranslationOutputs(folder=tmp_path / "out"), many)
    assert not (tmp_path / "out").exists()


def test_a_grid_has_the_format_of_its_name(run, tmp_path):
    folder = write_images(tmp_path / "in", 1)
    translate_files(run, [folder], "y", TranslationOutputs(grid=tmp_path / "a.webp"))
    with Image.open(tmp_path / "a.webp") as image:
        assert image.format == "WEBP"
    with pytest.raises(DataError, match=r"a.v2: a grid is an image: .*\.png"):
        translate_files(run, [folder], "y", TranslationOutputs(grid=tmp_path / "a.v2"))


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return save_run(tmp_path_factory.mktemp("features"), small_settings())


@pytest.mark.parametrize(
    ("name", "written"),
    [("t.npy", "t.npy"), ("model.v1.2", "model.v1.2.npy")],
)
def test_rows_are_written_as_npy_under_the_name_given(features, tmp_path, name, written):
    rows = np.random.default_rng(0).normal(size=(6, 32))
    np.save(tmp_path / "x.npy", rows)
    out = translate_array(features, [tmp_path / "x.npy"], "y", tmp_path / name)
    assert out == tmp_path / written
    source = torch.from_numpy(rows).float()
    np.testing.assert_array_equal(np.load(out), translate(features.model, source, "y"))
    with pytest.raises(DataError, match=r"t.png: translated vectors are written to .npy, .csv"):
        translate_array(features, [tmp_path / "x.npy"], "y", tmp_path / "t.png")
    draws = ExclusiveSource(samples=3, seed=2)
    translate_array(features, [tmp_path / "x.npy"], "y", out, draws)
    latents = draw_exclusive(features.model, "y", 3, torch.Generator().manual_seed(2))
    for row, z in zip(np.load(out), latents, strict=True):
        expected = translate(features.model, source, "y", exclusive=z[None])
        np.testing.assert_allclose(row, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.float32(3), r"x.npy: has shape \(\); the model takes rows of 32 values"),
        (np.zeros((0, 32)), "x.npy: holds no rows"),
        (np.zeros((2, 32, 1)), "takes rows of 32 values"),
        (np.zeros((2, 31)), r"has shape \(2, 31\); the model takes rows of 32 values"),
        (np.full((2, 32), np.nan), "x.npy: row 0: NaN or infinite values"),
        (np.full((2, 32), 1e300), "too large for float32"),
    ],
)
def test_rows_that_cannot_be_translated_are_refused(features, tmp_path, rows, message):
    np.save(tmp_path / "x.npy", rows)
    with pytest.raises(DataError, match=message):
        translate_array(features, [tmp_path / "x.npy"], "y", tmp_path / "t.npy")


def test_rows_outside_the_range_of_a_likelihood_are_refused(features, tmp_path):
    settings = small_settings("objective.x.kind=bernoulli")
    np.save(tmp_path / "x.npy", np.full((2, 32), 7.0))
    with pytest.raises(DataError, match=r"x.npy: values from 7 to 7; bernoulli is of values in"):
        translate_array(
            features._replace(settings=settings), [tmp_path / "x.npy"], "y", tmp_path / "t.npy"
        )
