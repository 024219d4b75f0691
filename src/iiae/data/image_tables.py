"""Image pairs named by a table: CSV or Parquet of paths, or Hugging Face image columns."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iiae.data.base import Splits
from iiae.data.image_pairs import PairFiles
from iiae.data.image_splits import hold_out, split_files
from iiae.data.missing import Sides
from iiae.errors import DataError, MissingExtra
from iiae.files.images import Encoded
from iiae.files.tables import column_names, image_place, read_columns
from iiae.settings import DataSettings
from iiae.wording import argument

log = logging.getLogger("iiae")

PARTS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}


def load_table(settings: DataSettings) -> Splits:
    """Pairs of a .csv or .parquet table: columns `x` and `y` hold paths or encoded images.

    `data.root` is the file; `data.x` and `data.y` name the columns (x and y by default). Paths
    are relative to the file. A column `split` (train, validation, test) is kept; rows without a
    mark train, and a set that no row is marked for is held out of the training rows. Where a cell
    of x or y is empty, the row is trained on without its partner; rows to validate and test on
    have both. A Parquet column may hold images as Hugging Face `datasets` writes them,
    `{bytes, path}`.

    Raises:
        DataError: The file or a column is missing, a row is empty or, outside of the training
            set, incomplete, or an image cannot be read.
        MissingExtra: Parquet without pyarrow.
    """
    if settings.root is None:
        raise DataError("data.root is missing: the .csv or .parquet file")
    path = Path(settings.root)
    if not path.is_file():
        raise DataError(f"data.root = {path}: no such file")
    columns = (settings.x or "x", settings.y or "y")
    _require(column_names(path), columns, str(path))
    rows = _rows(read_columns(path, (*columns, "split")))
    parts: dict[str, list[PairFiles]] = {}
    for number, row in enumerate(rows, start=1):
        part = _part(row, path, number)
        files = _row(row, columns, path, number, part)
        parts.setdefault(part, []).append(_located(files, f"{path}: row {number}"))
    return _sets(parts, settings, str(path), path.parent)


def load_hugging_face(settings: DataSettings) -> Splits:
    """Image columns of a Hugging Face data set: a hub id, or a folder that `datasets` reads.

    `data.root` is the id or folder; `data.x` and `data.y` name the columns. Its splits train,
    validation and test are kept; what is missing is held out of the training rows, to which splits
    of other names belong.

    Raises:
        DataError: The data set cannot be splits (offline, unknown), or a column is missing.
        MissingExtra: `datasets` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra("data", "Hugging Face data sets") from error
    if settings.root is None:
        raise DataError("data.root is missing: the hub id or folder of the data set")
    try:
        alone = (Path(settings.root) / "state.json").is_file()  # one part, as `save_to_disk` writes
        if alone:
            splits = {"all": datasets.Dataset.load_from_disk(settings.root)}
        else:
            splits = datasets.load_dataset(settings.root)
    except Exception as error:  # each backend raises its own
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"data.root = {settings.root}: cannot be loaded: {reason}") from error
    columns = (settings.x or "x", settings.y or "y")
    parts: dict[str, list[PairFiles]] = {}
    for split, rows in dict(splits).items():
        _require(rows.column_names, columns, f"{settings.root} {split}")
        for name in columns:
            if isinstance(rows.features[name], datasets.Image):
                rows = rows.cast_column(name, datasets.Image(decode=False))
        part = parts.setdefault(PARTS.get(str(split), "all"), [])
        for number, row in enumerate(map(dict, rows), start=1):
            where = f"{settings.root}: {split} row {number}"
            x, y = (image_place(row[n], Path(settings.root), f"{where}: {n}") for n in columns)
            part.append(_located(PairFiles(x, y), where))
    return _sets(parts, settings, settings.root, Path(settings.root))


def _sets(
    parts: Mapping[str, list[PairFiles]], settings: DataSettings, name: str, root: Path
) -> Splits:
    """Marked rows stay in their set; rows without a mark train; a missing set is held out."""
    marked = {part: len(rows) for part, rows in parts.items() if part != "all"}
    train = [*parts.get("train", []), *parts.get("all", [])]
    if not marked.keys() & {"val", "test"}:
        return split_files(train, settings, name, (root,))
    if not train:
        raise DataError(
            f"{name}: has rows to validate or test on and none to train on; mark some with train, "
            "or leave their split empty"
        )
    sets = hold_out(train, parts.get("val", []), parts.get("test", []), settings, (root,))
    log.info(
        "%s: %d pairs to train on%s, %d to validate, %d to test",
        name,
        len(sets.train),
        f" ({len(parts['all'])} rows without a split among them)" if "all" in parts else "",
        len(sets.validation),
        len(sets.test),
    )
    return sets


def _rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _require(names: Iterable[str], columns: tuple[str, str], where: str) -> None:
    names = list(names)
    for column in columns:
        if column not in names:
            raise DataError(
                f"{where}: has no column {column}, only {', '.join(names)}; name yours with "
                f"{argument('x')} and {argument('y')}, which are data.x and data.y"
            )


def _row(
    row: Mapping[str, Any], columns: tuple[str, str], path: Path, number: int, part: str
) -> PairFiles:
    """A row of a table; if a cell is empty, the one image that is there stands for both."""
    there = [name for name in columns if not _is_empty(row[name])]
    if len(there) == 1 and part in ("train", "all"):
        where = f"{path}: row {number}, column {there[0]}"
        source = image_place(row[there[0]], path.parent, where)
        return PairFiles(source, source, Sides.X if there[0] == columns[0] else Sides.Y)
    x, y = (
        image_place(row[name], path.parent, f"{path}: row {number}, column {name}")
        for name in columns
    )
    return PairFiles(x, y)


def _is_empty(value: Any) -> bool:
    if isinstance(value, Mapping):
        return not (value.get("bytes") or value.get("path"))
    return not value


def _located(files: PairFiles, where: str) -> PairFiles:
    """With the row that names the files; encoded images have it in their name."""
    paths = any(not isinstance(source, Encoded) for source in (files.x, files.y))
    return files._replace(where=where) if paths else files


def _part(row: Mapping[str, Any], path: Path, number: int) -> str:
    named = row.get("split") or "all"
    if named != "all" and named not in PARTS:
        raise DataError(f"{path}: row {number}: split is {named!r}, not train, validation or test")
    return PARTS.get(named, named)
