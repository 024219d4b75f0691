"""Image files of folders: one walk for all commands."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import features

from iiae.errors import DataError, first_five
from iiae.files.remote import RemoteFile, is_url, remote_files

# what Pillow reads by itself: not what it hands to other programs (.eps, .wmf), nor arrays (.fits)
ALWAYS = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff"),
    *(".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".qoi"),
)
IF_BUILT_IN = {
    "jpg_2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "avif": (".avif",),
}
SUFFIXES = frozenset(
    [*ALWAYS, *(s for name, some in IF_BUILT_IN.items() if features.check(name) for s in some)]
)
# what often lies beside images and is not one: not worth a line in the log
BESIDE = frozenset(
    [
        *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini"),
        *(".md", ".rst", ".html", ".htm", ".log", ".pdf", ".zip", ".gz", ".tar", ".py", ".sh"),
        *(".npy", ".npz", ".parquet", ".pt", ".safetensors", ".mat", ".db", ".sqlite"),
    ]
)

ARRAY = ".npy"  # an image of any bands
UNWRITABLE = "the name is not UTF-8, or has a line break; rename it"

log = logging.getLogger("iiae")


class Listing(NamedTuple):
    """Images of a folder, by name relative to it, sorted; what was left out is counted.

    `unwritable` are names that cannot be written in a list: not UTF-8, or with a line break.
    `others` counts the endings of other files, but for those of text, tables and arrays.
    """

    images: list[str]
    unwritable: list[str]
    others: Counter[str]


def image_files(folder: str | Path, arrays: bool = False) -> dict[str, Path | RemoteFile]:
    """Images of a folder, here or at a URL, and of all folders below it, by name relative to it.

    Hidden files are left out, and so are names that cannot be written in a list and files with
    other endings, which the log names. With `arrays`, each `.npy` is an image too.

    Raises:
        DataError: There are none, or the folder cannot be listed.
    """
    if is_url(folder):
        files = remote_files(str(folder))
        listing = sort_out(files, arrays)
        report(listing, folder)
        return {name: files[name] for name in some_images(listing, folder)}
    listing = list_images(Path(folder), arrays)
    report(listing, folder)
    return {name: Path(folder) / name for name in some_images(listing, folder)}


def list_images(folder: Path, arrays: bool = False) -> Listing:
    """Images of a folder and of all folders below it.

    Links to folders are followed, but each folder is entered once; hidden ones are left out.
    With `arrays`, each `.npy` is an image too.

    Raises:
        DataError: The folder cannot be listed.
    """
    return sort_out(_files_below(folder), arrays)


def sort_out(names: Iterable[str], arrays: bool = False) -> Listing:
    """Images among the files of a folder, given by their names relative to it, `/` between."""
    images: list[str] = []
    unwritable: list[str] = []
    others: Counter[str] = Counter()
    for name in names:
        if any(part.startswith(".") for part in name.split("/")):
            continue
        ending = os.path.splitext(name)[1].lower()
        if ending not in SUFFIXES and not (arrays and ending == ARRAY):
            if ending not in BESIDE:
                others[ending] += 1
        elif is_writable(name):
            images.append(name)
        else:
            unwritable.append(name)
    return Listing(sorted(images), sorted(unwritable), others)


def merged(listings: Iterable[Listing]) -> Listing:
    """Several listings as one, for `report`."""
    total = Listing([], [], Counter())
    for listing in listings:
        total.images.extend(listing.images)
        total.unwritable.extend(listing.unwritable)
        total.others.update(listing.others)
    return total


def some_images(listing: Listing, where: object) -> list[str]:
    """The images of a listing.

    Raises:
        DataError: There are none.
    """
    if not listing.images:
        passed = f"; {_others(listing.others)}" if listing.others else ""
        raise DataError(f"{where}: holds no images ({', '.join(sorted(SUFFIXES))}){passed}")
    return listing.images


def report(listing: Listing, where: object) -> None:
    """Logs which files of a folder were left out."""
    if listing.unwritable:
        named = first_five([escaped(name) for name in listing.unwritable])
        log.warning("%s: skipped %s: %s", where, named, UNWRITABLE)
    if listing.others:
        log.warning("%s: %s", where, _others(listing.others))


def is_writable(name: str) -> bool:
    """Whether a file's name can be written in a list: it is UTF-8 and one line."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\n" not in name and "\r" not in name


def escaped(name: str) -> str:
    """A name in plain letters, bytes that are not UTF-8 as in caf\\xe9.png."""
    return ascii(name).replace("\\udc", "\\x")


def shown(name: str) -> str:
    """A name as it is, or `escaped` if it cannot be written."""
    return name if is_writable(name) else escaped(name)


def same_name(name: str) -> str:
    """A name for comparison with others: systems write letters with accents in two ways."""
    return unicodedata.normalize("NFC", name)


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, by name; hidden ones and links to folders above are left out.

    Raises:
        DataError: The folder cannot be listed.
    """
    entered = {_identity(place) for place in (folder, *folder.resolve().parents)}
    inner: list[Path] = []
    for entry in sorted(_entries(folder), key=lambda entry: (entry.is_symlink(), entry.name)):
        if entry.name.startswith(".") or not _is_folder(entry) or _identity(entry.path) in entered:
            continue
        entered.add(_identity(entry.path))
        if is_writable(entry.name):
            inner.append(folder / entry.name)
        else:
            log.warning("skipped %s: %s", escaped(entry.path), UNWRITABLE)
    return sorted(inner)


def _others(others: Counter[str]) -> str:
    count = sum(others.values())
    endings = ", ".join(ending or "(no ending)" for ending in sorted(others))
    return (
        f"{count} file{'s' * (count != 1)} with other endings "
        f"{'was' if count == 1 else 'were'} left out: {endings}"
    )


def _files_below(root: Path) -> Iterator[str]:
    """Files below a folder; folders before links to them, so that these add no second name."""
    entered: set[tuple[int, int]] = set()
    waiting, links = deque([""]), deque[str]()
    while waiting or links:
        inner = (waiting or links).popleft()
        entries = _entries(root / inner, optional=bool(inner))
        identity = _identity(root / inner)
        if identity in entered:
            continue
        entered.add(identity)
        for entry in entries:
            name = f"{inner}/{entry.name}" if inner else entry.name
            if _is_folder(entry):
                if not entry.name.startswith("."):
                    (links if entry.is_symlink() else waiting).append(name)
            elif _is_file(entry):
                yield name


def _entries(folder: Path, optional: bool = False) -> list[os.DirEntry[str]]:
    """What a folder holds, by name; an `optional` one that cannot be listed is left out."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        if not optional:
            raise DataError(f"{folder}: cannot be listed: {error.strerror}") from error
        log.warning("skipped %s: cannot be listed: %s", folder, error.strerror)
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """A file, or a broken link (reading it raises the error). No pipe, socket or device."""
    try:
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    except OSError:
        return entry.is_symlink()


def _identity(folder: str | os.PathLike[str]) -> tuple[int, int]:
    about = os.stat(folder)
    return about.st_dev, about.st_ino
