"""Images of folders, of URLs and of tables as a source of samples."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from iiae.errors import DataError
from iiae.files.bands import band_tensor, read_bands
from iiae.files.folders import (
    SUFFIXES,
    UNWRITABLE,
    Listing,
    escaped,
    is_writable,
    list_images,
    report,
    same_name,
    shown,
    some_images,
    sort_out,
)
from iiae.files.images import Encoded, image_tensor, open_sized
from iiae.files.interface import Sample, Source, absolute
from iiae.files.remote import RemoteFile, is_url, remote_files
from iiae.files.tables import Place, image_place, is_table, read_columns
from iiae.types import Domain


class Images(Source):
    """Image files by name.

    Args:
        folder: What the names are relative to; None if they are paths.
        names: Those of the files.
        shape: (channels, height, width) wanted.
        places: Where a file is, if not below the folder under its name.
        pad: As for `iiae.files.images.fit_image`.
    """

    def __init__(
        self,
        folder: str | Path | None,
        names: Sequence[str],
        shape: Sequence[int],
        places: Mapping[str, Place] | None = None,
        pad: bool = False,
    ):
        self.folder, self.names, self.shape = folder, names, shape
        self.places, self.pad = places or {}, pad

    def __len__(self) -> int:
        return len(self.names)

    def without(self, paths: set[str]) -> Images:
        """Those of other paths."""
        kept = [name for i, name in enumerate(self.names) if self.path(i) not in paths]
        return Images(self.folder, kept, self.shape, self.places, self.pad)

    def place(self, i: int) -> Place:
        """Where the file is."""
        name = self.names[i]
        return self.places.get(name) or Path(self.folder or "", name)

    def name(self, i: int) -> str:
        name = self.names[i] if self.folder else os.path.basename(self.names[i])
        return shown(name)

    def path(self, i: int) -> str:
        return shown(absolute(str(self.place(i))))

    def label(self, i: int) -> str | None:
        return same_name(PurePosixPath(self.path(i)).parent.name) or None

    def stamp(self, i: int) -> Sequence[object]:
        place = self.place(i)
        if isinstance(place, RemoteFile):
            return place.stamp
        if isinstance(place, Encoded):
            return (self.digest(i),)
        try:
            about = place.stat()
        except OSError:
            return (0, 0)
        return about.st_size, about.st_mtime_ns

    def digest(self, i: int) -> str:
        place = self.place(i)
        try:
            if not isinstance(place, Path):
                return hashlib.sha256(place.read_bytes()).hexdigest()
            with place.open("rb") as opened:
                return hashlib.file_digest(opened, "sha256").hexdigest()
        except (OSError, DataError):
            return ""

    def read(self, numbers: Sequence[int]) -> list[Sample | DataError]:
        return [self._read(i) for i in numbers]

    def _read(self, i: int) -> Sample | DataError:
        place = self.place(i)
        if not is_writable(str(place)):
            return DataError(f"{escaped(str(place))}: {UNWRITABLE}")
        try:
            if self.shape[0] != 3:
                values = read_bands(place, self.shape[0])
                return Sample(band_tensor(values, self.shape, self.pad), values.shape[:0:-1])
            image, size = open_sized(place, side=max(self.shape[1:]))
            return Sample(image_tensor(image, self.shape, self.pad), size)
        except DataError as error:
            return error


def open_images(
    given: str | Path, shape: Sequence[int], domain: Domain, pad: bool = False
) -> Images:
    """The images of a file, a folder, a URL of either, or a table.

    Those of three channels are RGB of 8 bits; others keep their bands and bits, and a folder may
    hold them as `.npy` too.

    Raises:
        DataError: There are none, or the table has no such column.
    """
    if is_url(given):
        return _at_url(str(given).rstrip("/"), shape, pad)
    path = Path(given)
    if path.is_dir():
        named = _all_named(list_images(path, arrays=shape[0] != 3), path)
        return Images(path, named, shape, pad=pad)
    if is_table(path):
        return _of_table(path, shape, domain, pad)
    return Images(None, [str(path)], shape, pad=pad)


def _at_url(url: str, shape: Sequence[int], pad: bool) -> Images:
    folder, _, name = url.rpartition("/")
    if os.path.splitext(name)[1].lower() in SUFFIXES:
        return Images(folder, [name], shape, {name: RemoteFile(folder, name)}, pad)
    files = remote_files(url)
    return Images(url, _all_named(sort_out(files, shape[0] != 3), url), shape, files, pad)


def _all_named(listing: Listing, where: object) -> list[str]:
    """Images, and those whose names cannot be written, which are named as they are read."""
    report(listing._replace(unwritable=[]), where)
    names = sorted([*listing.images, *listing.unwritable])
    return names or some_images(listing, where)


def _of_table(path: Path, shape: Sequence[int], domain: Domain, pad: bool) -> Images:
    """Images of a table's column, named by the cells; encoded ones `pairs.parquet#3`."""
    columns = read_columns(path, (domain, "path"))
    cells = columns.get(domain, columns.get("path"))
    if not cells:
        raise DataError(f"{path}: has no rows with a column {domain} or path of images")
    places: dict[str, Place] = {}
    for i, cell in enumerate(cells):
        place = image_place(cell, path.parent, f"{path}#{i}")
        name = f"{path.name}#{i}" if isinstance(place, Encoded) else str(cell)
        places.setdefault(name, place)
    return Images(path.parent, list(places), shape, places, pad)
