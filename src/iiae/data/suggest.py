"""Settings to begin with, for pairs that come without a settings file."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from iiae.data.arrays import ArrayPairs, read_arrays
from iiae.data.matched import MatchedPairs
from iiae.data.missing import PartialPairs
from iiae.data.omics import read_omics
from iiae.data.ranges import sides_of
from iiae.data.registry import load
from iiae.data.suggest_images import (
    FOLDER_SIZE,
    lasting,
    of_files,
    of_images,
    size_of_pictures,
)
from iiae.errors import DataError
from iiae.files.cells import is_cells
from iiae.files.remote import is_url
from iiae.files.tables import is_table
from iiae.settings import DataSettings, Settings, data_settings, make_settings, nested
from iiae.types import DOMAINS
from iiae.wording import argument, setting

STEPS = 2500  # of training on vectors, about
FEW_PAIRS, FEW_STEPS = 60, 900  # below, validation pairs are too few to choose weights by loss
FEW_LEVELS = 20  # up to which whole numbers may be grades
MANY_COLUMNS = 50  # of which one can be dropped and guessed from the others
WIDE, COMPONENTS = 500, 100  # columns from which encoders see components, and how many
MANY_PAIRS = 1000  # from which retrieval among validation pairs chooses weights
ALONE = 0.1  # `objective.alone`

Pairs = ArrayPairs | MatchedPairs | PartialPairs

log = logging.getLogger("iiae")


def suggest_settings(
    x: str | Path | None = None,
    y: str | Path | None = None,
    pairs: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Settings that suit the data: feature networks for vectors, image networks for images.

    Args:
        x: Array file, table of numbers, cells, or folder or URL of images; an `.npz` may hold both.
            Of cells in `pairs` the place of x, of a table in `pairs` its column.
        y: The same of the y side.
        pairs: Instead of both, a folder of images whose left half is x and right half y, or a
            .csv, .tsv or .parquet table; or, with both, a .h5mu or .h5ad.
        overrides: `section.name=value` that will replace suggestions, which go with them and do
            not log what they settle.

    Raises:
        DataError: A file cannot be read, or x and y are not of one kind.
        SettingsError: An override is wrong.
    """
    sides = {name: str(side) for name, side in (("x", x), ("y", y)) if side is not None}
    if pairs is not None:
        return _of_both(pairs, sides, overrides)
    folders = [is_url(side) or Path(side).is_dir() for side in sides.values()]
    if any(folders):
        for side, folder in zip(sides.values(), folders, strict=True):
            if not folder:
                there = "is a file, the other side a folder" if Path(side).exists() else ""
                raise DataError(f"{side}: {there or 'no such folder'}; give two folders of images")
        if len(sides) == 1:
            raise DataError(
                f"{x}: is a folder of images; give {argument('y')}, the folder of the partners"
            )
        asked = _data_asked(overrides)
        size, count = size_of_pictures(
            sides["x"], wanted=_size_asked(asked), bands=asked.bands_of_sides[0]
        )
        if size >= FOLDER_SIZE and "side" not in nested(overrides).get("model", {}):
            log.info(
                "if things stand at the same place in both pictures of a pair, as in a photo and "
                "its map: %s keeps more of where they are",
                setting("model.side", 8),
            )
        return of_files({"name": "two-folders", **sides}, size, asked.bands, count)
    data = {"name": "arrays", **sides}
    return suggest_settings_of(read_arrays(DataSettings.model_validate(data)), data, overrides)


def _data_asked(overrides: Sequence[str]) -> DataSettings:
    """Section `data` as far as overrides say it, checked."""
    asked = [text for text in overrides if text.startswith("data.")]
    return make_settings({"data": {"name": "arrays"}}, asked).data


def _size_asked(data: DataSettings) -> int | None:
    return data.size if "size" in data.model_fields_set else None


