import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("lancedb", reason="the extra 'search' is not installed")


from helpers import object_store, save_run, small_model, small_settings, write_images
from iiae.errors import DataError, GalleryError, NothingReadable, RunError
from iiae.files.interface import absolute
from iiae.files.sources import open_source
from iiae.run_folder import MODEL, weights_digest
from iiae.search import index as indexing
from iiae.search.encoding import encode
from iiae.search.gallery import Gallery
from iiae.search.index import index_files
from iiae.search.metadata import read_metadata
from iiae.search.query import search_files
from iiae.types import Draw


@pytest.fixture
def run(tmp_path):
    """An untrained feature model, saved."""
    return save_run(tmp_path / "run", small_settings())


@pytest.fixture
def image_run(tmp_path):
    """An untrained image model, saved."""
    return save_run(tmp_path / "run")


def index(run, where, *inputs, domain="y", **more):
    return index_files(run, where, inputs, domain, progress=False, **more)


def test_features_are_found_by_the_shared_latent_of_the_other_domain(run, tmp_path):
    pairs = small_model()[1].pairs(Draw(torch.arange(20)))
    np.save(tmp_path / "x.npy", pairs.x.numpy())
    np.save(tmp_path / "y.npy", pairs.y.numpy())
    done = index(run, tmp_path / "g", tmp_path / "y.npy")
    assert (done.added, done.total, done.method) == (20, 20, "exact search over 20 x 4")
    names, answer, _ = search_files(run, tmp_path / "g", [tmp_path / "x.npy"], top=20)
    assert names[3] == f"{tmp_path}/x.npy#3"
    z = encode(run, pairs.x, "x").shared, encode(run, pairs.y, "y").shared
    order = torch.cdist(*map(torch.from_numpy, z)).argsort(1)
    for hits, expected in zip(answer.hits, order.tolist(), strict=True):
        assert [hit.path for hit in hits] == [f"{tmp_path}/y.npy#{i}" for i in expected]
    # the same items by their own domain, by the exclusive latent, and by latents in a file
    again = search_files(run, tmp_path / "g", [tmp_path / "y.npy"], 1, "y", by="exclusive")[1]
    assert [hits[0].path for hits in again.hits] == [f"{tmp_path}/y.npy#{i}" for i in range(20)]
    with pytest.raises(GalleryError, match="the exclusive latent is that of domain y"):
        search_files(run, tmp_path / "g", [tmp_path / "x.npy"], 1, by="exclusive")
    np.save(tmp_path / "z.npy", z[1])
    by_vector = search_files(run, tmp_path / "g", [tmp_path / "z.npy"], 1, vectors=True)[1]
    assert [hits[0].distance for hits in by_vector.hits] == [0] * 20


def test_an_index_is_brought_up_to_date_by_content(image_run, tmp_path):
    write_images(tmp_path / "c", ["cat/1.png", "cat/2.png", "dog/deep/3.jpg"])
    (tmp_path / "c" / ".hidden.png").write_bytes(b"not looked at")
    first = index(image_run, tmp_path / "g", tmp_path / "c")
    assert (first.added, first.replaced, first.unchanged) == (3, 0, 0)
    write_images(tmp_path / "c", ["cat/2.png", "cat/4.png"], seed=1)
    second = index(image_run, tmp_path / "g", tmp_path / "c", tmp_path / "c" / "cat")
    assert (second.added, second.replaced, second.unchanged) == (1, 1, 2)
    gallery = Gallery.open(tmp_path / "g", weights_digest(image_run.folder))
    labels = {row["path"].rsplit("/", 1)[1]: row["label"] for row in gallery.rows("true")}
    assert labels == {"1.png": "cat", "2.png": "cat", "3.jpg": "deep", "4.png": "cat"}
    hits = search_files(image_run, tmp_path / "g", [tmp_path / "c" / "cat" / "2.png"], 1, "y")[1]
    assert hits.hits[0][0].path == absolute(tmp_path / "c" / "cat" / "2.png")
    assert hits.hits[0][0].distance < 1e-3


