"""Items to embed: images in a folder, here or at a URL, or rows of an array."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from iiae.data.images import decode_image, only_images, read_image
from iiae.errors import DataError

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
        found = (
            Path(folder, name).relative_to(self.folder).as_posix()
            for folder, _, names in os.walk(self.folder, followlinks=True)
            for name in names
        )
        return only_images(found, self.folder)

    def stamp(self, name: str) -> Sequence[object]:
        try:
            found = (self.folder / name).stat()
        except OSError:
            return (0, 0)
        return found.st_size, found.st_mtime_ns

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
        self._found: dict[str, Any] = {}

    def names(self) -> list[str]:
        try:
            found = self.files.find(self.root, detail=True)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.url}: cannot be listed: {error}") from error
        self._found = {
            path.removeprefix(self.root).lstrip("/"): _stamp(about) for path, about in found.items()
        }
        return only_images(self._found, self.url)

    def stamp(self, name: str) -> Sequence[object]:
        return self._found.get(name, ())

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
        found = file.stat()
        self.changed = (found.st_size, found.st_mtime_ns)

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
        values = torch.from_numpy(self.values[[int(n) for n in names]].astype(np.float32))
        sound = values.isfinite().all(1).tolist()
        return [
            row if good else DataError(f"row {name}: holds NaN or infinite values")
            for name, row, good in zip(names, values, sound, strict=True)
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
        found = self.numbers[place]
        return Numbers(found) if isinstance(found, range) else str(found)


def _or_why(read: Callable[[], Tensor]) -> Sample:
    try:
        return read()
    except DataError as error:
        return error


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
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{source}: damaged, or no .npy of plain numbers: {error}") from error
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "buif" or rows.ndim != 2:
        raise DataError(f"{source}: is not an .npy of numbers, (rows, features)")
    return rows
