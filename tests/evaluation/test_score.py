import json

import numpy as np
import pytest

from iiae.errors import DataError
from iiae.evaluation.score import read_labels, score_files
from iiae.metrics.ranking import score

rng = np.random.default_rng(0)
QUERY, GALLERY = rng.normal(size=(20, 4)), rng.normal(size=(50, 4))
LABELS = rng.integers(3, size=20), rng.integers(3, size=50)


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "q.npy", QUERY)
    np.save(tmp_path / "g.npy", GALLERY)
    np.save(tmp_path / "ql.npy", LABELS[0])
    (tmp_path / "gl.txt").write_text("\n".join(map(str, LABELS[1])) + "\n")
    return [tmp_path / name for name in ("q.npy", "g.npy", "ql.npy", "gl.txt")]


def options(files):
    names = ("--query", "--gallery", "--query-labels", "--gallery-labels")
    return [word for pair in zip(names, files, strict=True) for word in pair]


def test_files_score_as_their_arrays_do(files, tmp_path):
    np.save(tmp_path / "gl.npy", LABELS[1])
    files[3] = tmp_path / "gl.npy"
    scores = score_files(*files, ks=(5,), distance="cosine")
    assert scores.mean == score(QUERY, GALLERY, *LABELS, ks=(5,)).mean


def test_the_command_prints_every_measure_and_its_definition(files, iiae):
    np.save(files[2], LABELS[0].astype(str))
    code, out, err = iiae("score", *options(files), "--k", "5")
    assert code == 0, err
    for part in ("20 queries over 50 items, cosine", "map@5_by_possible", "divides by K"):
        assert part in out
    printed = json.loads(iiae("score", *options(files), "--k", "5", "--json")[1])
    assert set(printed["per_class"]) == {"0", "1", "2"}


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (lambda f: np.save(f[2], LABELS[0][:-1]), [], "query: 20 rows and 19 labels"),
        (lambda f: np.save(f[1], GALLERY[:, :3]), [], "query rows have 4 values, gallery rows 3"),
        (lambda f: np.save(f[0], QUERY[:0]), [], "query: shape (0, 4); expected"),
        (lambda f: None, ["--k", "0"], "a cut-off is a number of items"),
        (
            lambda f: f[3].write_text("cat\n" * 50),
            [],
            f"no query has a relevant item: no label is on both sides; a query is labelled "
            f"'{LABELS[0][0]}', an item 'cat'",
        ),
        (lambda f: f[3].write_text("\n" + "1\n" * 49), [], "gl.txt: line 1 is empty; each item"),
        (lambda f: f[3].write_bytes("é\n".encode("latin-1") * 50), [], "save it as UTF-8"),
        (lambda f: np.save(f[2], np.float32(1)), [], "has shape (); a row of names is needed"),
        (lambda f: np.save(f[2], np.full(20, np.nan)), [], "ql.npy: NaN or infinite values"),
        (lambda f: np.save(f[0], np.float32(1)), [], "query: shape (); expected"),
    ],
)
@pytest.mark.usefixtures("shapes_unchecked")
def test_wrong_input_is_one_line(files, iiae, change, more, message):
    change(files)
    code, _, err = iiae("score", *options(files), *more)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", " \n"])
def test_a_mark_or_blanks_in_a_label_file_change_no_score(files, encoding, ending):
    before = score_files(*files, ks=(5,), distance="cosine")
    text = ending.join(map(str, LABELS[1])) + ending + "\n \n"
    files[3].write_bytes(text.encode(encoding))
    assert score_files(*files, ks=(5,), distance="cosine") == before


@pytest.mark.parametrize("kind", [np.int64, np.float32, str, bytes])
def test_labels_of_any_type_are_those_of_a_text_file(files, kind):
    before = score_files(*files, ks=(5,), distance="cosine")
    np.save(files[2], LABELS[0].astype(str).astype(kind))
    assert score_files(*files, ks=(5,), distance="cosine") == before
    assert before.queries_without_relevant == 0


def test_labels_are_never_unpickled(tmp_path):
    np.save(tmp_path / "l.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="holds Python objects"):
        read_labels(tmp_path / "l.npy")
    with pytest.raises(DataError, match="no such file"):
        read_labels(tmp_path / "none.txt")