def test_metadata_of_a_csv_can_be_filtered_by(image_run, tmp_path):
    write_images(tmp_path / "c", ["1.png", "2.png"])
    (tmp_path / "m.csv").write_text("path,year,share,note\nc/1.png,1999,0.5,old\nc/2.png,,1,\n")
    known = read_metadata(tmp_path / "m.csv")
    assert known[f"{tmp_path}/c/1.png"] == {"year": 1999, "share": 0.5, "note": "old"}
    assert known[f"{tmp_path}/c/2.png"] == {"year": None, "share": 1.0, "note": None}
    index(image_run, tmp_path / "g", tmp_path / "c")
    done = index(image_run, tmp_path / "g", tmp_path / "c", metadata=tmp_path / "m.csv")
    assert done.replaced == 2
    query = [tmp_path / "c" / "2.png"]
    answer = search_files(image_run, tmp_path / "g", query, filter="year < 2000")[1]
    assert [hit.metadata["note"] for hit in answer.hits[0]] == ["old"]
    assert index(image_run, tmp_path / "g", tmp_path / "c").unchanged == 2


def test_a_file_that_cannot_be_read_is_skipped_and_named(image_run, tmp_path):
    write_images(tmp_path / "c", ["1.png"])
    (tmp_path / "c" / "2.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2.png: not an image that can be read"):
        index(image_run, tmp_path / "g", tmp_path / "c")
    done = index(image_run, tmp_path / "g", tmp_path / "c", on_error="skip")
    assert (done.added, done.failed) == (
        1,
        [f"{tmp_path / 'c' / '2.png'}: not an image that can be read"],
    )
    with pytest.raises(NothingReadable, match="none of 1 samples could be read; the first: "):
        index(image_run, tmp_path / "g", tmp_path / "c" / "2.png", on_error="skip")


def test_metadata_comes_back_as_written_and_again_changes_nothing(image_run, tmp_path):
    names = [f"c/{i}.png" for i in range(3)]
    write_images(tmp_path, names)
    columns = {
        "zip": ["00007", "01234", "99999"],
        "sku": ["1_000", "1_001", "1"],
        "hash": ["12e3", "1e5", "7"],
        "big": [str(10**20), "1", "2"],
        "price": ["nan", "0.5", "1.5"],
        "level": ["inf", "", "-1"],
    }
    lines = [
        ",".join(["path", *columns]),
        *map(",".join, zip(names, *columns.values(), strict=True)),
    ]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    where, source = tmp_path / "g", tmp_path / "c"
    done = index(image_run, where, source, metadata=tmp_path / "m.csv")
    assert (done.added, done.described, done.unmatched) == (3, 3, 0)
    rows = sorted(Gallery.open(where).rows("true"), key=lambda row: row["path"])
    for name, texts in columns.items():
        assert [row[name] or "" for row in rows] == texts
    assert index(image_run, where, source, metadata=tmp_path / "m.csv").unchanged == 3


def test_numbers_of_a_later_table_go_into_a_column_of_text(image_run, tmp_path):
    write_images(tmp_path, ["c/1.png", "c/2.png"])
    (tmp_path / "a.csv").write_text("path,zip\nc/1.png,01234\n")
    (tmp_path / "b.csv").write_text("path,zip\nc/1.png,90210\nc/2.png,90211\n")
    index(image_run, tmp_path / "g", tmp_path / "c", metadata=tmp_path / "a.csv")
    for replaced in (2, 0):
        done = index(image_run, tmp_path / "g", tmp_path / "c", metadata=tmp_path / "b.csv")
        assert done.replaced == replaced
    assert {row["zip"] for row in Gallery.open(tmp_path / "g").rows("true")} == {"90210", "90211"}


def test_a_column_is_typed_by_the_whole_table_not_by_its_first_part(run, tmp_path, monkeypatch):
    monkeypatch.setattr(indexing, "ROWS_A_PART", 2)
    np.save(tmp_path / "y.npy", np.eye(run.shapes[1][0])[:6])
    values = ["", "", "1", "2", "0.5", "3"]
    rows = [f"y.npy#{i},{value}" for i, value in enumerate(values)]
    (tmp_path / "m.csv").write_text("\n".join(["path,v", *rows]))
    index(run, tmp_path / "g", tmp_path / "y.npy", metadata=tmp_path / "m.csv")
    assert Gallery.open(tmp_path / "g").count("v >= 0.5") == 4


def test_what_does_not_fit_a_column_is_refused_before_anything_changes(image_run, tmp_path):
    write_images(tmp_path, ["c/1.png", "c/2.png"])
    (tmp_path / "a.csv").write_text("path,year\nc/1.png,1990\nc/2.png,1991\n")
    (tmp_path / "b.csv").write_text("path,year\nc/1.png,1992\nc/2.png,1990.5\n")
    index(image_run, tmp_path / "g", tmp_path / "c", metadata=tmp_path / "a.csv")
    with pytest.raises(GalleryError, match=r"year of .*c/2.png is 1990.5; the column holds whole"):
        index(image_run, tmp_path / "g", tmp_path / "c", metadata=tmp_path / "b.csv")
    assert {row["year"] for row in Gallery.open(tmp_path / "g").rows("true")} == {1990, 1991}


