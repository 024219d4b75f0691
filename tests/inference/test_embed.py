# ruff: noqa: F811 (fixtures that are imported)
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from embedded import IMAGES, images, read, run  # noqa: F401
from helpers import program, small_settings
from iiae.errors import DataError, MissingExtra, RunError, SettingsError
from iiae.files.images import read_image
from iiae.files.sources import open_source
from iiae.inference import embed as embedding
from iiae.inference.embed import Embedder, embed_files, embed_here
from iiae.model.columns import block_columns
from iiae.run_folder import load_run
from iiae.training import fit


@pytest.fixture(scope="module")
def features_run(tmp_path_factory):
    path = tmp_path_factory.mktemp("embed") / "run"
    fit(small_settings(), path, progress=False)
    return path


def test_names_that_cannot_be_written_and_links_in_circles(run, images, tmp_path):
    os.rename(images / "ü" / "00.png", os.fsencode(images) + b"/caf\xe9.png")
    os.rename(images / "ü" / "02.png", images / "two\nlines.png")
    (images / "self").symlink_to(".")
    done = embed_files(run, images, tmp_path / "z.npy", "x", on_error="skip")
    assert (done.rows, done.failed) == (9, 3)
    names, vectors = read(done.output)
    assert len(names) == len(vectors) == 9
    failed = {json.loads(line)["path"] for line in done.failures.read_text().splitlines()}
    assert failed == {"'caf\\xe9.png'", "'two\\nlines.png'", "a b/broken.jpg"}


def test_rows_without_a_finite_latent_are_left_out_and_named(features_run, tmp_path):
    values = np.ones((5, 32))
    values[1], values[2], values[3, 0] = 1e300, 3.4e38, np.nan
    np.save(tmp_path / "x.npy", values)
    words = (features_run, tmp_path / "x.npy", tmp_path / "z.npz", "x")
    done = embed_files(*words, on_error="skip")
    assert read(done.output)[0] == ["x.npy#0", "x.npy#4"]
    why = [json.loads(line)["error"] for line in done.failures.read_text().splitlines()]
    assert sorted(why) == [
        f"{tmp_path}/x.npy: row 1: values too large for float32 (above 3.4e38)",
        f"{tmp_path}/x.npy: row 3: NaN or infinite values",
        "x.npy#2: its latent is not finite; the values are too large for the model",
    ]
    with pytest.raises(DataError, match=r"x.npy: row 1: values too large"):
        embed_files(*words)
    np.save(tmp_path / "x.npy", values[:0])
    with pytest.raises(DataError, match="holds no rows"):
        embed_files(features_run, tmp_path / "x.npy", tmp_path / "z.npz", "x")


@pytest.mark.parametrize("suffix", [".parquet", ".npz", ".npy"])
def test_rows_are_posterior_means_in_the_order_of_paths(run, images, tmp_path, suffix):
    done = embed_files(run, images, tmp_path / f"z{suffix}", "x", batch=4, shard=5, on_error="skip")
    names, vectors = read(done.output)
    assert names == sorted(names)
    assert (len(names), done.rows, done.failed) == (11, 11, 1)
    model, shape = load_run(run).model, (3, 16, 16)
    for name, vector in zip(names, vectors, strict=True):
        image = read_image(images / name, shape)[None]
        expected = block_columns(model, image, "x", "shared")[0].numpy()
        np.testing.assert_allclose(vector, expected, rtol=1e-4, atol=1e-5)
    failures = [json.loads(line) for line in done.failures.read_text().splitlines()]
    assert [f["path"] for f in failures] == ["a b/broken.jpg"]
    assert "not an image" in failures[0]["error"]
    assert not list(tmp_path.glob("*.parts"))


@pytest.mark.parametrize(
    ("block", "domain", "parts"),
    [
        ("shared", "x", ["shared"]),
        ("exclusive", "y", ["exclusive"]),
        ("both", "x", ["shared", "exclusive"]),
    ],
)
def test_a_block_is_the_posterior_means_of_its_latents(run, images, tmp_path, block, domain, parts):
    done = embed_files(run, images, tmp_path / "z.npy", domain, block=block, on_error="skip")
    names, vectors = read(done.output)
    values = torch.stack([read_image(images / name, (3, 16, 16)) for name in names])
    posteriors = load_run(run).model.encoder(domain)(values)
    expected = torch.cat([getattr(posteriors, part).mean for part in parts], 1).detach()
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)


