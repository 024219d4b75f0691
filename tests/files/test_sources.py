# ruff: noqa: F811 (fixtures that are imported)
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image

from embedded import images, read, run  # noqa: F401
from iiae.errors import DataError
from iiae.files.sources import Numbers, open_source
from iiae.inference.embed import embed_files


@pytest.fixture
def bucket(images):
    """The same images in an object store: a folder that only fsspec knows."""
    files = fsspec.filesystem("memory")
    for file in filter(lambda f: f.is_file(), images.rglob("*")):
        files.pipe_file(f"/bucket/photos/{file.relative_to(images).as_posix()}", file.read_bytes())
    yield "memory://bucket/photos"
    files.rm("/bucket", recursive=True)


def test_images_at_a_url_are_those_of_the_folder(images, bucket):
    here, there = open_source(str(images)), open_source(bucket)
    assert here.names() == there.names()
    for name in here.names():
        one, other = (items.read([name], (3, 16, 16))[0] for items in (here, there))
        assert isinstance(one, DataError) == ("broken" in name)
        assert isinstance(one, DataError) or torch.equal(one, other)


def test_a_url_is_embedded_as_a_folder_is(run, images, bucket, tmp_path):
    here = embed_files(run, images, tmp_path / "here.npz", "x", batch=2, shard=3)
    there = embed_files(run, bucket + "/", tmp_path / "there.npz", "x", batch=2, shard=3)
    for one, other in zip(read(here.output), read(there.output), strict=True):
        assert np.array_equal(one, other)
    assert there.failed == 1
    assert "memory://bucket/photos/a b/broken.jpg: not an image" in there.failures.read_text()


def test_an_item_that_changes_in_the_store_has_another_stamp(bucket):
    items = open_source(bucket)
    name = items.names()[1]
    before = items.stamp(name)
    made = BytesIO()
    Image.new("RGB", (9, 9)).save(made, "PNG")
    fsspec.filesystem("memory").pipe_file(f"/bucket/photos/{name}", made.getvalue())
    items.names()
    assert before
    assert items.stamp(name) != before


def test_what_cannot_be_reached_is_said(bucket):
    with pytest.raises(DataError, match="nosuch://x: cannot be opened"):
        open_source("nosuch://x")
    with pytest.raises(DataError, match="memory://empty: holds no images"):
        open_source("memory://empty").names()
    (why,) = open_source(bucket).read(["gone.png"], (3, 16, 16))
    assert "memory://bucket/photos/gone.png: cannot be read" in str(why)
    with pytest.raises(DataError, match="takes 32 features"):
        open_source(bucket).check((32,))


def test_numbers_as_names_are_a_list_of_them_without_its_memory():
    names, listed = Numbers(range(50)), [str(i) for i in range(50)]
    assert list(names) == listed
    assert list(names[10:40][5:9]) == listed[10:40][5:9]
    assert names[-1] == "49"
    assert len(Numbers(range(10**9))[7:]) == 10**9 - 7


@pytest.fixture
def server(images):
    handler = partial(SimpleHTTPRequestHandler, directory=str(images))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.slow
def test_the_command_reads_from_a_server(run, images, server, tmp_path, iiae):
    here = embed_files(run, images, tmp_path / "here.npz", "x")
    words = ["--input", f"{server}/a b", "--output", tmp_path / "there.npz", "--domain", "x"]
    code, _, err = iiae("embed", run, *words)
    assert code == 0, err
    names, vectors = read(tmp_path / "there.npz")
    wanted = [name.startswith("a b/") for name in read(here.output)[0]]
    assert len(names) == sum(wanted)
    np.testing.assert_allclose(vectors, read(here.output)[1][wanted], rtol=1e-4, atol=1e-5)
