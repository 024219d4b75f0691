import csv
import sys

import pytest
import torch
from PIL import Image

from helpers import write_images
from iiae.data import load
from iiae.errors import DataError, MissingExtra
from iiae.files.tables import image_place
from iiae.settings import DataSettings
from iiae.types import Draw

RED, BLUE = (255, 0, 0), (0, 0, 255)
PARTS = ["train"] * 5 + ["validation"] + ["test"] * 2


def images(folder, count=8):
    (folder / "left ä").mkdir()
    (folder / "右").mkdir()
    rows = []
    for i in range(count):
        x, y = folder / "left ä" / f"{i}.png", folder / "右" / f"other {i}.png"
        Image.new("RGB", (16, 16), (255, i, 0)).save(x)
        Image.new("RGB", (16, 16), (0, i, 255)).save(y)
        rows.append((x.relative_to(folder), y.relative_to(folder)))
    return rows


def write_csv(path, rows, columns=("x", "y")):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def settings(root, **values):
    return DataSettings(name="table", root=str(root), **{"size": 16, **values})


def is_right(pairs):
    pair = pairs.pairs(Draw(torch.arange(len(pairs))))
    return bool((pair.x[:, 0] == 1).all() and (pair.y[:, 2] == 1).all())


def test_paths_in_a_csv_are_relative_to_it(tmp_path, monkeypatch):
    write_csv(tmp_path / "pairs.csv", images(tmp_path))
    monkeypatch.chdir("/")
    parts = load(settings(tmp_path / "pairs.csv"))
    assert sum(len(p) for p in parts) == 8
    assert is_right(parts.train)


def number(pair):
    return int(pair.x.stem)


@pytest.mark.parametrize(
    "mark",
    [
        lambda i: "train" if i < 30 else "val",
        lambda i: "test" if i < 10 else "",
        lambda i: "train" if i < 10 else "test" if i < 20 else "",
        lambda i: "test" if i < 10 else "val" if i < 20 else "",
        lambda i: "validation" if i % 3 == 0 else "train" if i % 3 == 1 else "",
    ],
)
def test_rows_stay_in_the_set_they_are_marked_for_and_none_is_lost(tmp_path, mark):
    rows = images(tmp_path, 40)
    write_csv(
        tmp_path / "p.csv", [(*row, mark(i)) for i, row in enumerate(rows)], ("x", "y", "split")
    )
    parts = load(settings(tmp_path / "p.csv"))
    sets = {name: {number(pair) for pair in part.files} for name, part in parts._asdict().items()}
    assert set().union(*sets.values()) == set(range(40))
    assert sum(map(len, sets.values())) == 40
    names = {"val": "validation"}
    for name in ("validation", "test"):
        marked = {i for i in range(40) if names.get(mark(i), mark(i)) == name}
        assert sets[name] == marked if marked else 0 < len(sets[name]) < 14


def test_held_out_rows_without_any_to_train_on_are_refused(tmp_path):
    rows = [(*row, "test") for row in images(tmp_path)]
    write_csv(tmp_path / "p.csv", rows, ("x", "y", "split"))
    with pytest.raises(DataError, match="none to train on"):
        load(settings(tmp_path / "p.csv"))


def test_an_image_that_is_trained_and_tested_on_is_named(tmp_path, caplog):
    rows = images(tmp_path, 40)
    marked = [(*row, "test" if i < 10 else "train") for i, row in enumerate(rows)]
    marked[3] = (rows[25][0], rows[3][1], "test")
    write_csv(tmp_path / "p.csv", marked, ("x", "y", "split"))
    load(settings(tmp_path / "p.csv"))
    assert "1 of 10 test pairs have an x or a y that is trained on too" in caplog.text


def test_columns_are_named_by_settings_and_splits_are_kept(tmp_path):
    rows = images(tmp_path)
    named = [(*row, part) for row, part in zip(rows, PARTS, strict=True)]
    write_csv(tmp_path / "pairs.csv", named, ("photo", "map", "split"))
    parts = load(settings(tmp_path / "pairs.csv", x="photo", y="map"))
    assert [len(p) for p in parts] == [5, 1, 2]
    assert parts.test.files[0].x.name == "6.png"


