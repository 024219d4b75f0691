"""Image pairs in folders: side by side in one file, or files of one name in two folders."""

from __future__ import annotations

import os
from pathlib import Path

from iiae.data.base import Splits
from iiae.data.image_pairs import PairFiles
from iiae.data.image_splits import hold_out, split_files
from iiae.errors import DataError, first_five
from iiae.files.folders import image_files, same_name
from iiae.files.remote import RemoteFile, is_url
from iiae.settings import DataSettings
from iiae.wording import argument


def load_side_by_side(settings: DataSettings) -> Splits:
    """Pairs side by side in one file, x on the left: the layout of pix2pix.

    `settings.root` may be a folder of `$IIAE_DATA`. Folders `train`, `val` and `test` under it are
    taken as they are. Without
    `test`, `val` is the test set and validation pairs are held out of `train`; without
    `train`, all three are drawn from the folder itself.

    Raises:
        DataError: The folder is missing, holds too few pairs, or an image cannot be read.
    """
    root = find_folder(settings.root, "data.root")
    every = image_files(root, arrays=settings.bands != 3)
    parts: dict[str, list[PairFiles]] = {}
    for name, file in every.items():
        parts.setdefault(name.partition("/")[0], []).append(PairFiles(file, None))
    parts = {name: parts[name] for name in ("train", "val", "test") if name in parts}
    if "train" not in parts:
        files = [PairFiles(file, None) for file in every.values()]
        return split_files(files, settings, str(root), (root,))
    if len(parts) == 1:
        return split_files(parts["train"], settings, f"{root}/train", (root,))
    test = parts.get("test") or parts["val"]
    validation = parts.get("val", []) if "test" in parts else []
    return hold_out(parts["train"], validation, test, settings, (root,))


def load_two_folders(settings: DataSettings) -> Splits:
    """Pairs of files that have one name below the folders `x` and `y`, but for the ending.

    Raises:
        DataError: A folder is missing, a file has no partner, or an image cannot be read.
    """
    left, right = find_folder(settings.x, "data.x"), find_folder(settings.y, "data.y")
    x, y = (
        _by_stem(folder, bands != 3)
        for folder, bands in zip((left, right), settings.bands_of_sides, strict=True)
    )
    alone = [str(x[stem]) for stem in sorted(x.keys() - y.keys())]
    alone += [str(y[stem]) for stem in sorted(y.keys() - x.keys())]
    if alone:
        raise DataError(
            f"no partner of the same name for {first_five(alone)}; rename them, or pair them in a "
            f"table with columns x and y: {argument('pairs', 'pairs.csv')}"
        )
    files = [PairFiles(x[stem], y[stem]) for stem in sorted(x)]
    return split_files(files, settings, f"{left} and {right}", (left, right))


def find_folder(name: str | None, setting: str) -> Path | str:
    """The folder that a setting names, as it stands or under `$IIAE_DATA`; a URL as it is.

    Raises:
        DataError: There is none.
    """
    if name is None:
        raise DataError(f"{setting} is missing: the folder of the images")
    if is_url(name):
        return name
    shared = os.environ.get("IIAE_DATA")
    places = [Path(name), *([Path(shared) / name] if shared else [])]
    for folder in places:
        if folder.is_dir():
            return folder
    raise DataError(
        f"{setting} = {name}: no such folder; looked in {' and '.join(map(str, places))}"
    )


def _by_stem(folder: Path | str, arrays: bool) -> dict[str, Path | RemoteFile]:
    files: dict[str, Path | RemoteFile] = {}
    for name, file in image_files(folder, arrays).items():
        stem = same_name(os.path.splitext(name)[0])
        if stem in files:
            raise DataError(f"{files[stem]} and {file} have one name; which is meant?")
        files[stem] = file
    return files