def test_rows_of_metadata_without_a_file_are_counted(image_run, tmp_path, iiae):
    write_images(tmp_path, ["c/1.png", "c/2.png"])
    (tmp_path / "c" / "3.png").write_bytes(b"no image")
    (tmp_path / "m.csv").write_text("path,year\nc/1.png,1\nc/3.png,2\nelsewhere/1.png,3\n")
    words = ("index", image_run.folder, tmp_path / "g", tmp_path / "c", "--domain", "y")
    words += ("--on-error", "skip")
    out = iiae(*words, "--metadata", tmp_path / "m.csv")[1]
    assert f"2 of 3 rows of {tmp_path / 'm.csv'} name no indexed sample" in out
    (tmp_path / "m.csv").write_text("path,year\nc/1.png,1\n")
    assert "name no indexed sample" not in iiae(*words, "--metadata", tmp_path / "m.csv")[1]
    (tmp_path / "m.csv").write_text("path,year\nc/1.png,1\nc/2.png,1\n./c/1.png,2\n")
    with pytest.raises(DataError, match="rows 1 and 3 name one file"):
        read_metadata(tmp_path / "m.csv")


def test_metadata_and_files_meet_however_accents_are_written(image_run, tmp_path):
    write_images(tmp_path, [unicodedata.normalize("NFD", "c/café.png")])
    (tmp_path / "m.csv").write_text(unicodedata.normalize("NFC", "path,year\nc/café.png,1990\n"))
    done = index(image_run, tmp_path / "g", tmp_path / "c", metadata=tmp_path / "m.csv")
    assert done.unmatched == 0
    assert Gallery.open(tmp_path / "g").count("year = 1990") == 1


def test_names_that_cannot_be_written_are_skipped_and_named(image_run, tmp_path, iiae, caplog):
    write_images(tmp_path / "c", ["1.png", "2.png"])
    odd = os.fsdecode(os.fsencode(tmp_path / "c") + b"/caf\xe9.png")
    os.rename(tmp_path / "c" / "2.png", odd)
    (tmp_path / "c" / "self").symlink_to(".")
    words = ("index", image_run.folder, tmp_path / "g", tmp_path / "c", "--domain", "y")
    code, out, _ = iiae(*words, "--on-error", "skip")
    assert (code, "1 added" in out, "1 skipped" in out) == (0, True, True)
    assert "caf\\xe9.png': the name is not UTF-8" in caplog.text
    with pytest.raises(DataError, match=r"none of 1 samples could be read; the first: .*caf"):
        index(image_run, tmp_path / "h", Path(odd), on_error="skip")


def test_queries_that_cannot_be_read_are_named_and_the_others_answered(image_run, tmp_path, iiae):
    write_images(tmp_path / "c", ["1.png", "2.png"])
    (tmp_path / "c" / "3.png").write_bytes(b"no image")
    index(image_run, tmp_path / "g", tmp_path / "c", on_error="skip")
    words = (image_run, tmp_path / "g", [tmp_path / "c"], 1, "y")
    with pytest.raises(DataError, match=r"3.png: not an image that can be read"):
        search_files(*words)
    names, answer, failed = search_files(*words, on_error="skip")
    assert (
        [hits[0].path for hits in answer.hits] == names == [f"{tmp_path}/c/{i}.png" for i in "12"]
    )
    assert failed == [f"{tmp_path}/c/3.png: not an image that can be read"]
    words = ("search", image_run.folder, tmp_path / "g", "--from", "y", "--json")
    code, out, _ = iiae(*words, tmp_path / "c", "--on-error", "skip")
    assert code == 0
    assert (len(json.loads(out)["results"]), json.loads(out)["skipped"]) == (2, failed)
    words = ("search", image_run.folder, tmp_path / "g", tmp_path / "c" / "3.png")
    code, _, err = iiae(*words, "--on-error", "skip")
    assert code == 1
    assert err.startswith("NothingReadable: none of 1 samples could be read; the first: ")