def test_parquet_of_paths_and_of_encoded_images(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = images(tmp_path)
    paths = {"x": [str(r[0]) for r in rows], "y": [str(r[1]) for r in rows]}
    pq.write_table(pa.table(paths), tmp_path / "paths.parquet")
    assert is_right(load(settings(tmp_path / "paths.parquet")).train)
    content = {
        name: [{"bytes": (tmp_path / p).read_bytes(), "path": None} for p in column]
        for name, column in paths.items()
    }
    pq.write_table(pa.table(content), tmp_path / "content.parquet")
    assert is_right(load(settings(tmp_path / "content.parquet")).train)


def test_hugging_face_data_sets_are_read_from_local_parquet(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = images(tmp_path)
    table = datasets.Dataset.from_dict(
        {"a": [str(tmp_path / r[0]) for r in rows], "b": [str(tmp_path / r[1]) for r in rows]}
    ).cast(datasets.Features({"a": datasets.Image(), "b": datasets.Image()}))
    folder = tmp_path / "set" / "data"
    folder.mkdir(parents=True)
    table.select(range(6)).to_parquet(folder / "train-00000-of-00001.parquet")
    table.select(range(6, 8)).to_parquet(folder / "test-00000-of-00001.parquet")
    given = settings(tmp_path / "set", x="a", y="b")
    parts = load(given.model_copy(update={"name": "hugging-face"}))
    table.save_to_disk(tmp_path / "alone")
    saved = given.model_copy(update={"name": "hugging-face", "root": str(tmp_path / "alone")})
    assert sum(map(len, load(saved))) == 8
    assert [len(p) for p in parts] == [5, 1, 2]
    assert is_right(parts.test)


def test_a_hub_id_that_cannot_be_reached_is_said(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")

    def offline(*_, **__):
        raise ConnectionError("Couldn't reach the hub")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(DataError, match="some/set: cannot be loaded: Couldn't reach the hub"):
        load(DataSettings(name="hugging-face", root="some/set"))


@pytest.mark.parametrize("split", [True, False])
def test_a_row_with_an_empty_cell_is_trained_on_alone(tmp_path, split):
    rows = images(tmp_path, 12)
    part = [*["train"] * 10, "test", "test"] if split else [""] * 12
    cells = [[str(x), str(y), p] for (x, y), p in zip(rows, part, strict=True)]
    cells[0][1] = cells[1][1] = cells[2][0] = ""
    write_csv(tmp_path / "pairs.csv", cells, ("x", "y", "split"))
    parts = load(settings(tmp_path / "pairs.csv"))
    assert sum(len(p) for p in parts) == 9
    assert not split or len(parts.test) == 2
    whole = len(parts.train) + 3
    batch = parts.train[Draw(torch.arange(whole))]
    assert (len(batch.x), len(batch.y), batch.pairs) == (whole - 1, whole - 2, whole - 3)
    assert (batch.x[:, 0] == 1).all() and (batch.y[:, 2] == 1).all()  # red, blue
    assert is_right(parts.train) and is_right(parts.validation) and is_right(parts.test)


def test_an_empty_image_of_a_parquet_column_is_a_missing_partner(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = images(tmp_path)
    content = {
        name: [{"bytes": (tmp_path / r[i]).read_bytes(), "path": None} for r in rows]
        for i, name in enumerate("xy")
    }
    content["y"][0] = None
    pq.write_table(pa.table(content), tmp_path / "a.parquet")
    assert len(load(settings(tmp_path / "a.parquet")).train) == 5


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([("a.png", "b.png")], ("left", "right"), "has no column x, only left, right"),
        ([("", "")] * 5, ("x", "y"), "row 1, column x is empty"),
        ([("a.png", "")] * 5, ("x", "y"), "0 pairs; at least 4 are needed"),
        (
            [("a.png", "", "test")] * 5,
            ("x", "y", "split"),
            "row 1, column y is empty",
        ),
        ([("a.png", "b.png")] * 5, ("x", "y"), r"pairs.csv: row \d: .*a.png: no such file"),
        ([("l\\a.png", "b.png")] * 5, ("x", "y"), r"row \d: .*no such file; write / between"),
        ([("a.png", "b.png", "dev")], ("x", "y", "split"), "row 1: split is 'dev', not train"),
        ([], ("x", "y"), "0 pairs; at least 4 are needed"),
    ],
)
def test_wrong_tables_say_what_is_wrong(tmp_path, rows, columns, message):
    write_csv(tmp_path / "pairs.csv", rows, columns)
    with pytest.raises(DataError, match=message):
        load(settings(tmp_path / "pairs.csv"))


@pytest.mark.parametrize("name", ["pairs.CSV", "pairs.tsv", "pairs.TSV"])
def test_tables_of_commas_and_of_tabs_are_read_whatever_the_case_of_their_ending(tmp_path, name):
    names = [f"{i}.png" for i in range(10)]
    write_images(tmp_path / "x", names)
    between = "\t" if name.lower().endswith("tsv") else ","
    rows = [("x", "y"), *((f"x/{n}", f"x/{n}") for n in names)]
    (tmp_path / name).write_text("".join(f"{between.join(row)}\n" for row in rows))
    assert sum(map(len, load(settings(tmp_path / name)))) == 10


def test_files_that_are_no_tables_are_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match="not a Parquet file that can be read"):
        load(settings(tmp_path / "a.parquet"))
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00x,y")
    with pytest.raises(DataError, match="not a CSV table in UTF-8"):
        load(settings(tmp_path / "a.csv"))
    with pytest.raises(DataError, match="no such file"):
        load(settings(tmp_path / "missing.csv"))


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"nothing")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match="extra 'data'"):
        load(settings(tmp_path / "a.parquet"))


def test_a_label_is_no_image(tmp_path):
    with pytest.raises(DataError, match=r"row 1: label holds 0, which is no image and no path"):
        image_place(0, tmp_path, "set: train row 1: label")
    for nothing in (None, "", {"bytes": None, "path": None}):
        with pytest.raises(DataError, match="photo is empty"):
            image_place(nothing, tmp_path, "set: train row 1: photo")
