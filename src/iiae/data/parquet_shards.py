"""Pairs in Parquet shards, larger than memory: read by row group, here or in an object store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from iiae.data.base import Factor, PairSet, Splits, warn_of_given
from iiae.data.image_pairs import Preprocessing, preprocess
from iiae.data.ranges import to_float32
from iiae.data.splits import key, shuffled_by_key
from iiae.errors import DataError, MissingExtra
from iiae.files.images import Encoded, fit_image, open_image
from iiae.settings import DataSettings
from iiae.types import Draw, Pair

FOLDERS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


class RowGroup(NamedTuple):
    """Rows that are read at once; the first `rows` of them are used."""

    file: str
    number: int
    rows: int


class Images(NamedTuple):
    """A column of encoded images, as pyarrow has them, and its name for messages."""

    name: str
    content: Any


Column = np.ndarray | Images


class ShardPairs(PairSet):
    """Pairs of row groups, of which those last used are kept: `buffer` pairs at most.

    For draws that stay within few groups at a time, as those in order and of `ShardBatches` do.
    Groups of more pairs than `buffer` are kept one at a time.

    Args:
        files: The file system of the shards, fsspec's.
        groups: Row groups, in the order of pairs.
        columns: Names of x and y.
        preprocessing: How images are resized and augmented.
        buffer: Pairs kept, over all workers that share them.

    Raises:
        DataError: A shard is damaged, or its columns are missing or of another kind.
    """

    def __init__(
        self,
        files: Any,
        groups: Sequence[RowGroup],
        columns: tuple[str, str],
        preprocessing: Preprocessing,
        buffer: int,
    ):
        self.files, self.groups, self.columns = files, list(groups), columns
        self.preprocessing, self.buffer = preprocessing, buffer
        self.ends = np.array(list(accumulate(group.rows for group in groups)))
        self._kept: OrderedDict[int, tuple[Column, Column]] = OrderedDict()
        first = self.pairs(Draw(torch.zeros(1, dtype=torch.int64)))
        self.shapes = (tuple(first.x.shape[1:]), tuple(first.y.shape[1:]))
        self._kept.clear()  # workers that are forked start without

    def __len__(self) -> int:
        return int(self.ends[-1])

    def factors(self) -> dict[str, Factor]:
        return {}

    def members(self) -> np.ndarray:
        """Keys of the shards, by the last two parts of their names."""
        names = {"/".join(group.file.split("/")[-2:]) for group in self.groups}
        return np.array(sorted(key(name) for name in names), np.uint64)

    def content(self) -> Iterator[bytes]:
        for group in self.groups:
            name = "/".join(group.file.split("/")[-2:])
            yield f"{name} {group.number} {group.rows}".encode("utf-8", "backslashreplace")

    def sample(self, count: int, seed: int) -> Tensor:
        """Pairs of whole row groups drawn at random, so that few are read."""
        drawn: list[Tensor] = []
        for group in np.random.default_rng(seed).permutation(len(self.groups)).tolist():
            if sum(map(len, drawn)) >= count:
                break
            end = int(self.ends[group])
            drawn.append(torch.arange(end - self.groups[group].rows, end))
        return torch.cat(drawn)[:count].sort().values

    def pairs(self, draw: Draw) -> Pair:
        index = draw.indices.numpy()
        group_of = np.searchsorted(self.ends, index, side="right")
        places: list[np.ndarray] = []
        values: list[tuple[Tensor, Tensor]] = []
        for group in dict.fromkeys(group_of.tolist()):  # in turn: those used up come first
            places.append(np.flatnonzero(group_of == group))
            rows = index[places[-1]] - (self.ends[group] - self.groups[group].rows)
            x, y = self._columns(group)
            values.append((self._values(x, rows), self._values(y, rows)))
        order = torch.from_numpy(np.argsort(np.concatenate(places)))
        x, y = (torch.cat(side)[order] for side in zip(*values, strict=True))
        if x.dtype != torch.uint8:
            return Pair(x, y)
        return preprocess(torch.cat([x, y], 3), self.preprocessing, draw.seed)

    def _columns(self, group: int) -> tuple[Column, Column]:
        """Both columns of a row group; those not used for longest make way for it."""
        if group in self._kept:
            self._kept.move_to_end(group)
            return self._kept[group]
        worker = get_worker_info()
        most = self.buffer // (worker.num_workers if worker else 1)
        rows = self.groups[group].rows
        while self._kept and rows + sum(self.groups[g].rows for g in self._kept) > most:
            self._kept.popitem(last=False)
        self._kept[group] = read_group(self.files, self.groups[group], self.columns)
        return self._kept[group]

    def _values(self, column: Column, rows: np.ndarray) -> Tensor:
        """Floats `(rows, size)`, or bytes `(rows, side, side, 3)`."""
        if isinstance(column, np.ndarray):
            return torch.from_numpy(column[rows])
        side = self.preprocessing.side
        images = (
            open_image(Encoded(f"{column.name}, row {row}", column.content[row].as_py()), side=side)
            for row in rows.tolist()
        )
        return torch.from_numpy(
            np.stack([np.asarray(fit_image(i, side, side, self.preprocessing.pad)) for i in images])
        )


def read_group(files: Any, group: RowGroup, columns: tuple[str, str]) -> tuple[Column, Column]:
    """Columns x and y of a row group.

    Raises:
        DataError: The shard cannot be read, has no such column, or one of another kind.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # opened anew each time: a file that is open does not survive a fork
        with files.open(group.file, "rb") as file, pq.ParquetFile(file, pre_buffer=False) as shard:
            table = shard.read_row_group(group.number, list(columns), use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{group.file}: cannot be read: {error}") from error
    for name in columns:
        if name not in table.column_names:
            raise DataError(
                f"{group.file}: has no column {name}; name yours with data.x and data.y"
            )
    where = f"{group.file}, row group {group.number}, column"
    x, y = (_column(table[name].combine_chunks(), f"{where} {name}") for name in columns)
    if isinstance(x, Images) != isinstance(y, Images):
        raise DataError(f"{where}s {' and '.join(columns)}: one holds images, the other vectors")
    return x, y


def _column(values: Any, where: str) -> Column:
    """Encoded images as they are; lists of numbers as floats `(rows, size)`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds = pa.types
    if kinds.is_struct(values.type) and values.type.get_field_index("bytes") >= 0:
        values = values.field("bytes")
    if values.null_count:
        raise DataError(f"{where}: {values.null_count} of {len(values)} rows are empty")
    if kinds.is_binary(values.type) or kinds.is_large_binary(values.type):
        return Images(where, values)
    lists = (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list)
    if not any(is_list(values.type) for is_list in lists):
        raise DataError(f"{where}: holds {values.type}; lists of numbers or images will do")
    flat = values.flatten()
    lengths = pc.call_function("list_value_length", [values]).unique()
    if len(lengths) != 1 or flat.null_count:
        raise DataError(f"{where}: rows differ in length or have empty values")
    numeric = (kinds.is_integer, kinds.is_floating, kinds.is_boolean)
    if not any(is_number(flat.type) for is_number in numeric) or not len(flat):
        raise DataError(f"{where}: holds {values.type} of {len(flat)} values, not numbers")
    return to_float32(flat.to_numpy(zero_copy_only=False).reshape(len(values), -1), where)


def load_shards(settings: DataSettings) -> Splits:
    """Pairs of `data.root`: a folder of `.parquet` shards, local or at a URL that fsspec knows.

    Folders `train`, `validation` (or `val`) and `test` in it are kept. Where one is missing, whole
    shards are held out of the training shards, in an order that their names and the seed decide,
    until they have `data.validation` or `data.test` pairs (a tenth by default). `data.x` and
    `data.y` name the columns, `data.limit` takes row groups drawn at random.

    Raises:
        DataError: There are too few shards, or one cannot be read.
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingExtra("data", "reading Parquet") from error
    if settings.root is None:
        raise DataError("data.root is missing: a folder or URL of .parquet shards")
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(settings.root)
        names = sorted(name for name in files.find(root) if name.endswith(".parquet"))
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"data.root = {settings.root}: cannot be read: {error}") from error
    shards = {name: _row_groups(files, name) for name in names}
    parts = _parts(shards, root, settings)
    train = _limited(parts["train"], settings.limit, root, settings.seed)
    columns = (settings.x or "x", settings.y or "y")
    drawn = Preprocessing(settings.size, settings.flip, settings.crop, settings.turn, settings.pad)
    fixed = Preprocessing(settings.size, pad=settings.pad)
    return Splits(
        ShardPairs(files, train, columns, drawn, settings.buffer),
        ShardPairs(files, parts["validation"], columns, fixed, 0),
        ShardPairs(files, parts["test"], columns, fixed, 0),
    )


