# ruff: noqa: F811 (fixtures that are imported)
import pickle
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from unicodedata import normalize

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image

from embedded import images, read, run  # noqa: F401
from iiae.errors import DataError
from iiae.files.rows import read_rows
from iiae.files.sources import open_source, read_all
from iiae.inference.embed import embed_files


@pytest.fixture
def bucket(images):
    """The same images in an object store: a folder that only fsspec knows."""
    files = fsspec.filesystem("memory")
    for file in filter(lambda f: f.is_file(), images.rglob("*")):
        files.pipe_file(f"/bucket/photos/{file.relative_to(images).as_posix()}", file.read_bytes())
    yield "memory://bucket/photos"
    files.rm("/bucket", recursive=True)


SHAPE = (3, 16, 16)


def names(source):
    return [source.name(i) for i in range(len(source))]


def paths(source):
    return [source.path(i) for i in range(len(source))]


def opened(*inputs, shape=SHAPE):
    return open_source(inputs, shape, "x")


def test_images_at_a_url_are_those_of_the_folder(images, bucket):
    here, there = opened(images), opened(bucket)
    assert names(here) == names(there)
    assert paths(there) == [f"{bucket}/{name}" for name in names(there)]
    for i, name in enumerate(names(here)):
        one, other = (source.read([i])[0] for source in (here, there))
        assert isinstance(one, DataError) == ("broken" in name)
        assert isinstance(one, DataError) or torch.equal(one.values, other.values)
        assert here.digest(i) == there.digest(i)
        assert here.label(i) == there.label(i) == name.split("/")[0]


def test_one_image_at_a_url_is_read(images, bucket):
    (name,) = names(opened(f"{bucket}/ü/00.png"))
    assert name == "00.png"
    one, other = (read_all(opened(place)) for place in (f"{bucket}/ü/00.png", images / "ü/00.png"))
    assert torch.equal(one, other)


def test_a_url_is_embedded_as_a_folder_is(run, images, bucket, tmp_path):
    words = {"batch": 2, "shard": 3, "on_error": "skip"}
    here = embed_files(run, images, tmp_path / "here.npz", "x", **words)
    there = embed_files(run, bucket + "/", tmp_path / "there.npz", "x", **words)
    for one, other in zip(read(here.output), read(there.output), strict=True):
        assert np.array_equal(one, other)
    assert there.failed == 1
    assert "memory://bucket/photos/a b/broken.jpg: not an image" in there.failures.read_text()


def test_an_item_that_changes_in_the_store_has_another_stamp(bucket):
    items = opened(bucket)
    name, before = items.name(1), items.stamp(1)
    made = BytesIO()
    Image.new("RGB", (9, 9)).save(made, "PNG")
    fsspec.filesystem("memory").pipe_file(f"/bucket/photos/{name}", made.getvalue())
    assert before
    assert opened(bucket).stamp(1) != before


def test_what_cannot_be_reached_is_named(bucket):
    with pytest.raises(DataError, match="nosuch://x: cannot be opened"):
        opened("nosuch://x")
    with pytest.raises(DataError, match="memory://empty: holds no images"):
        opened("memory://empty")
    (why,) = opened(f"{bucket}/gone.png").read([0])
    assert "memory://bucket/photos/gone.png: cannot be read" in str(why)
    with pytest.raises(DataError, match="takes rows of 32 values"):
        opened(bucket, shape=(32,))


def test_folders_are_read_to_any_depth_and_a_file_counts_once(images):
    (images / "deep" / "er").mkdir(parents=True)
    shutil.copy(images / "ü" / "00.png", images / "deep" / "er" / "c.png")
    (images / ".hidden.png").write_bytes(b"")
    every = opened(images)
    assert len(every) == 13
    assert "deep/er/c.png" in names(every)
    twice = opened(images / "ü" / "00.png", images, images / "ü")
    assert len(twice) == 13
    assert names(twice)[0] == "00.png"
    assert sorted(paths(twice)) == sorted(paths(every))


def test_a_table_of_paths_is_its_images(images, tmp_path):
    first, second = (str(images / "ü" / f"{i:02d}.png") for i in (0, 2))
    (tmp_path / "t.csv").write_text(f"path,year\n{first},1\nimages/ü/02.png,2\n")
    assert torch.equal(read_all(opened(tmp_path / "t.csv")), read_all(opened(first, second)))
    assert paths(opened(tmp_path / "t.csv")) == [first, second]
    (tmp_path / "u.csv").write_text("y,z\na.png,1\n")
    with pytest.raises(DataError, match="has no rows with a column x or path of images"):
        opened(tmp_path / "u.csv")


def test_a_path_in_a_table_is_found_however_its_accents_are_written(images, tmp_path):
    (tmp_path / "t.csv").write_text(normalize("NFD", "x\nimages/ü/02.png\n"), encoding="utf-8")
    assert paths(opened(tmp_path / "t.csv")) == [str(images / normalize("NFC", "ü/02.png"))]


@pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".tsv", ".parquet"])
def test_numbers_are_the_same_rows_in_every_kind_of_file(tmp_path, ending):
    values = np.random.default_rng(0).normal(size=(5, 3))
    file = tmp_path / f"f{ending}"
    if ending == ".npy":
        np.save(file, values)
    elif ending == ".npz":
        np.savez(file, x=values)
    elif ending == ".parquet":
        pa = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(
            pa.table({"vector": values.tolist()}), file
        )
    else:
        between = "," if ending == ".csv" else "\t"
        lines = [between.join(map(repr, map(float, row))) for row in values]
        file.write_text("\n".join([between.join("abc"), *lines]))
    source = opened(file, shape=(3,))
    assert torch.equal(read_all(source), torch.from_numpy(values).float())
    assert names(source) == [f"f{ending}#{i}" for i in range(5)]
    assert paths(source) == [f"{tmp_path}/f{ending}#{i}" for i in range(5)]


def test_an_array_that_is_given_twice_counts_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.zeros((3, 2)))
    np.save("b.npy", np.ones((1, 2)))
    source = opened("a.npy", tmp_path / "a.npy", "b.npy", "./b.npy", shape=(2,))
    assert names(source) == ["a.npy#0", "a.npy#1", "a.npy#2", "b.npy#0"]


@pytest.mark.parametrize("first", [[0, 0, 0], [None, None, 1.5], [False, False, True]])
def test_a_first_column_of_numbers_is_never_taken_for_names(tmp_path, first):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": first, "b": [1, 2, 3]})
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "f.parquet")
    assert read_rows(tmp_path / "f.parquet", "x").columns == ["a", "b"]


def test_a_table_that_may_lack_its_heading_is_named(tmp_path, caplog):
    np.savetxt(tmp_path / "bare.csv", np.arange(6.0).reshape(2, 3) / 7, delimiter=",")
    (tmp_path / "named.csv").write_text(",0,1\na,0.5,1\n")
    read_rows(tmp_path / "named.csv", "x")
    assert not caplog.messages
    read_rows(tmp_path / "bare.csv", "x")
    assert "bare.csv: its heading is numbers: 1.428" in caplog.text


def test_a_row_that_cannot_be_read_is_named_and_the_others_are_read(tmp_path):
    (tmp_path / "f.csv").write_text("path,a,b\nk,1,2\nl,,2\nm,1e300,0\n")
    good, empty, large = opened(tmp_path / "f.csv", shape=(2,)).read(range(3))
    assert good.values.tolist() == [1, 2]
    assert str(empty) == f"{tmp_path}/f.csv: row 1: NaN or infinite values"
    assert str(large) == f"{tmp_path}/f.csv: row 2: values too large for float32 (above 3.4e38)"
    (tmp_path / "f.csv").write_text("a,b\n1,2\n1,two\n")
    with pytest.raises(DataError, match="column b, row 2: 'two' is not a number"):
        opened(tmp_path / "f.csv", shape=(2,))


def test_arrays_of_images_are_bytes_or_floats(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(4, 16, 16, 3), dtype=np.uint8)
    floats = (pixels.transpose(0, 3, 1, 2) / np.float32(127.5) - 1).astype(np.float32)
    for name, values in (("bytes.npy", pixels), ("floats.npy", floats)):
        np.save(tmp_path / name, values)
        assert torch.equal(read_all(opened(tmp_path / name)), torch.from_numpy(floats))
    np.save(tmp_path / "small.npy", floats[:, :, :8])
    with pytest.raises(DataError, match=r"has shape \(4, 3, 8, 16\); the model takes images of"):
        opened(tmp_path / "small.npy")


def test_a_copy_in_another_process_reads_the_same(images, tmp_path):
    np.save(tmp_path / "f.npy", np.eye(16 * 3).reshape(-1, 3, 16, 1).repeat(16, 3))
    source = opened(images / "ü", tmp_path / "f.npy")
    copy = pickle.loads(pickle.dumps(source))
    assert paths(copy) == paths(source)
    for one, other in zip(*(s.read(range(len(s))) for s in (source, copy)), strict=True):
        assert torch.equal(one.values, other.values)


@pytest.fixture
def server(images):
    handler = partial(SimpleHTTPRequestHandler, directory=str(images))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.slow
def test_the_command_reads_from_a_server(run, images, server, tmp_path, iiae):
    here = embed_files(run, images, tmp_path / "here.npz", "x", on_error="skip")
    words = [f"{server}/a b", "--out", tmp_path / "there.npz", "--domain", "x"]
    code, _, err = iiae("embed", run, *words, "--on-error", "skip")
    assert code == 0, err
    names, vectors = read(tmp_path / "there.npz")
    wanted = [name.startswith("a b/") for name in read(here.output)[0]]
    assert len(names) == sum(wanted)
    np.testing.assert_allclose(vectors, read(here.output)[1][wanted], rtol=1e-4, atol=1e-5)
