import contextlib
import math
import multiprocessing
import random
import signal
import subprocess
import threading
import time
import unicodedata
from collections import Counter

import numpy as np
import pytest

pytest.importorskip("lancedb", reason="the extra 'search' is not installed")

import gallery_writer
from gallery_made import INFO, items
from helpers import object_store, program
from iiae.errors import GalleryError
from iiae.search.gallery import Gallery
from iiae.search.items import row_id
from iiae.search.lance import equals, in_list, quote


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("by", ["shared", "exclusive"])
def test_search_ranks_as_the_distance_by_its_definition_does(tmp_path, distance, by):
    gallery = Gallery.create(tmp_path / "g", INFO._replace(distance=distance))
    rows = items(50)
    gallery.put(rows)
    vectors = getattr(rows, by)
    queries = np.random.default_rng(1).normal(size=(3, vectors.shape[1]))
    found = gallery.search(queries, 5, by=by)
    assert found.method == "exact"
    for q, hits in zip(queries, found.hits, strict=True):
        if distance == "euclidean":
            d = [float(np.sqrt(((q - v) ** 2).sum())) for v in vectors]
        else:
            d = [float(1 - q @ v / np.linalg.norm(q) / np.linalg.norm(v)) for v in vectors]
        order = np.argsort(d)[:5]
        assert [hit.path for hit in hits] == [rows.paths[i] for i in order]
        assert [hit.distance for hit in hits] == pytest.approx([d[i] for i in order], abs=1e-5)


def test_one_query_gives_what_it_gives_among_many(gallery):
    gallery.put(items(50))
    queries = np.random.default_rng(1).normal(size=(8, 4))
    together = gallery.search(queries, 3).hits
    assert together == [gallery.search(q[None], 3).hits[0] for q in queries]
    assert gallery.search(queries[:0]).hits == []
    assert len(gallery.search(queries[:1], 100).hits[0]) == 50


def test_filters_keep_only_what_they_say(gallery):
    gallery.put(items(50, year=lambda i: 1990 + i, name=lambda i: f"o'{i}"))
    query = np.zeros((1, 4))
    hits = gallery.search(query, 50, where="label = 'a' AND year >= 2030").hits[0]
    assert {hit.metadata["year"] for hit in hits} == {2030, 2032, 2034, 2036, 2038}
    assert gallery.count(equals("name", "o'7")) == 1
    assert gallery.count(equals("name", None)) == 0
    assert gallery.count(in_list("path", ["/c/a/0.png", "x' OR 'a'='a"])) == 1
    assert quote("it's") == "'it''s'"


def test_a_path_has_one_row_and_keeps_metadata_that_is_not_given(gallery):
    gallery.put(items(4, year=lambda i: i))
    gallery.put(items(4, seed=1, note=lambda i: "new"))
    assert len(gallery) == 4
    assert gallery.columns == ["year", "note"]
    rows = gallery.rows(equals("path", "/c/b/3.png"))
    assert rows == [
        {
            "path": "/c/b/3.png",
            "id": row_id("/c/b/3.png"),
            "digest": "1-3",
            "label": "b",
            "year": 3,
            "note": "new",
        }
    ]


def test_copies_of_one_content_have_ids_of_their_own(gallery):
    rows = items(3)._replace(digests=["same"] * 3)
    gallery.put(rows)
    assert len({row["id"] for row in gallery.rows("true")}) == 3


def test_large_latents_that_are_taken_have_finite_distances(tmp_path):
    for distance in ("euclidean", "cosine"):
        gallery = Gallery.create(tmp_path / distance, INFO._replace(distance=distance))
        rows = items(6)
        scale = (np.array([1e-15, 1, 1e10, 1e18, 4e18, -4e18]) / 4)[:, None]
        gallery.put(
            rows._replace(shared=np.ones((6, 4)) * scale, exclusive=np.ones((6, 2)) * scale)
        )
        hits = gallery.search(np.ones((6, 4)) * scale, 6).hits
        assert all(np.isfinite(hit.distance) for some in hits for hit in some)


def test_update_and_delete_touch_what_is_named_and_no_more(gallery):
    gallery.put(items(6))
    assert gallery.update("/c/a/0.png", {"label": "z", "seen": True}) == 1
    assert gallery.update("/c/none.png", {"label": "z"}) == 0
    assert gallery.count("label = 'z' AND seen") == 1
    assert gallery.delete(["/c/a/2.png", "/c/none.png"]) == 1
    assert len(gallery) == 5


def test_delete_takes_a_file_a_folder_or_the_rows_of_an_array(gallery):
    paths = ["/c/a/0.png", "/c/a/1.png", "/c/ab/2.png", "/f.npy#0", "/f.npy#12", "/f.npyx"]
    paths += ["/c/a#1.png", "/f.npy#1.png", unicodedata.normalize("NFD", "/é/1.png")]
    gallery.put(items(len(paths))._replace(paths=paths))
    assert gallery.delete(["/c/a"]) == 2
    assert gallery.delete(["/c/a"]) == 0
    assert gallery.delete(["/f.npy"]) == 2
    assert gallery.delete([unicodedata.normalize("NFC", "/é")]) == 1
    left = {row["path"] for row in gallery.rows("true")}
    assert left == {"/c/ab/2.png", "/f.npyx", "/c/a#1.png", "/f.npy#1.png"}


