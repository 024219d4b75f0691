"""Samples of a user: images, folders of them here or at a URL, arrays, and tables of either.

Every command that reads samples reads them here, so that one input means the same in all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from iiae.errors import DataError
from iiae.files.cell_rows import CellRows
from iiae.files.cells import split_place
from iiae.files.folders import ARRAY, shown
from iiae.files.image_source import Images, open_images
from iiae.files.interface import Sample, Source, absolute
from iiae.files.remote import is_url
from iiae.files.rows import ArrayRows, is_rows
from iiae.files.tables import is_table
from iiae.types import Domain


def open_source(
    inputs: Sequence[str | Path],
    shape: Sequence[int],
    domain: Domain,
    columns: Sequence[str] | None = None,
    pad: bool = False,
    place: str = "",
) -> Source:
    """The samples of some inputs, in the order given; a file that occurs twice counts once.

    Args:
        inputs: For a model of images, image files, folders of them (searched to any depth, links
            followed, hidden files left out), URLs of either, arrays of images, or tables with a
            column `path` (or named as the domain) of paths or encoded images. For a model of
            vectors, files that `read_rows` reads, and cells, `cells.h5mu` or `cells.h5mu:rna`.
        shape: Of one sample.
        domain: Whose samples they are.
        columns: Names of the values of a sample, by which tables with names are read.
        pad: Keep the aspect of images: `data.pad` of the run.
        place: Where in cells the samples are, if an input does not say so.

    Raises:
        DataError: An input is missing, holds no samples, or does not fit the model.
    """
    sources: list[Source] = []
    seen: set[str] = set()
    for given in {absolute(one): one for one in inputs}.values():
        source = _cells(given, shape, columns, place) or _open(given, shape, domain, columns, pad)
        if isinstance(source, Images) and len(inputs) > 1:
            source = source.without(seen)
            seen |= {source.path(i) for i in range(len(source))}
        sources.append(source)
    return sources[0] if len(sources) == 1 else Joined(sources)


def read_all(source: Source) -> Tensor:
    """All samples, `(count, *shape)`.

    Raises:
        DataError: One cannot be read.
    """
    samples = source.read(range(len(source)))
    return torch.stack([_or_raise(sample).values for sample in samples])


def _or_raise(sample: Sample | DataError) -> Sample:
    if isinstance(sample, DataError):
        raise sample
    return sample


class Joined(Source):
    """Several sources one after the other."""

    def __init__(self, sources: Sequence[Source]):
        self.sources = sources
        self.ends = list(accumulate(map(len, sources)))
        self.grain = min((source.grain for source in sources), default=1)

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def _at(self, i: int) -> tuple[Source, int]:
        which = bisect_right(self.ends, i)
        return self.sources[which], i - self.ends[which] + len(self.sources[which])

    def name(self, i: int) -> str:
        source, inner = self._at(i)
        return source.name(inner)

    def path(self, i: int) -> str:
        source, inner = self._at(i)
        return source.path(inner)

    def label(self, i: int) -> str | None:
        source, inner = self._at(i)
        return source.label(inner)

    def stamp(self, i: int) -> Sequence[object]:
        source, inner = self._at(i)
        return source.stamp(inner)

    def digest(self, i: int) -> str:
        source, inner = self._at(i)
        return source.digest(inner)

    def annotations(self, names: Sequence[str] | None = None) -> Mapping[str, Any] | None:
        each = [source.annotations(names) for source in self.sources]
        parts = [part for part in each if part is not None]
        if len(parts) < len(each):
            return None
        common = set(parts[0]).intersection(*parts)
        return {
            name: np.concatenate([part[name] for part in parts])
            for name in parts[0]
            if name in common
        }

    def read(self, numbers: Sequence[int]) -> list[Sample | DataError]:
        places = groupby(map(self._at, numbers), key=lambda place: id(place[0]))
        parts = (list(group) for _, group in places)
        return [
            sample for part in parts for sample in part[0][0].read([inner for _, inner in part])
        ]


def _cells(
    given: str | Path, shape: Sequence[int], columns: Sequence[str] | None, place: str
) -> CellRows | None:
    """Cells, if the input names some and the model takes vectors."""
    file, own = split_place(str(given))
    if own is None or len(shape) > 1:
        return None
    return CellRows(Path(file), own or place, shape[0], columns)


def _open(
    given: str | Path,
    shape: Sequence[int],
    domain: Domain,
    columns: Sequence[str] | None,
    pad: bool,
) -> Source:
    path, url = Path(given), is_url(given)
    if not url and not path.exists() and not path.is_symlink():
        raise DataError(f"{shown(str(given))}: no such file or folder")
    if len(shape) == 1 and (url or not path.is_file()):
        raise DataError(
            f"{given}: the model takes rows of {shape[0]} values; give an .npy, .npz, .csv, .tsv "
            "or .parquet of them, on this machine"
        )
    rows = not url and is_rows(path) and not is_table(path) and not _is_image(path, shape)
    if len(shape) == 1 or rows:
        return ArrayRows(path, shape, domain, columns)
    return open_images(given, shape, domain, pad)


def _is_image(path: Path, shape: Sequence[int]) -> bool:
    """Whether a `.npy` is one image of as many bands as the model takes, not rows of samples."""
    if path.suffix.lower() != ARRAY or len(shape) != 3 or shape[0] in (1, 3):
        return False
    try:
        given = np.load(path, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError, EOFError):
        return False  # whoever reads it says so
    return len(given) == 3 and given[2] == shape[0]
