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
from iiae.data.picture_size import FOLDER_SIZE, size_of_pictures
from iiae.data.ranges import sides_of
from iiae.data.registry import load
from iiae.errors import DataError
from iiae.files.cells import is_cells
from iiae.files.remote import is_url
from iiae.files.tables import is_table
from iiae.settings import DataSettings, data_settings, make_settings
from iiae.settings.sizes import with_sizes

# half of the images are degraded mildly: without, copies of another quality lose partners
OF_FILES = {"size": FOLDER_SIZE, "degrade": 0.5}
STEPS = 2500  # of training on vectors, about
STEPS_OF_IMAGES = 3000  # on images, about: ten minutes of one core at 64 pixels
FEW_PAIRS, FEW_STEPS = 60, 900  # below, validation pairs are too few to choose weights by loss
FEW_LEVELS = 20  # up to which whole numbers may be grades
MANY_COLUMNS = 50  # of which one can be dropped and guessed from the others
WIDE, COMPONENTS = 500, 100  # columns from which encoders see components, and how many
MANY_PAIRS = 1000  # from which retrieval among validation pairs chooses weights

Pairs = ArrayPairs | MatchedPairs | PartialPairs

log = logging.getLogger("iiae")


def suggest_settings(
    x: str | Path | None = None, y: str | Path | None = None, pairs: str | Path | None = None
) -> dict[str, Any]:
    """Settings that suit the data: feature networks for vectors, image networks for images.

    Args:
        x: Array file, table of numbers, cells, or folder or URL of images; an `.npz` may hold both.
            Of cells in `pairs` the place of x, of a table in `pairs` its column.
        y: The same of the y side.
        pairs: Instead of both, a folder of images whose left half is x and right half y, or a
            .csv, .tsv or .parquet table; or, with both, a .h5mu or .h5ad.

    Raises:
        DataError: A file cannot be read, or x and y are not of one kind.
    """
    sides = {name: str(side) for name, side in (("x", x), ("y", y)) if side is not None}
    if pairs is not None:
        return _of_both(pairs, sides)
    folders = [is_url(side) or Path(side).is_dir() for side in sides.values()]
    if any(folders):
        for side, folder in zip(sides.values(), folders, strict=True):
            if not folder:
                there = "is a file, the other side a folder" if Path(side).exists() else ""
                raise DataError(f"{side}: {there or 'no such folder'}; give two folders of images")
        if len(sides) == 1:
            raise DataError(f"--x {x}: is a folder of images; give --y, the folder of the partners")
        size, count = size_of_pictures(sides["x"])
        if size >= FOLDER_SIZE:
            log.info(
                "if things stand at the same place in both pictures of a pair, as in a photo and "
                "its map: --set model.side=8 keeps more of where they are"
            )
        return _images({"name": "two-folders", **OF_FILES, "size": size, **sides}, size, count)
    data = {"name": "arrays", **sides}
    return suggest_settings_of(read_arrays(DataSettings.model_validate(data)), data)


def _of_both(pairs: str | Path, sides: Mapping[str, str]) -> dict[str, Any]:
    """Settings for what holds both domains; `sides` are places in cells or columns of a table."""
    if is_cells(pairs):
        data = {"name": "omics", "root": str(pairs), **sides}
        return suggest_settings_of(read_omics(pairs, data_settings(**data)), data)
    if is_table(Path(pairs)):
        return _images({"name": "table", "root": str(pairs), **OF_FILES, **sides}, FOLDER_SIZE)
    if sides:
        raise DataError(f"{pairs}: holds x and y; columns are named of a table, places of cells")
    held = [*Path(pairs).iterdir()] if Path(pairs).is_dir() else []
    if held and all(file.suffix == ".parquet" for file in held):
        raise DataError(
            f"{pairs}: holds Parquet files: --set data.name=parquet-shards --set "
            f"data.root={pairs}, instead of --pairs"
        )
    size, count = size_of_pictures(pairs, halves=True)
    data = {"name": "side-by-side", "root": str(pairs), **OF_FILES, "size": size}
    return _images(data, size, count, in_register=True)


def suggest_settings_named(overrides: Sequence[str]) -> dict[str, Any]:
    """Settings for the data set that overrides of section `data` name, `data.name=digits-cdcb`.

    Raises:
        DataError: The data set is missing or damaged.
        SettingsError: There is none of that name, or it does not read a setting.
    """
    data = make_settings({}, [text for text in overrides if text.startswith("data.")]).data
    train = load(data).train
    return suggest_settings_for(train.shapes, data.model_dump(exclude_unset=True), len(train))


