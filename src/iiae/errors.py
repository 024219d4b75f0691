"""What a user can mend, as exceptions: `commands` and `web` show the message alone."""

from __future__ import annotations

from collections.abc import Sequence


class IIAEError(Exception):
    """Something the caller can fix; the message names what was given and what would be right."""


class SettingsError(IIAEError):
    """A setting is unknown or has a value that cannot be used."""


class DataError(IIAEError):
    """Data is missing, damaged or of the wrong form."""


class RunError(IIAEError):
    """A run folder cannot be read, written or resumed, or training had to stop."""


class GalleryError(IIAEError):
    """A gallery cannot be opened or does not fit the model that searches it."""


class MissingExtra(IIAEError):
    """An optional dependency is not installed."""

    def __init__(self, extra: str, what: str):
        super().__init__(f"{what} needs the extra '{extra}': pip install 'iiae[{extra}]'")
        self.extra = extra


class Interrupted(IIAEError):
    """Training was stopped by Ctrl-C or SIGTERM after its state was saved."""


class NothingReadable(DataError):
    """Not one sample could be read where those that cannot be read are skipped: exit code 1."""

    def __init__(self, count: int, first: object):
        super().__init__(f"none of {count:,} samples could be read; the first: {first}")


def first_five(things: Sequence[object]) -> str:
    """The first five of some things, and the number of the others, for messages."""
    more = f" and {len(things) - 5:,} more" if len(things) > 5 else ""
    return ", ".join(map(str, things[:5])) + more