def test_rows_whose_latents_have_no_distance_are_skipped_and_named(run, tmp_path):
    values = np.ones((4, run.shapes[1][0]))
    values[1], values[2] = 3.4e38, 1e33
    np.save(tmp_path / "y.npy", values)
    done = index(run, tmp_path / "g", tmp_path / "y.npy", on_error="skip")
    assert (done.added, len(done.failed)) == (2, 2)
    assert "y.npy#1: NaN or infinite values in the latent" in done.failed[0]
    assert "y.npy#2: the latent is too large for distances" in done.failed[1]
    names, answer, failed = search_files(
        run, tmp_path / "g", [tmp_path / "y.npy"], 9, "y", on_error="skip"
    )
    assert ([name[-1] for name in names], len(failed)) == (["0", "3"], 2)
    assert all(np.isfinite(hit.distance) for hits in answer.hits for hit in hits)
    values[1] = 1e300
    np.save(tmp_path / "y.npy", values)
    with pytest.raises(DataError, match="row 1: values too large for float32"):
        index(run, tmp_path / "g", tmp_path / "y.npy")


def test_a_row_of_nan_is_skipped_and_named_and_the_array_indexed_again_is_not_doubled(
    run, tmp_path
):
    values = np.random.default_rng(0).normal(size=(4, run.shapes[1][0]))
    values[2] = np.nan
    np.save(tmp_path / "y.npy", values)
    done = index(run, tmp_path / "g", tmp_path / "y.npy", on_error="skip")
    assert (done.added, done.failed) == (3, [f"{tmp_path}/y.npy: row 2: NaN or infinite values"])
    values[1:3] = 1
    np.save(tmp_path / "y.npy", values)
    done = index(run, tmp_path / "g", tmp_path / "y.npy")
    assert (done.added, done.replaced, done.unchanged, done.total) == (1, 1, 2, 4)


@pytest.mark.parametrize("vectors", [False, True])
@pytest.mark.parametrize("shape", [(), (0, 32), (3, 0), (2, 2, 2), (0,)])
def test_queries_without_rows_or_columns_are_refused(run, tmp_path, shape, vectors):
    np.save(tmp_path / "y.npy", np.ones((3, run.shapes[1][0])))
    index(run, tmp_path / "g", tmp_path / "y.npy")
    np.save(tmp_path / "q.npy", np.zeros(shape))
    with pytest.raises(DataError, match=r"q.npy: (has shape|holds no rows)"):
        search_files(run, tmp_path / "g", [tmp_path / "q.npy"], vectors=vectors)
    with pytest.raises(DataError, match=r"q.npy: (has shape|holds no rows)"):
        index(run, tmp_path / "g", tmp_path / "q.npy")


def test_active_dimensions_alone_can_be_stored(run, tmp_path):
    run.model.active[0] = False
    np.save(tmp_path / "y.npy", np.random.default_rng(0).normal(size=(5, run.shapes[1][0])))
    index(run, tmp_path / "g", tmp_path / "y.npy", active_only=True)
    assert Gallery.open(tmp_path / "g").info.shared == len(run.model.active) - 1
    answer = search_files(run, tmp_path / "g", [tmp_path / "y.npy"], 1, "y")[1]
    assert [hits[0].distance for hits in answer.hits] == [0] * 5


def test_an_npz_brings_paths_and_labels(run, tmp_path):
    values = np.random.default_rng(0).normal(size=(3, run.shapes[1][0]))
    names = np.array(["a/1.png", "a/2.png", "b/3.png"])
    np.savez(tmp_path / "f.npz", features=values, paths=names, labels=np.array(["a", "a", "b"]))
    source = open_source([tmp_path / "f.npz"], run.shapes[1], "y")
    assert [source.label(i) for i in range(3)] == ["a", "a", "b"]
    assert [source.path(i) for i in range(3)] == [f"{tmp_path}/{name}" for name in names]
    assert torch.equal(source.read([2])[0].values, torch.from_numpy(values[2]).float())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"features": np.zeros((2, 3))}, "the model takes rows of"),
        ({"z": np.zeros((2, 3))}, "holds z, not y"),
        ({"features": np.array([{}], dtype=object)}, "which are never loaded"),
    ],
)
def test_wrong_arrays_are_refused(run, tmp_path, names, message):
    np.savez(tmp_path / "f.npz", **names)
    with pytest.raises(DataError, match=message):
        index(run, tmp_path / "g", tmp_path / "f.npz")


