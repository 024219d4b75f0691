import gzip

import numpy as np
import pytest
import torch

from iiae.data import load, suggest_settings
from iiae.data.arrays import ArrayPairs, load_arrays, read_arrays
from iiae.data.missing import PartialPairs, Sides
from iiae.errors import DataError
from iiae.files.arrays import array_names, read_array, read_texts
from iiae.files.rows import read_rows
from iiae.settings import DataSettings, data_settings, make_settings
from iiae.types import Draw

rng = np.random.default_rng(0)


def save(tmp_path, x, y):
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    return DataSettings(name="arrays", x=str(tmp_path / "x.npy"), y=str(tmp_path / "y.npy"))


def test_rows_of_two_files_are_pairs(tmp_path):
    x = rng.normal(size=(40, 5))
    settings = save(tmp_path, x, 2 * x[:, :3])
    parts = load(settings)
    assert sum(len(p) for p in parts) == 40
    for part in parts:
        pair = part.pairs(Draw(torch.arange(len(part))))
        torch.testing.assert_close(pair.y, 2 * pair.x[:, :3])
    everything = torch.cat([p.x for p in parts]).numpy()
    assert np.allclose(np.sort(everything[:, 0]), np.sort(x[:, 0]).astype(np.float32))


def test_an_npz_holds_both_sides(tmp_path):
    np.savez(tmp_path / "pairs.npz", x=rng.normal(size=(10, 2)), y=rng.normal(size=(10, 3)))
    parts = load(DataSettings(name="arrays", x=str(tmp_path / "pairs.npz")))
    assert parts.train.shapes == ((2,), (3,))


def test_byte_images_become_floats_channels_first():
    x = rng.integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    pairs = ArrayPairs(x, x[..., 0])
    pair = pairs.pairs(Draw(torch.arange(6)))
    assert pairs.shapes == ((3, 8, 8), (1, 8, 8))
    torch.testing.assert_close(pair.x[2, 1], torch.tensor(x[2, :, :, 1] / 127.5 - 1).float())


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((5, 2)), np.zeros((6, 2)), "has 5 samples and .* has 6"),
        (np.zeros((0, 2)), np.zeros((0, 2)), ": no samples"),
        (np.zeros((1, 2)), np.zeros((1, 2)), "1 pair; at least 4 are needed"),
        (np.zeros((9, 2, 2, 2, 2)), np.zeros((9, 2)), r"shape \(9, 2, 2, 2, 2\); expected"),
        (np.zeros(9), np.zeros((9, 2)), r"shape \(9,\); .* one column is reshape\(-1, 1\)"),
        (np.full((9, 2), [np.nan, 1]), np.zeros((9, 2)), "x.npy: no number in column 0; leave it"),
        (np.zeros((9, 4, 4, 7), np.uint8), np.zeros((9, 2)), "7 channels last"),
        (np.zeros((9, 8, 8, 3)), np.zeros((9, 2)), r"channels last, .*transpose\(0, 3, 1, 2\)"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(tmp_path, x, y, message):
    with pytest.raises(DataError, match=message):
        load(save(tmp_path, x, y))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_with_nan_or_infinite_values_are_named(tmp_path, bad):
    x = np.zeros((20, 3))
    x[[4, 11], 1] = bad
    with pytest.raises(DataError, match=r"x.npy: NaN or infinite values in row 4, 11"):
        load(save(tmp_path, x, np.zeros((20, 3))))


def test_rows_that_are_nan_throughout_are_none_and_their_partners_are_trained_on_alone(tmp_path):
    x, y = rng.normal(size=(60, 3)), rng.normal(size=(60, 2))
    x[:25], y[40:] = np.nan, np.nan
    parts = load(save(tmp_path, x, y))
    assert isinstance(parts.train, PartialPairs)
    assert sum(map(len, parts)) == 15  # rows 25 to 39
    assert [(parts.train.sides == side).sum() for side in (Sides.X, Sides.Y)] == [20, 25]
    batch = parts.train[Draw(torch.arange(len(parts.train.sides)))]
    assert batch.x.isfinite().all() and batch.y.isfinite().all()
    y[30, 0] = np.nan
    with pytest.raises(DataError, match=r"y.npy: NaN .* in row 30$"):
        load(save(tmp_path, x, y))


def test_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"o.npy: holds Python objects \(a pickle\)"):
        read_array(tmp_path / "o.npy")


def test_text_is_not_numbers(tmp_path):
    np.save(tmp_path / "t.npy", np.array(["a", "b"]))
    with pytest.raises(DataError, match="holds <U1, not numbers"):
        read_array(tmp_path / "t.npy")