def _of_both(
    pairs: str | Path, sides: Mapping[str, str], overrides: Sequence[str]
) -> dict[str, Any]:
    """Settings for what holds both domains; `sides` are places in cells or columns of a table."""
    if is_cells(pairs):
        data = {"name": "omics", "root": str(pairs), **sides}
        return suggest_settings_of(read_omics(pairs, data_settings(**data)), data, overrides)
    asked = _data_asked(overrides)
    size = _size_asked(asked)
    if is_table(Path(pairs)):
        data = {"name": "table", "root": str(pairs), **sides}
        return of_files(data, size or FOLDER_SIZE, asked.bands)
    if sides:
        raise DataError(f"{pairs}: holds x and y; columns are named of a table, places of cells")
    held = [*Path(pairs).iterdir()] if Path(pairs).is_dir() else []
    if held and all(file.suffix == ".parquet" for file in held):
        raise DataError(
            f"{pairs}: holds Parquet files: {setting('data.name', 'parquet-shards')} and "
            f"{setting('data.root', str(pairs))} instead of {argument('pairs')}"
        )
    size, count = size_of_pictures(pairs, True, size, asked.bands_of_sides[0])
    data = {"name": "side-by-side", "root": str(pairs)}
    return of_files(data, size, asked.bands, count, in_register=True)


def suggest_settings_named(overrides: Sequence[str]) -> dict[str, Any]:
    """Settings for the data set that overrides of section `data` name, `data.name=digits-cdcb`.

    Raises:
        DataError: The data set is missing or damaged.
        SettingsError: There is none of that name, or it does not read a setting.
    """
    data = _data_asked(overrides)  # its name among them
    train = load(data).train
    return suggest_settings_for(train.shapes, data.model_dump(exclude_unset=True), len(train))


def suggest_settings_of(
    pairs: Pairs, data: Mapping[str, Any] | None = None, overrides: Sequence[str] = ()
) -> dict[str, Any]:
    """Settings for these pairs: as `suggest_settings_for`, and what suits their values.

    Vectors of zeros and ones alone get a Bernoulli likelihood.

    Args:
        pairs: All of them.
        data: Section `data`; arrays in memory by default.
        overrides: As of `suggest_settings`.

    Raises:
        DataError: All rows of a side are the same vector.
        SettingsError: An override is wrong.
    """
    chosen = suggest_settings_for(pairs.shapes, data, *_numbers(pairs))
    if len(pairs.shapes[0]) == 1:
        for side, values in zip("xy", sides_of(pairs), strict=True):
            if len(values) > 1 and bool((values == values[0]).all()):
                raise DataError(
                    f"{side}: every row is the same, so there is nothing to learn of it"
                )
            if bool((values == values.square()).all()):
                chosen["objective"][side] = {"kind": "bernoulli"}
            elif _are_counts(values) and "kind" not in _asked(overrides, "objective", side):
                log.info(
                    "%s holds whole numbers from 0: if these are counts, objective.%s.kind = "
                    "'negative-binomial' takes them as such, or give log1p of them to the "
                    "suggested normal likelihood",
                    side,
                    side,
                )
        _say(make_settings(chosen, overrides), pairs)
    return chosen


def _asked(overrides: Sequence[str], *sections: str) -> Mapping[str, Any]:
    """What overrides say of a section, or of a section in it."""
    found: Any = nested(overrides)
    for section in sections:
        found = found.get(section, {})
    return found


def _are_counts(values: Tensor) -> bool:
    """Whether all values are whole numbers from 0, with many different values."""
    whole = bool(((values >= 0) & (values == values.round())).all())
    return whole and len(values.unique()) > FEW_LEVELS


def _numbers(pairs: Pairs) -> tuple[int, int]:
    """Number of pairs, and of rows that have x or y."""
    if isinstance(pairs, MatchedPairs):
        return pairs.complete, len(pairs)
    return len(pairs), len(pairs.sides) if isinstance(pairs, PartialPairs) else len(pairs)