def _row_groups(files: Any, name: str) -> list[RowGroup]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with files.open(name, "rb") as file, pq.ParquetFile(file, pre_buffer=False) as shard:
            footer = shard.metadata
            rows = [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{name}: not a Parquet file that can be read: {error}") from error
    return [RowGroup(name, i, count) for i, count in enumerate(rows) if count]


def _parts(
    shards: dict[str, list[RowGroup]], root: str, settings: DataSettings
) -> dict[str, list[RowGroup]]:
    """Row groups of each set: by folder, or shards held out."""
    names: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for name in shards:
        folder = name.removeprefix(root).strip("/").partition("/")[0]
        names[FOLDERS.get(folder, "train")].append(name)
    count = {name: sum(group.rows for group in groups) for name, groups in shards.items()}
    tenth = max(1, sum(count[name] for name in names["train"]) // 10)
    keys = np.array([key(name.removeprefix(root)) for name in names["train"]], np.uint64)
    order = [names["train"][i] for i in shuffled_by_key(keys, settings.seed)]
    for part, wanted in (("validation", settings.validation), ("test", settings.test)):
        held = names[part]
        warn_of_given(part, sum(count[name] for name in held), wanted)
        if held:
            continue
        while order and sum(count[name] for name in held) < (wanted or tenth):
            held.append(order.pop())
    if not order:
        raise DataError(
            f"data.root = {settings.root}: {len(shards)} .parquet shards; at least one to train "
            "on must be left where whole shards are held out for validation and testing, so "
            "write more of them, or give folders train, validation and test"
        )
    names["train"] = sorted(order)
    return {part: [g for name in held for g in shards[name]] for part, held in names.items()}


def _limited(groups: Sequence[RowGroup], limit: int | None, root: str, seed: int) -> list[RowGroup]:
    """Row groups drawn at random that hold `limit` pairs, the last of them cut; or all."""
    if limit is None:
        return list(groups)
    names = [f"{group.file.removeprefix(root)} {group.number}" for group in groups]
    keys = np.array([key(name) for name in names], np.uint64)
    drawn: dict[int, RowGroup] = {}
    left = limit
    for i in shuffled_by_key(keys, seed).tolist():
        if left > 0:
            drawn[i] = groups[i]._replace(rows=min(groups[i].rows, left))
        left -= groups[i].rows
    return [drawn[i] for i in sorted(drawn)]