def test_a_text_file_called_npy_is_no_pickle(tmp_path):
    (tmp_path / "t.npy").write_text("1 2 3")
    with pytest.raises(DataError, match=r"t.npy: not a NumPy file; numpy.save writes one"):
        read_array(tmp_path / "t.npy")
    with pytest.raises(DataError, match=r"t.npy: damaged, cut off, or not an .npz"):
        array_names(tmp_path / "t.npy")
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(DataError, match=r"a.npz: is an .npz \(x\); an .npy is needed"):
        read_array(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1, 10], ["1", "10"]),
        ([1.0, -0.0, 2.5], ["1", "0", "2.5"]),
        (np.float32([0.1, 3]), ["0.1", "3"]),
        ([True, False], ["1", "0"]),
        (["a ", "ü"], ["a ", "ü"]),
        (np.array(["ü".encode()]), ["ü"]),
    ],
)
def test_labels_are_spelled_alike_whatever_their_type(tmp_path, values, texts):
    np.save(tmp_path / "l.npy", values)
    assert read_texts(tmp_path / "l.npy", kinds="buifUS") == texts


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array("a"), "a row of names is needed"),
        ([["a"]], "a row of names is needed"),
        ([np.nan], "NaN or infinite values"),
        (np.array([b"\xe9"]), "is not UTF-8"),
    ],
)
def test_wrong_labels_are_named(tmp_path, values, message):
    np.save(tmp_path / "l.npy", values)
    with pytest.raises(DataError, match=message):
        read_texts(tmp_path / "l.npy", kinds="buifUS")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_damaged_files_are_named(tmp_path, name):
    path = tmp_path / name
    if name.endswith("z"):
        np.savez(path, x=np.zeros((50, 20)), y=np.zeros((50, 20)))
    else:
        np.save(path, np.zeros((50, 20)))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(DataError, match=f"{name}: damaged, cut off, or not a NumPy file"):
        read_array(path, "y")


def test_missing_files_and_arrays_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none.npy: no such file"):
        read_array(tmp_path / "none.npy")
    np.savez(tmp_path / "a.npz", left=np.zeros(3))
    with pytest.raises(DataError, match=r"a.npz: holds left, not x"):
        load(DataSettings(name="arrays", x=str(tmp_path / "a.npz")))
    with pytest.raises(DataError, match=r"data.x is missing"):
        load(DataSettings(name="arrays"))
    np.save(tmp_path / "x.npy", np.zeros((5, 2)))
    with pytest.raises(DataError, match=r"data.y is missing"):
        load(DataSettings(name="arrays", x=str(tmp_path / "x.npy")))


def test_too_much_held_out_is_refused(tmp_path):
    settings = save(tmp_path, np.zeros((9, 2)), np.zeros((9, 2)))
    with pytest.raises(DataError, match="9 pairs cannot give 8 for validation"):
        load(settings.model_copy(update={"validation": 8}))


@pytest.mark.parametrize(("shape", "family"), [((30, 7), "features"), ((30, 3, 32, 32), "small")])
def test_suggested_settings_build_a_model(tmp_path, shape, family):
    from iiae.model.build import build_model

    settings = save(tmp_path, rng.uniform(-1, 1, shape), rng.uniform(-1, 1, shape))
    suggested = make_settings(suggest_settings(tmp_path / "x.npy", tmp_path / "y.npy"))
    assert suggested.model.family == family
    build_model(suggested.model, suggested.objective, load(settings).train.shapes)


def test_a_limit_keeps_that_many_pairs(tmp_path):
    x = rng.normal(size=(40, 5))
    parts = load(save(tmp_path, x, x).model_copy(update={"limit": 20}))
    assert sum(map(len, parts)) == 20


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.float32(3), r"x.npy: shape \(\); expected"),
        (np.zeros((9, 0)), r"x.npy: shape \(9, 0\): its rows hold no values"),
        (np.zeros((9, 3, 0, 4)), r"its rows hold no values"),
        (np.full((9, 3, 8, 8), 255.0), r"x.npy: images from 255 to 255 are not in \[-1, 1\]; div"),
        (np.full((9, 3, 8, 8), 65535, np.uint16), "divide by 32767.5 and subtract 1"),
        (np.full((9, 2), 1e300), "x.npy: values too large for float32"),
    ],
)
def test_arrays_that_a_model_cannot_hold_are_refused_in_one_line(tmp_path, x, message):
    settings = save(tmp_path, x, np.zeros((9, 2)))
    for read in (load, lambda one: suggest_settings(one.x, one.y)):
        with pytest.raises(DataError, match=message):
            read(settings)


def test_what_float32_loses_is_said_once_and_not_where_it_is_kept(tmp_path, caplog):
    x = rng.normal(size=(20, 3))
    settings = save(tmp_path, x + np.array([0, 1e8, 0]), x)
    load(settings)
    assert caplog.text.count("in coarse steps only") == 1


