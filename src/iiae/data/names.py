"""Names of a run's two domains, for people to read."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import NamedTuple

from iiae.data.classes.pairs import domains
from iiae.files.remote import is_url
from iiae.settings import DataSettings
from iiae.types import Domain

COLUMNS = ("table", "hugging-face", "parquet-shards")  # whose x and y are names of columns
# x or y as a word: not in z_x, I(X;Z_x), p(x | z), |x - x'|, objective.x.weight or x.npy
WORD = re.compile(r"(?<![\w.(|,;/'])[xy](?![\w|(]|'(?!s\b)|\.\w)")


class Names(NamedTuple):
    """Names of both domains: "sketch" and "photo", or "x" and "y" if nothing better is known."""

    x: str
    y: str

    def of(self, domain: Domain) -> str:
        """The name of a domain."""
        return self.x if domain == "x" else self.y

    def put(self, text: str) -> str:
        """A sentence, heading or cell about x and y, with their names in place of these words.

        >>> Names("sketch", "photo").put("z_x: from x to y, p(x | z_s, z_x)")
        'z_x: from sketch to photo, p(x | z_s, z_x)'
        """
        named = WORD.sub(lambda word: self.x if word[0] == "x" else self.y, text)
        starts = WORD.match(text) is not None and self.known
        return named[:1].upper() + named[1:] if starts and text.endswith(".") else named

    @property
    def known(self) -> bool:
        """Whether they differ from x and y."""
        return self != ("x", "y")


def domain_names(data: DataSettings) -> Names:
    """Names of x and y: `data.names`, or else of the folders, files, columns or collections.

    >>> domain_names(DataSettings(name="two-folders", x="pairs/sketches", y="pairs/photos"))
    Names(x='sketches', y='photos')

    Args:
        data: Section `data` of a run's settings.
    """
    if data.names is not None:
        return Names(*data.names)
    if data.name == "classes":
        return Names(*domains(data))
    if data.name in COLUMNS:
        return Names(data.x or "x", data.y or "y")
    if data.x and data.y:
        names = Names(_last(data.x), _last(data.y))
        if names.x and names.y and names.x != names.y:
            return names
    return Names("x", "y")


def _last(place: str) -> str:
    """The last part of a path or URL, without the ending of a file."""
    path = PurePosixPath(place.partition("?")[0] if is_url(place) else place.replace("\\", "/"))
    return path.stem if path.suffix in (".npy", ".npz", ".csv", ".tsv", ".parquet") else path.name
