"""Items to embed: images in a folder, here or at a URL, or rows of an array."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from iiae.data.images import SUFFIXES, Encoded, image_tensor, open_image, read_image
from iiae.errors import DataError


class Items(ABC):
    """What can be listed, and read one by one, from any thread or process."""

    @abstractmethod
    def names(self) -> list[str]:
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
    def read(self, name: str, shape: Sequence[int]) -> Tensor:
        """A sample of `shape`.

        Raises:
            DataError: It cannot be read.
        """


def open_items(source: str) -> Items:
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


class LocalImages(Items):
    """Images of a folder and its subfolders."""

    def __init__(self, folder: Path):
        self.folder = folder

    def names(self) -> list[str]:
        found = (
            Path(folder, name).relative_to(self.folder).as_posix()
            for folder, _, names in os.walk(self.folder, followlinks=True)
            for name in names
        )
        return _images(self.folder, found)

    def stamp(self, name: str) -> Sequence[object]:
        try:
            found = (self.folder / name).stat()
        except OSError:
            return (0, 0)
        return found.st_size, found.st_mtime_ns

    def check(self, shape: Sequence[int]) -> None:
        _check_images(self.folder, shape)

    def read(self, name: str, shape: Sequence[int]) -> Tensor:
        return read_image(self.folder / name, shape)


class RemoteImages(Items):
    """Images at a URL, as `s3://bucket/photos`, each fetched whole when it is read.

    Args:
        url: One that fsspec and its plug-ins know.

    Raises:
        DataError: fsspec does not know it.
    """

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
        return _images(self.url, self._found)

    def stamp(self, name: str) -> Sequence[object]:
        return self._found.get(name, ())

    def check(self, shape: Sequence[int]) -> None:
        _check_images(self.url, shape)

    def read(self, name: str, shape: Sequence[int]) -> Tensor:
        try:
            content = self.files.cat_file(f"{self.root}/{name}")
        except (OSError, ValueError) as error:
            raise DataError(f"{self.url}/{name}: cannot be read: {error}") from error
        return image_tensor(open_image(Encoded(f"{self.url}/{name}", content)), shape)


class Rows(Items):
    """Rows of an `.npy` of features, mapped, not read; their names are their numbers."""

    def __init__(self, file: Path):
        self.file = file
        self.values = _features(file)

    def names(self) -> list[str]:
        return [str(i) for i in range(len(self.values))]

    def stamp(self, name: str) -> Sequence[object]:
        found = self.file.stat()
        return found.st_size, found.st_mtime_ns

    def check(self, shape: Sequence[int]) -> None:
        if len(shape) == 3:
            raise DataError(f"{self.file}: the model takes images; give a folder of them")
        if self.values.shape[1:] != tuple(shape):
            raise DataError(
                f"{self.file}: has shape {self.values.shape}; the model takes {shape[0]} features"
            )

    def read(self, name: str, shape: Sequence[int]) -> Tensor:
        values = self.values[int(name)].astype(np.float32)
        if not np.isfinite(values).all():
            raise DataError(f"row {name}: holds NaN or infinite values")
        return torch.from_numpy(values)


def _images(where: object, names: Any) -> list[str]:
    found = sorted(name for name in names if Path(name).suffix.lower() in SUFFIXES)
    if not found:
        raise DataError(f"{where}: holds no images ({', '.join(sorted(SUFFIXES))})")
    return found


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