def test_wrong_input_is_refused(run, tmp_path):
    size = run.shapes[1][0]
    np.save(tmp_path / "y.npy", np.ones((3, size)))
    np.save(tmp_path / "nan.npy", np.full((3, size), np.nan))
    index(run, tmp_path / "g", tmp_path / "y.npy")
    with pytest.raises(GalleryError, match="was made for chosen distance, not cosine"):
        index(run, tmp_path / "g", tmp_path / "y.npy", distance="cosine")
    with pytest.raises(GalleryError, match="holds items of domain y, not x"):
        index(run, tmp_path / "g", tmp_path / "y.npy", domain="x")
    with pytest.raises(GalleryError, match="with all dimensions of z_s"):
        index(run, tmp_path / "g", tmp_path / "y.npy", active_only=True)
    with pytest.raises(DataError, match=r"nan.npy: row 0: NaN or infinite values"):
        index(run, tmp_path / "g", tmp_path / "nan.npy")
    with pytest.raises(DataError, match="no such file"):
        index(run, tmp_path / "g", tmp_path / "none.npz")
    (tmp_path / "m.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="needs a header line with a column path"):
        index(run, tmp_path / "g", tmp_path / "y.npy", metadata=tmp_path / "m.csv")
    (run.folder / MODEL).unlink()
    with pytest.raises(RunError, match="cannot be read"):
        index(run, tmp_path / "g", tmp_path / "y.npy")


def test_another_model_is_refused(run, tmp_path):
    np.save(tmp_path / "y.npy", np.ones((3, run.shapes[1][0])))
    index(run, tmp_path / "g", tmp_path / "y.npy")
    torch.manual_seed(1)
    settings = small_settings()
    other = save_run(tmp_path / "other", settings)
    with pytest.raises(GalleryError, match="use the run that made it"):
        search_files(other, tmp_path / "g", [tmp_path / "y.npy"])
    with pytest.raises(GalleryError, match="use the run that made it"):
        index(other, tmp_path / "g", tmp_path / "y.npy")


def test_the_commands_index_search_and_delete(image_run, tmp_path, iiae):
    write_images(tmp_path / "c", ["cat/1.png", "dog/2.png"])
    where, query = tmp_path / "g", tmp_path / "c" / "dog" / "2.png"
    code, out, err = iiae("index", image_run.folder, where, tmp_path / "c", "--domain", "y")
    assert code == 0 and err.startswith(f"next: iiae serve {image_run.folder} --gallery {where}")
    assert "2 added, 0 replaced, 0 unchanged, 0 skipped; 2 items, exact search" in out
    code, out, _ = iiae("search", image_run.folder, where, query, "--from", "y", "--json")
    assert json.loads(out)["results"][0]["hits"][0]["label"] == "dog"
    code, out, _ = iiae("search", image_run.folder, where, query, "--where", "label = 'cat'")
    assert "cat" in out and "dog" not in out.split("path")[1]
    code, out, _ = iiae("gallery", where, "--delete", tmp_path / "c" / "cat")
    assert "1 removed" in out and "items       1" in out
    code, out, err = iiae("search", image_run.folder, tmp_path / "none", query)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("GalleryError: ") and "no gallery" in err


def test_the_commands_take_the_url_of_an_object_store(run, tmp_path, iiae, monkeypatch):
    np.save(tmp_path / "y.npy", np.eye(run.shapes[1][0])[:5])
    with object_store(monkeypatch) as bucket:
        words = ("index", run.folder, f"{bucket}/g", tmp_path / "y.npy", "--domain", "y")
        assert "5 added, 0 replaced, 0 unchanged" in iiae(*words)[1]
        assert "0 added, 0 replaced, 5 unchanged" in iiae(*words)[1]
        words = ("search", run.folder, f"{bucket}/g", tmp_path / "y.npy", "--from", "y", "--json")
        results = json.loads(iiae(*words)[1])["results"]
        assert [r["hits"][0]["path"] for r in results] == [
            f"{tmp_path}/y.npy#{i}" for i in range(5)
        ]
        deleted = iiae("gallery", f"{bucket}/g", "--delete", tmp_path / "y.npy")[1]
        assert "5 removed" in deleted and "items       0" in deleted


@pytest.mark.slow
def test_a_killed_index_command_is_completed_by_its_repeat(run, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "y.npy", rng.normal(size=(200_000, run.shapes[1][0])).astype(np.float32))
    words = ["index", run.folder, tmp_path / "g", tmp_path / "y.npy", "--domain", "y"]
    command = [sys.executable, "-c", "from iiae.commands.app import main; main()", *map(str, words)]
    before = 0
    for seconds in (4, 5, 6, 7):
        process = subprocess.Popen(command)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        gallery = Gallery.find(tmp_path / "g")
        now = 0 if gallery is None else len(gallery)
        assert now >= before
        before = now
    assert subprocess.run(command).returncode == 0
    assert len(Gallery.open(tmp_path / "g")) == 200_000
