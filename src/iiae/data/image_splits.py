"""Which image pairs are held out, by their names and contents."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iiae.data.base import PairSet, Splits, warn_of_given
from iiae.data.image_pairs import (
    ImagePairs,
    PairFiles,
    Preprocessing,
    in_threads,
    open_bands,
    open_pair,
)
from iiae.data.missing import PartialPairs, Sides
from iiae.data.splits import PairKeys, key, limited, pair_keys, split_by_key, split_pairs
from iiae.errors import DataError
from iiae.files.folders import same_name
from iiae.files.remote import RemoteFile
from iiae.files.tables import Place
from iiae.settings import DataSettings

log = logging.getLogger("iiae")


def with_keys(files: Sequence[PairFiles], roots: Sequence[Path | str] = ()) -> list[PairFiles]:
    """The pairs with the keys by which they are recognised and held out.

    An image is known by its name below its root, or by its content where it is no file; pairs with
    files of equal content are held out together.

    Args:
        files: The pairs.
        roots: Folders that the names of x and of y are relative to; one for both, or none.
    """
    x = [row.x for row in files]
    y = [row.x if row.y is None else row.y for row in files]
    root_x, root_y = (roots[0], roots[-1]) if roots else (None, None)
    names_x, names_y = _image_names(x, root_x), _image_names(y, root_y)
    keys = pair_keys(names_x, names_y, _same(x, names_x), _same(y, names_y))
    return [
        row._replace(key=own, group=group)
        for row, own, group in zip(files, keys.own.tolist(), keys.group.tolist(), strict=True)
    ]


def _same(sources: Sequence[Place], names: Sequence[str]) -> list[str]:
    """The name of each image, or of the first file of equal content."""
    copies = _copies([source for source in sources if isinstance(source, Path)])
    name_of = dict(zip(sources, names, strict=True)) if copies else {}
    return [
        name_of[copies[source]] if source in copies else name
        for source, name in zip(sources, names, strict=True)
    ]


def _image_names(sources: Sequence[Place], root: Path | str | None) -> list[str]:
    names: list[str] = []
    for source in sources:
        if isinstance(source, Path):
            name = os.path.relpath(source, root) if root else str(source)
            names.append(same_name(Path(name).as_posix()))
        elif isinstance(source, RemoteFile):
            names.append(same_name(source.name))
        else:
            names.append(str(key(source.content)))
    return names


def _copies(files: Sequence[Path]) -> dict[Path, Path]:
    """The first file of equal content, for each file that has one before it."""
    by_size: dict[int, list[Path]] = {}
    for file in dict.fromkeys(files):
        if file.is_file():
            by_size.setdefault(file.stat().st_size, []).append(file)
    copies: dict[Path, Path] = {}
    for same_size in by_size.values():
        first: dict[bytes, Path] = {}
        for file in same_size if len(same_size) > 1 else []:
            digest = hashlib.blake2b(file.read_bytes()).digest()
            if first.setdefault(digest, file) != file:
                copies[file] = first[digest]
    return copies


def split_files(
    files: Sequence[PairFiles], settings: DataSettings, name: str, roots: Sequence[Path | str] = ()
) -> Splits:
    """Training, validation and test sets drawn from one list, by the pairs' keys.

    Args:
        files: Pairs, some of which may lack a side; those train.
        settings: Of the sets' sizes and the seed.
        name: Of the list, for messages.
        roots: As for `with_keys`.

    Raises:
        DataError: There are fewer than 4 pairs, or an image cannot be read.
    """
    files = _usable(files, settings)
    files, lone = complete_first(_limited(with_keys(files, roots), settings))
    parts = split_pairs(_keys(files), settings, name)
    train, validation, test = ([files[i] for i in part] for part in parts)
    return _checked_sets([*train, *lone], validation, test, settings)


def hold_out(
    train: Sequence[PairFiles],
    validation: Sequence[PairFiles],
    test: Sequence[PairFiles],
    settings: DataSettings,
    roots: Sequence[Path | str] = (),
) -> Splits:
    """The three sets, of which some are given: a missing one is held out of `train` alone.

    Raises:
        DataError: Nothing would be left to train on, or an image cannot be read.
    """
    warn_of_given("validation", len(validation), settings.validation)
    warn_of_given("test", len(test), settings.test)
    train, validation, test = (_usable(part, settings) for part in (train, validation, test))
    every = with_keys([*train, *validation, *test], roots)
    n, m = len(train), len(train) + len(validation)
    kept_validation, kept_test = every[n:m], every[m:]
    pairs, lone = complete_first(_limited(every[:n], settings))
    parts = split_by_key(
        _keys(pairs).group,
        0 if validation else settings.validation,
        0 if test else settings.test,
        settings.seed,
    )
    learned, held, tested = ([pairs[i] for i in part] for part in parts)
    return _checked_sets([*learned, *lone], kept_validation or held, kept_test or tested, settings)


def _checked_sets(
    train: list[PairFiles],
    validation: list[PairFiles],
    test: list[PairFiles],
    settings: DataSettings,
) -> Splits:
    """The sets, with a warning if a held-out pair has an image that is trained on too."""
    _warn_of_shared(train, validation, "validation")
    _warn_of_shared(train, test, "test")
    return make_sets((train, validation, test), settings)


def _limited(files: Sequence[PairFiles], settings: DataSettings) -> list[PairFiles]:
    return [files[i] for i in limited(_keys(files).own, settings.limit, settings.seed)]


def _keys(files: Sequence[PairFiles]) -> PairKeys:
    both = np.array([(row.key, row.group) for row in files], np.uint64).reshape(-1, 2)
    return PairKeys(*both.T)


def _warn_of_shared(train: Sequence[PairFiles], held: Sequence[PairFiles], name: str) -> None:
    known = {row.group for row in train}
    shared = sum(row.group in known for row in held)
    if shared:
        log.warning(
            "%d of %d %s pairs have an x or a y that is trained on too", shared, len(held), name
        )


def complete_first(files: Sequence[PairFiles]) -> tuple[list[PairFiles], list[PairFiles]]:
    """Those that have both images, and those that have one."""
    pairs = [row for row in files if row.sides == Sides.BOTH]
    return pairs, [row for row in files if row.sides != Sides.BOTH]


def make_sets(files: Sequence[Sequence[PairFiles]], settings: DataSettings) -> Splits:
    """The three sets of given lists."""
    train, validation, test = files
    s = settings
    fixed = Preprocessing(s.size, pad=s.pad, bands=s.bands_of_sides)
    drawn: PairSet = ImagePairs(train, fixed._replace(flip=s.flip, crop=s.crop, turn=s.turn))
    sides = np.array([int(row.sides) for row in train])
    if (sides != Sides.BOTH).any():
        drawn = PartialPairs(drawn, sides)
    return Splits(
        drawn,
        ImagePairs(validation, fixed),
        ImagePairs(test, fixed),
    )


def _usable(files: Sequence[PairFiles], settings: DataSettings) -> Sequence[PairFiles]:
    """The pairs; with `data.on_error = "skip"` those that can be read."""
    skips = files and settings.on_error == "skip"
    return _readable(files, settings.bands_of_sides) if skips else files


def _readable(files: Sequence[PairFiles], bands: tuple[int, int]) -> list[PairFiles]:
    """Pairs that can be decoded; the others are counted and listed in the log."""

    def problem(pair: PairFiles) -> str | None:
        try:
            open_pair(pair) if bands == (3, 3) else open_bands(pair, bands)
        except DataError as error:
            return str(error)
        return None

    problems = in_threads(problem, files)
    for text in filter(None, problems):
        log.warning("skipped %s", text)
    kept = [pair for pair, text in zip(files, problems, strict=True) if text is None]
    if len(kept) < len(files):
        log.warning(
            "skipped %d of %d pairs that cannot be read", len(files) - len(kept), len(files)
        )
    if not kept:
        raise DataError(f"none of {len(files)} pairs can be read")
    return kept
