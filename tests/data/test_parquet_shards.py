import io
import json
import subprocess
import sys
from itertools import chain

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from helpers import program, small_settings
from iiae.data import load
from iiae.data.parquet_shards import ShardPairs
from iiae.data.sampling import ShardBatches, make_batches
from iiae.errors import DataError, MissingExtra, SettingsError
from iiae.run_folder import MODEL, load_history
from iiae.settings import DataSettings
from iiae.training import Learner, checkpoints, fit
from iiae.training.loader import Loader
from iiae.types import Draw

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def write_shards(folder, sizes, group=10, width=3, files=None):
    """Pair i of the folder has x = (i, i, ..) and y = (-i, i); returns how many there are."""
    files = files or fsspec.filesystem("file")
    files.makedirs(str(folder), exist_ok=True)
    start = 0
    for number, size in enumerate(sizes):
        index = np.arange(start, start + size, dtype=np.float32)
        x = pa.FixedSizeListArray.from_arrays(pa.array(np.repeat(index, width)), width)
        y = pa.array([[-i, i] for i in index.tolist()])
        with files.open(f"{folder}/part-{number:03}.parquet", "wb") as file:
            pq.write_table(pa.table({"x": x, "y": y}), file, row_group_size=group)
        start += size
    return start


def write_sets(folder, sizes, **options):
    for name, part in (("train", sizes), ("val", [12]), ("test", [15])):
        write_shards(folder / name, part, **options)


def settings(root, **values):
    return DataSettings(name="parquet-shards", root=str(root), **values)


def ids(pair):
    return pair.x[:, 0].int().tolist()


def test_folders_are_the_sets_and_pairs_are_in_order(tmp_path):
    write_sets(tmp_path, [25, 7])
    parts = load(settings(tmp_path))
    assert [len(p) for p in parts] == [32, 12, 15]
    assert parts.train.shapes == ((3,), (2,))
    batches = list(parts.train.batches(9))
    assert list(chain(*map(ids, batches))) == list(range(32))
    for pair in batches:
        assert torch.equal(pair.y, torch.stack([-pair.x[:, 0], pair.x[:, 0]], 1))


def test_a_draw_may_ask_for_pairs_in_any_order(tmp_path):
    write_sets(tmp_path, [25, 7])
    index = torch.tensor([31, 0, 24, 9, 10, 31])
    assert ids(load(settings(tmp_path)).train.pairs(Draw(index))) == index.tolist()


def test_whole_shards_are_held_out_where_there_are_no_folders(tmp_path):
    total = write_shards(tmp_path, [20] * 10)
    parts = load(settings(tmp_path, validation=30))
    assert [len(p) for p in parts] == [140, 40, 20]
    drawn = [set(chain(*map(ids, part.batches(7)))) for part in parts]
    assert sorted(chain(*drawn)) == list(range(total))
    again = load(settings(tmp_path, validation=30))
    assert ids(next(again.test.batches(20))) == ids(next(parts.test.batches(20)))