def suggest_settings_of(pairs: Pairs, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Settings for these pairs: as `suggest_settings_for`, and what suits their values.

    Vectors of zeros and ones alone get a Bernoulli likelihood.

    Args:
        pairs: All of them.
        data: Section `data`; arrays in memory by default.

    Raises:
        DataError: All rows of a side are the same vector.
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
            elif _are_counts(values):
                log.info(
                    "%s holds whole numbers from 0: if these are counts, objective.%s.kind = "
                    "'negative-binomial' takes them as such, or give log1p of them to the "
                    "suggested normal likelihood",
                    side,
                    side,
                )
        _say(chosen, pairs)
    return chosen


def _are_counts(values: Tensor) -> bool:
    """Whether all values are whole numbers from 0, with many different values."""
    whole = bool(((values >= 0) & (values == values.round())).all())
    return whole and len(values.unique()) > FEW_LEVELS


def _numbers(pairs: Pairs) -> tuple[int, int]:
    """Number of pairs, and of rows that have x or y."""
    if isinstance(pairs, MatchedPairs):
        return pairs.complete, len(pairs)
    return len(pairs), len(pairs.sides) if isinstance(pairs, PartialPairs) else len(pairs)


def _say(chosen: Mapping[str, Any], pairs: Pairs) -> None:
    model, kinds = chosen["model"], [chosen["objective"][side]["kind"] for side in "xy"]
    sizes = with_sizes(model)
    complete, rows = _numbers(pairs)
    seen = model.get("components", (0, 0))
    wide = " and ".join(side for side, count in zip("xy", seen, strict=True) if count)
    log.info(
        "suggested for %d pairs%s of %d and %d columns: standardised%s, %s and %s likelihoods%s, "
        "size %s (z_s of %d, z_x and z_y of %d, width %d; --set model.size=... is one dial for "
        "all), %d epochs%s; settings.toml of the run lists all",
        complete,
        f" and {rows - complete} samples alone" if rows > complete else "",
        pairs.shapes[0][0],
        pairs.shapes[1][0],
        f", encoders see {COMPONENTS} principal components of {wide}" if wide else "",
        *kinds,
        " whose scale is learned" if "normal" in kinds else "",
        model["size"],
        sizes["shared"],
        sizes["exclusive"],
        sizes["width"],
        chosen["training"]["epochs"],
        " at most"
        if "patience" in chosen["training"]
        else ", since few pairs cannot say when to stop",
    )


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
    return _images(section, side if published else FOLDER_SIZE)


def _vectors(
    data: dict[str, Any], shapes: tuple[Sequence[int], Sequence[int]], pairs: int, rows: int
) -> dict[str, Any]:
    """Chosen on training pairs of six data sets, split again (docs/studies/defaults.md).

    With fewer than 60 pairs the last weights are kept: the loss of a handful of validation pairs
    rises while partners of other pairs are still found better (docs/studies/few_pairs.md).

    From 1,000 pairs of wide vectors on, retrieval among validation pairs chooses the weights: the
    reconstruction of many columns has more nats than all else in the loss, which stops too early.

    A nat of reconstruction earns 1.3, a nat that both domains tell costs 0.3 in z_s, and one that
    a domain has alone 1.0 there and 0.8 in z_x or z_y (docs/objective.md).
    """
    likelihood = {side: {"kind": "normal", "weight": "auto"} for side in "xy"}
    few = pairs < FEW_PAIRS
    batch = min(100, max(8, rows // 8))
    lasting = _lasting(FEW_STEPS if few else STEPS, batch, rows)
    if few:
        lasting = {"epochs": lasting["epochs"], "keep": "last"}
    components = [COMPONENTS if size >= WIDE else 0 for (size,) in shapes]
    if any(components) and pairs >= MANY_PAIRS:
        lasting["keep"] = "retrieval"
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
        "training": {
            "batch": batch,
            "learning_rate": 1e-3,
            "adam_beta1": 0.5,
            **lasting,
        },
    }


def _lasting(steps: int, batch: int, rows: int) -> dict[str, Any]:
    """Epochs of about so many steps, and after how many without a better one training ends."""
    epochs = min(300, max(20, steps * batch // max(1, rows)))
    return {"epochs": epochs, "patience": max(10, epochs // 4)}


def _images(
    data: dict[str, Any], size: int, pairs: int | None = None, in_register: bool = False
) -> dict[str, Any]:
    """What was chosen on validation pairs of Facades and Maps (docs/studies/facades-maps.md).

    In register, things stand at the same place in both pictures, as in halves of one file: a finer
    map of z_s then keeps where they are, and windows may be cut out of both.
    """
    training: dict[str, Any] = {"precision": "auto", "epochs": 50}
    if size <= 64:
        batch = 32
        if pairs:
            training |= _lasting(STEPS_OF_IMAGES, batch, pairs)
        model: dict[str, Any] = {"family": "small", "size": "medium"}
        objective: dict[str, Any] = {side: {"weight": 8000.0} for side in "xy"}
        if in_register and size == FOLDER_SIZE:
            log.info(
                "pictures in halves of one file: z_s is a map of 8x8, which keeps where things "
                "stand; --set model.side=4 for pairs that are not in register"
            )
            data = data | {"crop": 0.15}
            model |= {"side": 8, "shared": 16}
            objective["beta"] = 0.02
            training["learning_rate"] = 2e-3
        training["batch"] = batch
        return {"data": data, "model": model, "objective": objective, "training": training}
    # as published
    training |= {"batch": 8, "learning_rate": 2e-4, "adam_beta1": 0.5, "decay_from": 1.0}
    likelihood = {side: {"weight": 1000.0} for side in "xy"}
    return {
        "data": data,
        "model": {"family": "image-map", "shared": 128},
        "objective": {"tau": 25_000.0, **likelihood},
        "training": training,
    }
