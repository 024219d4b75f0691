"""Files at a URL that fsspec supports, as s3://bucket/photos; each is fetched whole."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from iiae.errors import DataError


class RemoteFile(NamedTuple):
    """A file below the URL of a folder; `stamp` is its size and version or time of change."""

    folder: str
    name: str
    stamp: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}"

    def read_bytes(self) -> bytes:
        """The whole file.

        Raises:
            DataError: It cannot be read.
        """
        files, root = _opened(self.folder)
        try:
            return files.cat_file(f"{root}/{self.name}")
        except (OSError, ValueError) as error:
            raise DataError(f"{self}: cannot be read: {error}") from error


def is_url(place: object) -> bool:
    """Whether a text names a place on the network, as https://, s3:// or hf:// do."""
    return "://" in str(place)


def remote_files(url: str) -> dict[str, RemoteFile]:
    """All files below the URL of a folder, by name relative to it.

    Raises:
        DataError: fsspec does not know such URLs, or the folder cannot be listed.
    """
    url = url.rstrip("/")
    files, root = _opened(url)
    try:
        listed = files.find(root, detail=True)
    except (OSError, ValueError) as error:
        raise DataError(f"{url}: cannot be listed: {error}") from error
    below = ((path.removeprefix(root).lstrip("/"), about) for path, about in listed.items())
    return {name: RemoteFile(url, name, _stamp(about)) for name, about in below}


@lru_cache(maxsize=64)
def _opened(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"{url}: cannot be opened: {error}") from error


def _stamp(about: dict[str, Any]) -> tuple[str, ...]:
    """Size, and version or time of change under the name that the store uses."""
    names = ("size", "ETag", "etag", "mtime", "LastModified", "updated", "last_modified", "created")
    return tuple(str(about[name]) for name in names if about.get(name) is not None)