@pytest.mark.parametrize("ending", [".csv", ".CSV", ".tsv", ".Parquet"])
def test_tables_are_known_by_their_ending_in_any_case(ending):
    assert suggest_settings(pairs=f"pairs{ending}")["data"]["name"] == "table"
    assert suggest_settings(pairs="pairs")["data"]["name"] == "side-by-side"


def write_named(folder, order, ending=".csv"):
    """Two tables of the same rows, y in the order given; column 0 holds the row's number."""
    rows = [f"r{i},{i}.0,1" for i in range(20)]
    (folder / "x.csv").write_text("\n".join([",a,b", *rows]), "utf-8")
    other = "\n".join(["name,c", *(f"r{i},{i}" for i in order)])
    content = (other.replace(",", "\t") if ending.startswith(".tsv") else other).encode()
    path = folder / f"y{ending}"
    path.write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
    return {"name": "arrays", "x": str(folder / "x.csv"), "y": str(path)}


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz", ".tsv.gz"])
def test_tables_with_names_of_rows_are_matched_by_name(tmp_path, ending):
    pairs = read_arrays(data_settings(**write_named(tmp_path, range(24, 4, -1), ending)))
    assert len(pairs) == 15
    x, y = pairs.pairs(Draw(torch.arange(15)))[:2]
    assert torch.equal(x[:, :1], y)
    assert pairs.features == (["a", "b"], ["c"])


def test_paths_that_are_the_same_in_both_tables_are_names(tmp_path, caplog):
    names = [f"cell{i}" for i in range(40)]
    for side, order in (("x", names), ("y", names[::-1])):
        rows = [f"{name},{name.removeprefix('cell')},{i}" for i, name in enumerate(order)]
        (tmp_path / f"{side}.csv").write_text("\n".join(["path,a,b", *rows]) + "\n")
    settings = data_settings(name="arrays", x=f"{tmp_path}/x.csv", y=f"{tmp_path}/y.csv")
    pair = next(load(settings).train.batches(8))
    assert (pair.x[:, 0] == pair.y[:, 0]).all()
    assert "the same whole numbers" not in caplog.text


def test_a_parquet_of_pandas_has_the_index_as_names(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}, index=["r1", "r2"])
    frame.to_parquet(tmp_path / "x.parquet")
    rows = read_rows(tmp_path / "x.parquet", "x")
    assert (rows.names, rows.columns) == (["r1", "r2"], ["a", "b"])


def test_numbers_of_rows_with_a_heading_are_pointed_out(tmp_path, caplog):
    for side, order in (("x", range(40)), ("y", range(39, -1, -1))):
        rows = [f"{i},{2 * i % 7}" for i in order]
        (tmp_path / f"{side}.csv").write_text("\n".join([f"id{side},a", *rows]) + "\n")
    load(data_settings(name="arrays", x=f"{tmp_path}/x.csv", y=f"{tmp_path}/y.csv"))
    assert "columns idx of x and idy of y hold the same whole numbers" in caplog.text


def test_a_table_as_r_writes_it_has_names_of_rows(tmp_path):
    (tmp_path / "r.tsv").write_text('"a"\t"b"\n"r1"\t1\t2\n"r2"\t3\t4\n', "utf-8")
    rows = read_rows(tmp_path / "r.tsv", "x")
    assert (rows.names, rows.columns) == (["r1", "r2"], ["a", "b"])
    assert rows.values.tolist() == [[1, 2], [3, 4]]


def test_tables_of_numbers_alone_are_matched_by_position_and_keep_names_of_columns(tmp_path):
    for name in "xy":
        (tmp_path / f"{name}.csv").write_text("a,b\n" + "1,2\n3,4\n5,6\n7,8\n9,0\n", "utf-8")
    given = data_settings(
        name="arrays", x=str(tmp_path / "x.csv"), y=str(tmp_path / "y.csv"), validation=1, test=1
    )
    train = load_arrays(given).train
    assert train.features == (["a", "b"], ["a", "b"])
    assert torch.equal(*train.pairs(Draw(torch.arange(3)))[:2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",a\nr1,1\nr1,2\n", "1 names of rows occur more than once: r1"),
        (",a,b\nr1,1,2\nr2,3,high\n", "column b, row 2: 'high' is not a number"),
        (",a\nr1,1\nr2,\n", "NaN or infinite values.* in r2"),
        (",a\nq1,1\nq2,2\n", "share no name of a row"),
    ],
)
def test_tables_of_named_rows_that_are_wrong_say_where(tmp_path, text, message):
    given = write_named(tmp_path, range(20))
    (tmp_path / "y.csv").write_text(text, "utf-8")
    names = "".join(f"r{i},{i},1\n" for i in range(20))
    (tmp_path / "x.csv").write_text(",d,e\n" + names, "utf-8")
    with pytest.raises(DataError, match=message):
        read_arrays(data_settings(**given))
