"""Files of named vectors: shards while they are made, and Parquet, `.npy` or `.npz` at the end."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from iiae.errors import MissingExtra, RunError
from iiae.files.atomic import write_arrays


class ShardRows(NamedTuple):
    """Vectors `(rows, columns)` with a name each, and what could not be read, with the reason."""

    names: list[str]
    vectors: np.ndarray
    failed: list[tuple[str, str]]


class Description(NamedTuple):
    """What a writer needs before the first row.

    `longest` is the number of characters of the longest name.
    """

    rows: int
    longest: int
    columns: list[str]
    domain: str
    block: str


Writer = Callable[[Path, Description, Iterable[ShardRows]], None]


def write_shard(path: Path, rows: ShardRows) -> None:
    """Writes a shard atomically: no pickles.

    Raises:
        RunError: It cannot be written.
    """
    text = json.dumps({"names": rows.names, "failed": rows.failed}).encode()
    write_arrays(path, {"vectors": rows.vectors, "text": np.frombuffer(text, np.uint8)})


def read_shard(path: Path) -> ShardRows:
    """What `write_shard` wrote.

    Raises:
        RunError: It is damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            text = json.loads(arrays["text"].tobytes())
            failed = [(name, reason) for name, reason in text["failed"]]
            return ShardRows(text["names"], arrays["vectors"], failed)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: damaged: {error}; delete it and repeat the command") from error


def _write_npy(path: Path, described: Description, shards: Iterable[ShardRows]) -> None:
    with path.open("wb") as file:
        _header(file, (described.rows, len(described.columns)), np.dtype(np.float32))
        for rows in shards:
            file.write(np.ascontiguousarray(rows.vectors).tobytes())


def _write_npz(path: Path, described: Description, shards: Iterable[ShardRows]) -> None:
    """`path` and `vector`, streamed; the paths are short and wait until the vectors are in."""
    kind = np.dtype(f"<U{described.longest}")
    names: list[np.ndarray] = []
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("vector.npy", "w", force_zip64=True) as file:
            _header(file, (described.rows, len(described.columns)), np.dtype(np.float32))
            for rows in shards:
                file.write(np.ascontiguousarray(rows.vectors).tobytes())
                names.append(np.array(rows.names, kind))
        with archive.open("path.npy", "w", force_zip64=True) as file:
            _header(file, (described.rows,), kind)
            for part in names:
                file.write(part.tobytes())


def _write_parquet(path: Path, described: Description, shards: Iterable[ShardRows]) -> None:
    """One row group per shard; the columns' names, domain and block are in the file's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    size = len(described.columns)
    about = {k: json.dumps(v) for k, v in described._asdict().items() if k not in ("longest",)}
    schema = pa.schema(
        [("path", pa.string()), ("vector", pa.list_(pa.float32(), size))], metadata=about
    )
    with pq.ParquetWriter(path, schema) as writer:
        for rows in shards:
            if rows.names:
                flat = pa.array(np.ascontiguousarray(rows.vectors).reshape(-1), pa.float32())
                vectors = pa.FixedSizeListArray.from_arrays(flat, size)
                names = pa.array(rows.names, pa.string())
                writer.write_table(pa.Table.from_arrays([names, vectors], schema=schema))


def _header(file: IO[bytes], shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
    described = {"descr": kind.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)


def _parquet() -> Writer:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingExtra("data", "Parquet") from error
    return _write_parquet


WRITERS: dict[str, Callable[[], Writer]] = {
    ".parquet": _parquet,
    ".npy": lambda: _write_npy,
    ".npz": lambda: _write_npz,
}