def test_a_limit_takes_the_first_pairs(tmp_path):
    write_sets(tmp_path, [25, 7])
    assert len(load(settings(tmp_path, limit=13)).train) == 13


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("pairs", [240, 251])
def test_ranks_and_workers_repeat_and_lose_no_pair(world, workers, pairs):
    rows = [10] * (pairs // 10) + [pairs % 10] * (pairs % 10 > 0)
    parts = [ShardBatches(rows, 12, 7, buffer=60, workers=workers) for _ in range(world)]
    for rank, part in enumerate(parts):
        part.share(rank, world)
    for epoch in range(2):
        for part in parts:
            part.set_epoch(epoch)
        drawn = [list(part) for part in parts]
        assert all(len(d.indices) == 12 // world for d in chain(*drawn))
        index = torch.cat([d.indices for d in chain(*drawn)]).tolist()
        assert len(set(index)) == len(index) == pairs // 12 * 12
        assert len({len(d) for d in drawn}) == 1
        assert set(index) <= set(range(pairs))


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("workers", [0, 3])
def test_seeking_goes_on_exactly_where_a_step_was(world, workers):
    def batches():
        made = ShardBatches([10] * 25, 12, 7, buffer=90, workers=workers)
        made.share(world - 1, world)
        return made

    def listed(draws):
        return [(d.indices.tolist(), d.seed) for d in draws]

    whole = batches()
    drawn = []
    for epoch in range(2):
        whole.set_epoch(epoch)
        drawn += listed(whole)
    for step in (0, 1, 7, 19, 20, 33):
        part = batches()
        part.seek(step)
        rest = listed(part)
        if step < 20:
            part.set_epoch(1)
            rest += listed(part)
        assert rest == drawn[step:]


def test_order_is_new_each_epoch_and_the_same_for_a_seed():
    one, other, third = (ShardBatches([10] * 9, 10, s, 30, 0) for s in (3, 3, 4))
    first = [d.indices.tolist() for d in one]
    assert first == [d.indices.tolist() for d in other]
    assert first != [d.indices.tolist() for d in third]
    one.set_epoch(1)
    assert first != [d.indices.tolist() for d in one]


def test_pairs_are_shuffled_within_the_buffer_and_each_group_is_read_once(tmp_path, monkeypatch):
    write_sets(tmp_path, [40, 40, 40])
    pairs = load(settings(tmp_path, buffer=30)).train
    assert isinstance(pairs, ShardPairs)
    read = []
    original = ShardPairs._columns

    def columns(self, group):
        if group not in self._kept:
            read.append(group)
        return original(self, group)

    monkeypatch.setattr(ShardPairs, "_columns", columns)
    batches = [pairs[draw] for draw in make_batches(pairs, 10, seed=0)]
    assert sorted(chain(*map(ids, batches))) == list(range(120))
    assert sorted(read) == list(range(12))
    assert sum(pairs.groups[g].rows for g in pairs._kept) <= 30
    for window in range(4):  # three groups of ten, mixed
        of = [i // 10 for pair in batches[3 * window : 3 * window + 3] for i in ids(pair)]
        assert len(set(of)) == 3 and of != sorted(of)


def test_workers_read_their_own_groups_and_give_the_same_batches_each_time(tmp_path):
    write_sets(tmp_path, [40, 40, 40])
    pairs = load(settings(tmp_path, buffer=40)).train

    def epoch():
        batches = make_batches(pairs, 10, seed=0, workers=2)
        return [ids(pair) for pair in Loader(pairs, batches, 2, torch.device("cpu")).epoch(0)]

    drawn = epoch()
    assert sorted(chain(*drawn)) == list(range(120))
    assert drawn == epoch()


def test_a_buffer_smaller_than_a_row_group_is_refused_with_what_would_do(tmp_path):
    write_sets(tmp_path, [40])
    pairs = load(settings(tmp_path, buffer=15)).train
    with pytest.raises(SettingsError, match=r"2 workers: .* 10 pairs; give at least 20"):
        make_batches(pairs, 10, seed=0, workers=2)


def test_shards_at_a_url_are_read_through_fsspec():
    files = fsspec.filesystem("memory")
    write_shards("/shards", [20] * 4, files=files)
    parts = load(settings("memory://shards"))
    assert [len(p) for p in parts] == [40, 20, 20]
    assert len(set(chain(*map(ids, parts.train.batches(7))))) == 40


def encoded(colour):
    file = io.BytesIO()
    Image.new("RGB", (20, 20), colour).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("struct", [True, False])
def test_encoded_images_are_decoded_at_the_draw(tmp_path, struct):
    x, y = encoded((255, 0, 0)), encoded((0, 0, 255))
    if struct:
        x, y = ({"bytes": side, "path": None} for side in (x, y))
    for part in ("train", "validation", "test"):
        (tmp_path / part).mkdir()
        pq.write_table(pa.table({"a": [x] * 6, "b": [y] * 6}), tmp_path / part / "0.parquet")
    pairs = load(settings(tmp_path, size=16, x="a", y="b", flip=True, crop=0.25)).train
    assert pairs.shapes == ((3, 16, 16), (3, 16, 16))
    pair = pairs.pairs(Draw(torch.arange(6), seed=1))
    assert (pair.x[:, 0] == 1).all() and (pair.y[:, 2] == 1).all() and (pair.y[:, 0] == -1).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [[1.0]] * 4, "z": [[1.0]] * 4}, "has no column y; name yours with data.x"),
        ({"x": [[1.0]] * 4, "y": [1, 2, 3, 4]}, "column y: holds int64; lists of numbers"),
        ({"x": [[1.0]] * 4, "y": [[1.0], [1.0, 2.0]] * 2}, "column y: rows differ in length"),
        ({"x": [[1.0], None] * 2, "y": [[1.0]] * 4}, "column x: 2 of 4 rows are empty"),
        ({"x": [[1.0]] * 4, "y": [[float("nan")]] * 4}, "column y: NaN or infinite"),
        ({"x": [[1.0]] * 4, "y": [[1e300]] * 4}, "column y: values too large for float32"),
        ({"x": [[1.0]] * 4, "y": [["a"]] * 4}, "column y: holds list<.*string> .*, not numbers"),
        ({"x": [[1.0]] * 4, "y": pa.array([[]] * 4, pa.list_(pa.float32()))}, "not numbers"),
        ({"x": [[1.0]] * 4, "y": [b"no image"] * 4}, "one holds images, the other vectors"),
        ({"x": [b"no image"] * 4, "y": [b""] * 4}, "column x, row 0: not an image"),
    ],
)
def test_wrong_shards_say_what_is_wrong(tmp_path, columns, message):
    for i in range(3):
        pq.write_table(pa.table(columns), tmp_path / f"{i}.parquet")
    with pytest.raises(DataError, match=message):
        load(settings(tmp_path))