@pytest.mark.parametrize("file", ["t.csv", "t.tsv.gz", "t.parquet", "t.h5mu"])
def test_delete_takes_rows_that_have_names(gallery, file):
    paths = [f"/{file}#gene A", f"/{file}#1", f"/{file}x#gene A", f"/a/{file}#gene A"]
    gallery.put(items(4)._replace(paths=paths))
    assert gallery.delete([f"/{file}"]) == 2
    assert {row["path"] for row in gallery.rows("true")} == set(paths[2:])


def test_a_gallery_is_refused_to_another_model(gallery):
    assert Gallery.open(gallery.where, INFO.model).info == INFO
    with pytest.raises(GalleryError, match="holds vectors of model aaaaaaaaaaaa, the run is model"):
        Gallery.open(gallery.where, "b" * 64)


def bad(values):
    return items(4)._replace(shared=values)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda g: g.put(bad(np.zeros((4, 3)))), "have 4 values, those given have shape"),
        (
            lambda g: g.put(bad(np.full((4, 4), np.nan))),
            "/c/b/3.png: NaN or infinite values in the latent",
        ),
        (lambda g: g.put(items(4, **{"a b": str})), "'a b' cannot name a metadata column"),
        (lambda g: g.put(items(4, path=str)), "'path' cannot name a metadata column"),
        (lambda g: g.put(items(4, n=lambda i: [1, "x"][i % 2])), "does not fit one column: n is"),
        (lambda g: g.put(items(4, n=lambda i: [0.5, math.nan][i % 2])), "n of /c/b/1.png is nan"),
        (lambda g: g.put(items(4, n=lambda i: 2**63)), "n of /c/a/0.png is 9223372036854775808"),
        (lambda g: g.put(items(4)._replace(paths=["\udce9"] * 4)), "its name is not UTF-8"),
        (lambda g: g.put(items(4, n=lambda i: "\udce9")), "n of /c/a/0.png is '.udce9'; the"),
        (lambda g: g.put(bad(np.full((4, 4), 1e30))), "0.png, .* the latent is too large for"),
        (lambda g: g.search(np.full((1, 4), 1e300)), "query 0: the latent is too large for"),
        (lambda g: g.update("p", {"shared": 1}), "shared cannot be set"),
        (lambda g: g.search(np.zeros((1, 5))), "shared vectors have 4 values"),
        (lambda g: g.search(np.full((1, 4), np.inf)), "query 0: NaN or infinite"),
        (lambda g: g.search(np.zeros((1, 4)), 0), "top 0: must be between 1 and 10,000"),
        (lambda g: g.search(np.zeros((1, 4)), where="nope = 1"), "No field named nope"),
        (lambda g: g.search(np.zeros((1, 4)), where="label ="), "sql parser error"),
        (lambda g: Gallery.create(g.where, INFO), "already exists"),
        (lambda g: Gallery.open(g.where + "x"), "no gallery: iiae index RUN"),
        (lambda g: Gallery.open(__file__), "is a file; a gallery is a folder"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(gallery, act, message):
    with pytest.raises(GalleryError, match=message) as caught:
        act(gallery)
    assert "\n" not in str(caught.value)
    assert ".rs:" not in str(caught.value)


def test_latents_of_zeros_have_no_cosine_distance(tmp_path):
    gallery = Gallery.create(tmp_path / "g", INFO._replace(distance="cosine"))
    with pytest.raises(
        GalleryError, match=r"/c/a/0\.png: a latent of zeros has no cosine distance"
    ):
        gallery.put(bad(np.vstack([np.zeros((1, 4)), np.ones((3, 4))])))


def test_a_search_beside_a_writer_sees_whole_commits(gallery):
    gallery.put(items(10, note=lambda i: "0"))
    done = threading.Event()

    def write():
        other = Gallery.open(gallery.where)
        for k in range(1, 30):
            other.put(items(10, seed=k, note=lambda i, k=k: str(k)))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        hits = gallery.search(np.zeros((1, 4)), 100).hits[0]
        assert len(hits) == 10
        notes = {hit.metadata["note"] for hit in hits}
        assert len(notes) == 1
        seen |= notes
    writer.join()
    assert len(seen) > 1


def write_twice(where):
    """Two threads add to one gallery and delete from it; what they raised."""
    failed = []

    def write(k):
        try:
            own = Gallery.open(where)
            for i in range(10):
                own.put(items(10, start=10 * i, seed=k, **{f"by{k}": lambda i: 1}))
                own.delete([f"/c/a/{10 * i}.png"])
        except GalleryError as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=(k,)) for k in (1, 2)]
    [w.start() for w in writers]
    [w.join() for w in writers]
    return failed


