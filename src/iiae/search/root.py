"""Paths of a gallery's items, relative to a root, so that gallery and files can be moved."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from iiae.files.interface import absolute
from iiae.files.remote import is_url

INSIDE = "./"  # how paths below the root begin in a gallery


class Root(NamedTuple):
    """The folder that paths in a gallery are relative to; empty for none."""

    folder: str = ""

    def key(self, path: str) -> str:
        """A path as the gallery stores it: relative if it lies below the root."""
        if not self.folder:
            return path
        if path == self.folder:
            return INSIDE.rstrip("/")
        below = path.startswith(self.folder.rstrip(os.sep) + os.sep)
        return INSIDE + os.path.relpath(path, self.folder).replace(os.sep, "/") if below else path

    def full(self, stored: str) -> str:
        """The path of what a gallery stores."""
        if not self.folder or not stored.startswith(INSIDE):
            return stored
        return os.path.join(self.folder, *stored[len(INSIDE) :].split("/"))


def choose_root(inputs: Sequence[str | Path], where: str | Path) -> str:
    """The root of a new gallery of these inputs: the deepest folder with all of them.

    It is relative to the gallery, if that is a folder, so that both can be moved together. Empty
    if inputs are URLs or have no folder in common but the top one.
    """
    if any(map(is_url, inputs)):
        return ""
    folders = [p if os.path.isdir(p) else os.path.dirname(p) for p in map(absolute, inputs)]
    try:
        common = os.path.commonpath(folders)
        if os.path.dirname(common) == common:
            return ""
        return common if is_url(where) else os.path.relpath(common, absolute(where))
    except ValueError:  # several drives
        return ""


def find_root(stored: str, where: str | Path, given: str | Path | None = None) -> Root:
    """The root of a gallery: the one given, or the one stored, from the gallery's folder on."""
    if given is not None:
        return Root(absolute(given))
    if not stored or is_url(where):
        return Root(stored)
    return Root(os.path.normpath(os.path.join(absolute(where), stored)))