def test_wrong_folders_say_what_is_wrong(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"0 \.parquet shards"):
        load(settings(tmp_path))
    write_shards(tmp_path, [10, 10])
    with pytest.raises(DataError, match=r"2 \.parquet shards; at least one to train on"):
        load(settings(tmp_path))
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"bad\.parquet: not a Parquet file"):
        load(settings(tmp_path))
    with pytest.raises(DataError, match=r"data\.root is missing"):
        load(DataSettings.model_validate({"name": "parquet-shards"}))
    with pytest.raises(DataError, match=r"data.root = nowhere://a: cannot be read"):
        load(settings("nowhere://a"))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match="extra 'data'"):
        load(settings(tmp_path))


def test_partners_are_not_taken_from_a_stream(tmp_path):
    write_sets(tmp_path, [40])
    with pytest.raises(DataError, match="are streamed"):
        load(settings(tmp_path, missing=0.3))


class StopsAt(Exception):
    pass


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_on_shards_resumes_bit_for_bit(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(checkpoints, "VECTOR_STEPS", 1)
    rng = np.random.default_rng(0)
    for part, size in (("train", 100), ("validation", 30), ("test", 30)):
        (tmp_path / part).mkdir()
        table = {side: list(rng.normal(size=(size, 8)).astype(np.float32)) for side in "xy"}
        pq.write_table(pa.table(table), tmp_path / part / "0.parquet", row_group_size=10)
    given = small_settings(
        "data.name=parquet-shards", f"data.root={tmp_path}", "data.buffer=40",
        "training.epochs=3", "training.batch=20", "training.checkpoint_seconds=0",
        f"training.workers={workers}",
    )  # fmt: skip
    fit(given, tmp_path / "whole", progress=False)
    original = Learner.optimise

    def step_or_die(self, pair):
        if self.steps == 7:
            raise StopsAt
        return original(self, pair)

    monkeypatch.setattr(Learner, "optimise", step_or_die)
    with pytest.raises(StopsAt):
        fit(given, tmp_path / "parts", progress=False)
    monkeypatch.setattr(Learner, "optimise", original)
    fit(given, tmp_path / "parts", resume=True, progress=False)
    assert load_history(tmp_path / "parts")[-1]["step"] == 15
    whole, parts = (load_file(tmp_path / name / MODEL) for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_memory_is_flat_over_an_epoch_of_ten_times_the_budget(tmp_path):
    """80 MB of pairs, 8 MB of memory beyond that of the process before."""
    budget, width, pairs = 8 * 2**20, 1000, 10_500
    rng = np.random.default_rng(0)
    for part, shards in (("train", 21), ("validation", 1), ("test", 1)):
        (tmp_path / part).mkdir()
        for number in range(shards):
            table = {
                side: pa.FixedSizeListArray.from_arrays(
                    pa.array(rng.random(500 * width, dtype=np.float32)), width
                )
                for side in "xy"
            }
            pq.write_table(
                pa.table(table), tmp_path / part / f"{number}.parquet",
                row_group_size=50, compression="none", use_dictionary=False,
            )  # fmt: skip
    assert pairs * 2 * width * 4 >= 10 * budget
    done = subprocess.run(
        program("shard_memory", tmp_path, 400),
        capture_output=True, text=True, check=True, timeout=200,
    )  # fmt: skip
    seen, most, early, late = json.loads(done.stdout)
    assert seen == pairs
    assert most < budget
    assert late < early + budget / 8
