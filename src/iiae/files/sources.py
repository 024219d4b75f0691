"""Items to embed: images in a folder, here or at a URL, or rows of an array."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from iiae.errors import DataError
from iiae.files.arrays import read_array
from iiae.files.folders import Listing, list_below, report, some_images, sort_out
from iiae.files.images import decode_image, read_image

Sample = Tensor | DataError


class Source(ABC):
    """What can be listed, and read from any thread or process.

    Attributes:
        grain: Items that one thread reads in one go.
    """

    grain: int

    @abstractmethod
    def names(self) -> Sequence[str]:
        """Sorted, relative to the folder.

        Raises:
            DataError: There are none.
        """

    @abstractmethod
    def stamp(self, name: str) -> Sequence[object]:
        """What changes when the item does."""

    @abstractmethod
    def check(self, shape: Sequence[int]) -> None:
        """Raises DataError where a model that takes `shape` cannot take these items."""

    @abstractmethod
    def read(self, names: Sequence[str], shape: Sequence[int]) -> list[Sample]:
        """Samples of `shape`, or why one cannot be read."""


def open_source(source: str) -> Source:
    """Items of a local folder, of a folder at a URL that fsspec knows, or of an `.npy`.

    Raises:
        DataError: There is no such place.
    """
    if "://" in source:
        return RemoteImages(source)
    if Path(source).is_file():
        return Rows(Path(source))
    if not Path(source).is_dir():
        raise DataError(f"{source}: no such folder or file")
    return LocalImages(Path(source))


class LocalImages(Source):
    """Images of a folder and its subfolders."""

    grain = 1

    def __init__(self, folder: Path):
        self.folder = folder

    def names(self) -> list[str]:
        listing = list_below(self.folder)
        return _all_named(listing, self.folder)

    def stamp(self, name: str) -> Sequence[object]:
        try:
            about = (self.folder / name).stat()
        except OSError:
            return (0, 0)
        return about.st_size, about.st_mtime_ns

    def check(self, shape: Sequence[int]) -> None:
        _check_images(self.folder, shape)

    def read(self, names: Sequence[str], shape: Sequence[int]) -> list[Sample]:
        return [_or_why(lambda n=name: read_image(self.folder / n, shape)) for name in names]


class RemoteImages(Source):
    """Images at a URL, as `s3://bucket/photos`, each fetched whole when it is read.

    Args:
        url: One that fsspec and its plug-ins know.

    Raises:
        DataError: fsspec does not know it.
    """

    grain = 1

    def __init__(self, url: str):
        import fsspec

        self.url = url.rstrip("/")
        try:
            self.files, self.root = fsspec.core.url_to_fs(self.url)
        except (OSError, ValueError, ImportError) as error:
            raise DataError(f"{url}: cannot be opened: {error}") from error
        self._stamps: dict[str, Any] = {}

    def names(self) -> list[str]:
        try:
            listed = self.files.find(self.root, detail=True)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.url}: cannot be listed: {error}") from error
        self._stamps = {
            path.removeprefix(self.root).lstrip("/"): _stamp(about)
            for path, about in listed.items()
        }
        listing = sort_out(self._stamps)
        return _all_named(listing, self.url)

    def stamp(self, name: str) -> Sequence[object]:
        return self._stamps.get(name, ())

    def check(self, shape: Sequence[int]) -> None:
        _check_images(self.url, shape)

    def read(self, names: Sequence[str], shape: Sequence[int]) -> list[Sample]:
        return [_or_why(lambda n=name: self._image(n, shape)) for name in names]

    def _image(self, name: str, shape: Sequence[int]) -> Tensor:
        try:
            content = self.files.cat_file(f"{self.root}/{name}")
        except (OSError, ValueError) as error:
            raise DataError(f"{self.url}/{name}: cannot be read: {error}") from error
        return decode_image(content, shape, f"{self.url}/{name}")


class Rows(Source):
    """Rows of an `.npy` of features, mapped, not read; their names are their numbers."""

    grain = 1024

    def __init__(self, file: Path):
        self.file = file
        self.values = _features(file)
        about = file.stat()
        self.changed = (about.st_size, about.st_mtime_ns)

    def names(self) -> Sequence[str]:
        return Numbers(range(len(self.values)))

    def stamp(self, name: str) -> Sequence[object]:
        return self.changed

    def check(self, shape: Sequence[int]) -> None:
        if len(shape) == 3:
            raise DataError(f"{self.file}: the model takes images; give a folder of them")
        if self.values.shape[1:] != tuple(shape):
            raise DataError(
                f"{self.file}: has shape {self.values.shape}; the model takes {shape[0]} features"
            )

    def read(self, names: Sequence[str], shape: Sequence[int]) -> list[Sample]:
        rows = self.values[[int(n) for n in names]]
        with np.errstate(over="ignore"):
            values = rows.astype(np.float32)
        if np.isfinite(values).all():
            return list(torch.from_numpy(values))
        return [
            torch.from_numpy(narrow) if np.isfinite(narrow).all() else _why_not(name, row)
            for name, row, narrow in zip(names, rows, values, strict=True)
        ]


class Numbers(Sequence[str]):
    """Numbers as names, made when they are asked for: a list of 10^9 would be 60 GB."""

    def __init__(self, numbers: range):
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Numbers: ...
    def __getitem__(self, place: int | slice) -> str | Numbers:
        numbers = self.numbers[place]
        return Numbers(numbers) if isinstance(numbers, range) else str(numbers)


def _all_named(listing: Listing, where: object) -> list[str]:
    """Images, and those whose names cannot be written, which are reported as the items are read.

    Raises:
        DataError: There are none.
    """
    report(listing, where)
    return sorted([*some_images(listing, where), *listing.unwritable])


def _or_why(read: Callable[[], Tensor]) -> Sample:
    try:
        return read()
    except DataError as error:
        return error


def _why_not(name: str, row: np.ndarray) -> DataError:
    finite = np.isfinite(row).all()
    why = "values too large for float32 (above 3.4e38)" if finite else "NaN or infinite values"
    return DataError(f"row {name}: holds {why}")


def _check_images(where: object, shape: Sequence[int]) -> None:
    if len(shape) != 3:
        raise DataError(f"{where}: the model takes {shape[0]} features; give an .npy of them")


def _stamp(about: dict[str, Any]) -> tuple[str, ...]:
    """Size and, by whatever name the store has it, version or time of change."""
    names = ("size", "ETag", "etag", "mtime", "LastModified", "updated", "last_modified", "created")
    return tuple(str(about[name]) for name in names if about.get(name) is not None)


def _features(source: Path) -> np.ndarray:
    """Rows of an `.npy`, mapped, not read."""
    try:
        rows = np.load(source, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        rows = read_array(source)  # says what is wrong; empty arrays cannot be mapped
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "buif" or rows.ndim != 2:
        raise DataError(f"{source}: is not an .npy of numbers, (rows, features)")
    if not len(rows):
        raise DataError(f"{source}: holds no rows")
    return rows
