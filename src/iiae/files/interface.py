"""The interface of sources of samples."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from iiae.errors import DataError
from iiae.files.remote import is_url


class Sample(NamedTuple):
    """An input of a model, and the width and height of the image in its file, in pixels."""

    values: Tensor
    size: tuple[int, int]


class Source(ABC):
    """Samples in order, which any thread or process can read; `i` counts them from 0.

    Attributes:
        grain: Number of samples that one thread reads at once.
    """

    grain: int = 1

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, i: int) -> str:
        """Relative to the folder that was given, `a/b.png`; that of row 3 is `x.npy#3`."""

    @abstractmethod
    def path(self, i: int) -> str:
        """The path from the root, or a URL: the key in a gallery."""

    @abstractmethod
    def label(self, i: int) -> str | None:
        """The name of the folder that holds the file, or the label in the array file."""

    @abstractmethod
    def stamp(self, i: int) -> Sequence[object]:
        """Text that changes if the sample changes, without reading it."""

    @abstractmethod
    def digest(self, i: int) -> str:
        """SHA-256 of the content; empty if it cannot be read."""

    def annotations(self, names: Sequence[str] | None = None) -> Mapping[str, Any] | None:
        """Columns that come with the samples, as arrays of a value a sample; None if none can.

        Args:
            names: Which; all by default.

        Raises:
            DataError: The samples have no such column.
        """
        return None

    @abstractmethod
    def read(self, numbers: Sequence[int]) -> list[Sample | DataError]:
        """Samples, or why one cannot be read."""


def absolute(path: str | Path) -> str:
    """An absolute path, without `..`, links not followed; a URL as it is."""
    return str(path) if is_url(path) else os.path.abspath(path)