def test_features_are_rows_of_an_array(features_run, tmp_path):
    values = np.random.default_rng(0).normal(size=(10, 32))
    values[3, 5] = np.nan
    np.save(tmp_path / "x.npy", values)
    done = embed_files(
        features_run, tmp_path / "x.npy", tmp_path / "z.npz", "x", shard=4, on_error="skip"
    )
    names, vectors = read(done.output)
    assert names == [f"x.npy#{i}" for i in range(10) if i != 3]
    x = torch.from_numpy(np.delete(values, 3, 0).astype(np.float32))
    expected = block_columns(load_run(features_run).model, x, "x", "shared")
    np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)
    assert "row 3: NaN" in done.failures.read_text()


def test_a_stopped_embedding_goes_on_and_ends_the_same(run, images, tmp_path):
    words = {"batch": 2, "shard": 3, "on_error": "skip"}
    whole = embed_files(run, images, tmp_path / "whole.npz", "x", **words)

    def stops(job, shards):
        for shard, count in zip(shards[:2], embed_here(job, shards), strict=False):
            assert shard.file.is_file()
            yield count
        raise KeyboardInterrupt

    arguments = (run, images, tmp_path / "parts.npz", "x")
    with pytest.raises(KeyboardInterrupt):
        embed_files(*arguments, **words, engine=stops)
    assert not (tmp_path / "parts.npz").exists()
    seen = []
    done = embed_files(
        *arguments, **words, progress=lambda count, total: seen.append((count, total))
    )
    assert done.resumed >= 2
    assert seen[0][0] >= 6
    assert seen[-1] == (12, 12)
    assert done.output.read_bytes()[-2000:] == whole.output.read_bytes()[-2000:]
    for one, other in zip(read(done.output), read(whole.output), strict=True):
        assert np.array_equal(one, other)


def test_shards_of_another_block_or_changed_files_are_not_taken_up(run, images, tmp_path):
    def nothing(job, shards):
        list(Embedder(job).write(shards[:1]))
        return []

    arguments = (run, images, tmp_path / "z.npz", "x")
    words = {"shard": 3, "on_error": "skip"}
    with pytest.raises(RunError, match="was not written; repeat the command to resume"):
        embed_files(*arguments, **words, engine=nothing)
    assert embed_files(*arguments, **words, block="exclusive").resumed == 0
    with pytest.raises(RunError, match="was not written"):
        embed_files(*arguments, **words, engine=nothing)
    first = sorted(images.rglob("*.png"))[0]
    os.utime(first, (1, 1))
    assert embed_files(*arguments, **words).resumed == 0


@pytest.mark.parametrize(
    ("source", "output", "kind", "message"),
    [
        ("images", "z.csv", SettingsError, "ends in none of .parquet, .npy, .npz"),
        ("nowhere", "z.npy", DataError, "no such file or folder"),
        ("empty", "z.npy", DataError, "holds no images"),
        ("x.npy", "z.npy", DataError, "the model takes images of"),
    ],
)
def test_what_cannot_be_embedded_is_named(run, images, tmp_path, source, output, kind, message):
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "x.npy", np.zeros((3, 4)))
    with pytest.raises(kind, match=message):
        embed_files(run, tmp_path / source, tmp_path / output, "x")


def test_an_output_never_replaces_its_source(features_run, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 32)))
    before = (tmp_path / "x.npy").read_bytes()
    with pytest.raises(DataError, match="is an input"):
        embed_files(features_run, tmp_path / "x.npy", tmp_path / "a" / ".." / "x.npy", "x")
    assert (tmp_path / "x.npy").read_bytes() == before