def _say(settings: Settings, pairs: Pairs) -> None:
    model, training = settings.model, settings.training
    kinds = [settings.objective.of(domain).kind for domain in DOMAINS]
    complete, rows = _numbers(pairs)
    exclusive = dict.fromkeys(model.exclusive_sizes)  # one number where both are the same
    log.info(
        "suggested for %d pairs%s of %d and %d columns: %s, %s and %s likelihoods%s, "
        "size %s (z_s of %s, z_x and z_y of %s, width %s; model.size is one dial for all), "
        "%d epoch%s%s; settings.toml of the run lists all",
        complete,
        f" and {rows - complete} samples alone" if rows > complete else "",
        *(shape[0] for shape in pairs.shapes),
        _seen(settings),
        *kinds,
        " whose scale is learned" if "normal" in kinds else "",
        model.size, model.shared, " and ".join(map(str, exclusive)), model.width,
        training.epochs,
        "" if training.epochs == 1 else "s",
        " at most" if training.patience
        else ", since few pairs cannot say when to stop" if complete < FEW_PAIRS
        else "",
    )  # fmt: skip


def _seen(settings: Settings) -> str:
    """What encoders see of both domains."""
    counts = settings.model.component_counts
    wide = [f"{n} principal components of {d}" for d, n in zip(DOMAINS, counts, strict=True) if n]
    units = "standardised" if settings.model.standardise else "as they are"
    return f"{units}, encoders see {' and '.join(wide)}" if wide else units


def suggest_settings_for(
    shapes: tuple[Sequence[int], Sequence[int]],
    data: Mapping[str, Any] | None = None,
    pairs: int = 5000,
    rows: int | None = None,
) -> dict[str, Any]:
    """Settings for samples of these shapes: vectors, or images.

    Args:
        shapes: Of one x and one y.
        data: Section `data`; arrays in memory by default.
        pairs: Number of them.
        rows: Number of pairs and of samples without a partner; by default the former.

    Raises:
        DataError: One side holds vectors, the other images.
    """
    section = dict(data or {"name": "arrays"})
    if all(len(shape) == 1 for shape in shapes):
        return _vectors(section, shapes, pairs, rows or pairs)
    if any(len(shape) == 1 for shape in shapes):
        raise DataError(
            "one side holds vectors, the other images: give features of the images (iiae features)"
        )
    side, *others = {side for shape in shapes for side in shape[1:]}
    published = not others and side.bit_count() == 1  # squares that its networks take
    return of_images(section, side if published else FOLDER_SIZE)


def _vectors(
    data: dict[str, Any], shapes: tuple[Sequence[int], Sequence[int]], pairs: int, rows: int
) -> dict[str, Any]:
    """Chosen on training pairs of six data sets, split again (docs/studies/defaults.md).

    With fewer than 60 pairs the last weights are kept: the loss of a handful of validation pairs
    rises while partners of other pairs are still found better (docs/studies/few_pairs.md).

    From 1,000 pairs of wide vectors on, retrieval among validation pairs chooses the weights: the
    reconstruction of many columns has more nats than all else in the loss, which stops too early.

    Samples alone pay no inter-KL, so they teach the encoders of z_s little (few_pairs.md).

    A nat of reconstruction earns 1.3, a nat that both domains tell costs 0.3 in z_s, and one that
    a domain has alone 1.0 there and 0.8 in z_x or z_y (docs/objective.md).
    """
    likelihood: dict[str, Any] = {s: {"kind": "normal", "weight": "auto"} for s in "xy"}
    if rows > pairs:
        likelihood["alone"] = ALONE
    few = pairs < FEW_PAIRS
    batch = min(100, max(8, rows // 8))
    length = lasting(FEW_STEPS if few else STEPS, batch, rows)
    if few:
        length = {"epochs": length["epochs"], "keep": "last"}
    components = [COMPONENTS if size >= WIDE else 0 for (size,) in shapes]
    if any(components) and pairs >= MANY_PAIRS:
        length["keep"] = "retrieval"
    return {
        "data": data,
        "model": {
            "family": "features",
            "size": "medium",
            "dropout": [0.2 if MANY_COLUMNS <= size < WIDE else 0.0 for (size,) in shapes],
            **({"components": components} if any(components) else {}),
            "standardise": True,
        },
        "objective": {"beta": 0.3, "inter": 0.7, "exclusive": 0.5, "tau": 200.0, **likelihood},
        "training": {"batch": batch, "learning_rate": 1e-3, "adam_beta1": 0.5, **length},
    }