def test_two_writers_both_land(gallery):
    assert write_twice(gallery.where) == []
    paths = [row["path"] for row in gallery.rows("true")]
    assert len(paths) == len(set(paths))
    assert {f"/c/{'ab'[i % 2]}/{i}.png" for i in range(100) if i % 10} <= set(paths)
    assert set(gallery.columns) == {"by1", "by2"}


# forks of a process that has imported most of what it takes; LanceDB itself starts threads
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["iiae.search.gallery", "lance_namespace", "pandas", "pyarrow.dataset"]
)


def kill_and_check(where, kills, seed):
    """Kills a writer at random moments; what it said it had done must be there."""
    rng = random.Random(seed)
    put, deleted, start = set(), set(), 0
    for _ in range(kills):
        here, there = FORKS.Pipe(duplex=False)
        writer = FORKS.Process(target=gallery_writer.write, args=(where, start, there))
        writer.start()
        there.close()
        told = [here.recv() for _ in range(rng.choice((0, 1, 2, 12)))]
        time.sleep(rng.uniform(0, 0.1))
        writer.kill()
        told += received(here)
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
        put |= {k for what, k in told if what == "put"}
        deleted |= {k for what, k in told if what == "delete"}
        gallery = Gallery.find(where)
        if gallery is None:
            assert not put
            continue
        counts = Counter(int(row["digest"]) for row in gallery.rows("true"))
        assert set(counts.values()) <= {20}, "half a commit"
        if told and told[-1][0] == "put" and told[-1][1] % 3 == 2:
            deleted |= {told[-1][1] - 1} - set(counts)  # done, but killed before it said so
        assert put - deleted <= set(counts)
        assert not deleted & set(counts)
        start = max(counts, default=start - 1) + 1
    Gallery.open(where).tidy()
    return put


def received(pipe):
    """All that was sent, to its end."""
    found = []
    with pipe, contextlib.suppress(EOFError):
        while True:
            found.append(pipe.recv())
    return found


def test_kill_at_any_moment_leaves_whole_commits(tmp_path):
    kill_and_check(str(tmp_path / "g"), 2, 0)


@pytest.mark.slow
def test_fifty_kills_lose_nothing(tmp_path):
    assert kill_and_check(str(tmp_path / "g"), 50, 1)


def test_a_full_disk_is_said_and_loses_nothing_committed(tmp_path):
    pytest.importorskip("resource", reason="no limits on files to set here")
    command = program("fill_gallery", tmp_path / "g")
    filled = subprocess.run(command, capture_output=True, text=True)
    failed, message = filled.stdout.strip().split(" ", 1)
    assert "the disk is full, or a limit is reached; what was committed before" in message
    gallery, last = Gallery.open(tmp_path / "g"), int(failed)
    assert last > 1
    assert len(gallery) == sum(400 * k for k in range(1, last))
    gallery.put(items(30))
    assert gallery.search(items(30).shared[:1], 1).hits[0][0].path == "/c/a/0.png"


def test_a_folder_left_by_a_killed_creation_is_made_good(tmp_path):
    (tmp_path / "g" / "items.lance" / "_versions").mkdir(parents=True)
    assert Gallery.find(tmp_path / "g") is None
    gallery = Gallery.create(tmp_path / "g", INFO)
    gallery.put(items(3))
    assert len(Gallery.open(tmp_path / "g")) == 3


def test_a_table_that_is_no_gallery_is_refused(tmp_path):
    import lancedb

    lancedb.connect(tmp_path / "g").create_table("items", [{"a": 1}])
    with pytest.raises(GalleryError, match="not a gallery"):
        Gallery.open(tmp_path / "g")


def test_an_object_store_holds_a_gallery_as_a_folder_does(monkeypatch):
    with object_store(monkeypatch) as bucket:
        where = f"{bucket}/some/g"
        assert Gallery.find(where) is None
        gallery, rows = Gallery.create(where, INFO), items(30)
        gallery.put(rows)
        gallery.put(items(10, seed=1, year=lambda i: 1990 + i))
        assert gallery.delete([rows.paths[29]]) == 1
        assert gallery.tidy() == "exact search over 29 x 4"
        other = Gallery.open(where, INFO.model)
        hits = other.search(items(10, seed=1).shared, 1, where="year >= 1990").hits
        assert [(h[0].path, h[0].metadata) for h in hits] == [
            (path, {"year": 1990 + i}) for i, path in enumerate(rows.paths[:10])
        ]
        with pytest.raises(GalleryError, match="already exists"):
            Gallery.create(where, INFO)
        with pytest.raises(GalleryError, match="the object store does not answer or refuses"):
            Gallery.open("s3://no-such-bucket/g")


@pytest.mark.slow
def test_two_writers_to_an_object_store_both_land(monkeypatch):
    with object_store(monkeypatch) as bucket:
        gallery = Gallery.create(f"{bucket}/g", INFO)
        assert write_twice(gallery.where) == []
        paths = [row["path"] for row in gallery.rows("true")]
        assert len(paths) == len(set(paths))
        assert {f"/c/{'ab'[i % 2]}/{i}.png" for i in range(100) if i % 10} <= set(paths)