def test_features_that_do_not_fit_are_named(features_run, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 4)))
    with pytest.raises(DataError, match=r"has shape \(3, 4\); the model takes rows of 32 values"):
        embed_files(features_run, tmp_path / "x.npy", tmp_path / "z.npy", "x")
    np.save(tmp_path / "o.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(DataError, match="holds Python objects"):
        embed_files(features_run, tmp_path / "o.npy", tmp_path / "z.npy", "x")
    with pytest.raises(DataError, match=r"the model takes rows of 32 values; give an \.npy"):
        embed_files(features_run, tmp_path, tmp_path / "z.npy", "x")


def test_without_pyarrow_the_extra_is_named(run, images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r"pip install 'iiae\[data\]'"):
        embed_files(run, images, tmp_path / "z.parquet", "x")


@pytest.mark.parametrize("size", [1, 100])
def test_reading_is_ahead_of_the_model_by_a_few_batches_and_no_more(run, images, tmp_path, size):
    """Also where the next batches are of other shards."""
    source = open_source([images], (3, 16, 16), "x")
    job = embedding.Job(run, source, "x", "shared", 1, 2, tmp_path / "parts", "skip")
    embedder = Embedder(job)
    read, known = [], []
    original = source.read
    source.read = lambda numbers: read.extend(numbers) or original(numbers)

    def embed(numbers, values):
        time.sleep(0.1)
        known.append(len(read))
        return np.zeros((len(values), len(embedder.columns())), np.float32)

    embedder._embed = embed
    numbers = range(len(source))
    shards = [
        embedding.Shard(numbers[i : i + size], tmp_path / f"{i}.npz") for i in numbers[::size]
    ]
    assert sum(embedder.write(shards)) == len(source)
    assert 1 < known[0] <= embedding.AHEAD + 1
    assert sorted(read) == list(numbers)


@pytest.mark.slow
def test_memory_is_flat(features_run, tmp_path):
    peaks = []
    for rows in (20_000, 200_000):
        source = tmp_path / f"{rows}.npy"
        np.save(source, np.random.default_rng(0).normal(size=(rows, 32)).astype(np.float32))
        done = subprocess.run(
            program("embed_memory", features_run, source, tmp_path / f"{rows}-z.npy"),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks.append(int(done.stdout) / 1024)
    # MiB; the names of 180,000 rows more, and pages of the mapped input, which the system may
    # take back: 66
    assert peaks[1] - peaks[0] < 100, peaks


def test_rows_are_embedded_with_the_covariates_of_their_own(run_of_batches, tmp_path):
    done, x, batch = run_of_batches
    file, columns = done.folder.parent / "x.npy", tmp_path / "cells.csv"
    columns.write_text("batch\n" + "\n".join(batch) + "\n")
    words = (done.folder, file, tmp_path / "z.npz", "x")
    embed_files(*words, columns=columns, batch=7, shard=20)
    expected = done.embed(x=x, covariates={"batch": batch}).shared
    np.testing.assert_allclose(read(tmp_path / "z.npz")[1], expected, atol=1e-5)
    columns.write_text("batch\n" + "two\n" * 60)
    embed_files(*words, columns=columns)
    assert np.abs(read(tmp_path / "z.npz")[1] - expected).max() > 1e-4


def test_covariates_are_asked_for_where_a_run_takes_them_and_refused_elsewhere(
    run_of_batches, features_run, tmp_path
):
    done, _, batch = run_of_batches
    words = (done.folder, done.folder.parent / "x.npy", tmp_path / "z.npz", "x")
    with pytest.raises(SettingsError, match="takes covariates, batch; give columns=FILE"):
        embed_files(*words)
    columns = tmp_path / "cells.csv"
    columns.write_text("batch\n" + "\n".join(batch[:50]) + "\n")
    with pytest.raises(DataError, match="batch has 50 rows for 60 samples"):
        embed_files(*words, columns=columns)
    columns.write_text("batch\n" + "three\n" * 60)
    with pytest.raises(DataError, match="three occurs in no training pair"):
        embed_files(*words, columns=columns)
    columns.write_text("donor\n" + "a\n" * 60)
    with pytest.raises(DataError, match="batch"):
        embed_files(*words, columns=columns)
    np.save(tmp_path / "other.npy", np.ones((4, 32), np.float32))
    with pytest.raises(SettingsError, match="no covariates; leave columns="):
        embed_files(features_run, tmp_path / "other.npy", tmp_path / "z.npz", "x", columns=columns)
