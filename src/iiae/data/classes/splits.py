"""Which classes are unseen: published splits by name, as files in the package."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import NamedTuple

from iiae.errors import DataError
from iiae.files.atomic import read_lines
from iiae.files.folders import same_name

# name: where the list comes from
SPLITS = {
    "sempcyc25": "Sketchy, 25 unseen classes: SEM-PCYC (CVPR 2019), the IIAE paper's split 1",
    "sake25": "Sketchy, 25 unseen classes: the other published split 1, as in SAKE (ICCV 2019)",
    "yelamarthi21": "Sketchy, 21 unseen classes outside ImageNet-1k: Yelamarthi et al. (ECCV 2018)",
    "tuberlin_sempcyc30": "TU-Berlin, 30 unseen classes: SEM-PCYC's rule on its 250 categories",
}


class ClassSplit(NamedTuple):
    """Unseen classes, and a digest that differs between lists."""

    name: str
    unseen: tuple[str, ...]
    digest: str


def class_split(name: str) -> ClassSplit:
    """A published split by name, or a text file with one unseen class per line.

    Raises:
        DataError: There is no such split or file, or it is empty or not in UTF-8.
    """
    if name in SPLITS:
        with as_file(files("iiae.data.classes") / "lists" / f"{name}.txt") as path:
            lines = read_lines(path)
    elif Path(name).is_file():
        lines = read_lines(Path(name))
    else:
        close = difflib.get_close_matches(name, SPLITS, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(SPLITS)}"
        raise DataError(f"data.split = {name!r} is neither a split nor a file; {hint}")
    unseen = tuple(sorted({line for line in lines if line}))
    if not unseen:
        raise DataError(f"data.split = {name}: names no class")
    return ClassSplit(Path(name).stem, unseen, digest(unseen))


def digest(classes: Sequence[str]) -> str:
    """The first 12 digits of the SHA-256 of sorted class names, one per line, spelled plainly."""
    text = "\n".join(sorted(plain(name) for name in classes))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def plain(name: str) -> str:
    """A class name as all sources spell it: small letters and digits, one _ between words."""
    return re.sub(r"[\W_]+", "_", same_name(name).lower()).strip("_")


def known_to(backbone: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """Classes that a pretrained classifier was trained on, and its label for each.

    A label counts where one of its synonyms is the class's name or ends with it ("brown bear" for
    bear), so a few matches are of another meaning: the label is given for the reader to judge.

    Args:
        backbone: Labels, each a list of synonyms separated by commas (ImageNet's form).
        classes: Names to look for.
    """
    synonyms = [(label, [plain(s) for s in label.split(",")]) for label in backbone]
    labels: dict[str, str] = {}
    for name in classes:
        wanted = plain(name)
        for label, words in synonyms:
            if any(word == wanted or word.endswith(f"_{wanted}") for word in words):
                labels[name] = label
                break
    return labels
