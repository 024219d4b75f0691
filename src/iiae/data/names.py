"""Names of a run's two domains, for people to read."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from iiae.data.classes.zero_shot import domains
from iiae.errors import SettingsError
from iiae.files.cells import ENDINGS, split_place
from iiae.files.remote import is_url
from iiae.settings import DataSettings
from iiae.types import DOMAINS, Domain, PerDomain

COLUMNS = ("table", "hugging-face", "parquet-shards")  # whose x and y are names of columns
FILES = (".npy", ".npz", ".csv", ".tsv", ".parquet", *ENDINGS)
# x or y as a word: not in z_x, I(X;Z_x), p(x | z), |x - x'|, objective.x.weight or x.npy
WORD = re.compile(r"(?<![\w.(|,;/'])[xy](?![\w|(]|'(?!s\b)|\.\w)")


class Names(PerDomain[str]):
    """Names of both domains: "sketch" and "photo", or "x" and "y" if nothing better is known."""

    def domain(self, given: str, option: str) -> Domain:
        """The domain that a user means by "x", "y" or its name, in any case.

        >>> Names("sketch", "photo").domain("Photo", "--to")
        'y'

        Raises:
            SettingsError: `given`, the value of `option`, is neither.
        """
        for domain in DOMAINS:
            if given == domain:
                return domain
        for domain in DOMAINS:
            if given.casefold() == self.of(domain).casefold():
                return domain
        ways = " or ".join(f"{d} ({self.of(d)})" if self.known else d for d in DOMAINS)
        raise SettingsError(f"{option} {given}: must be {ways}")

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
    >>> domain_names(DataSettings(name="arrays", x="a/rna.h5ad:counts", y="protein.tsv.gz"))
    Names(x='rna', y='protein')

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
    file, held = split_place(path.name)
    if held and file.endswith(".h5mu"):  # else a layer of .h5ad
        return held.partition(":")[0]
    stem, dot, ending = file.removesuffix(".gz").rpartition(".")
    return stem if dot + ending in FILES and stem else path.name
