"""Values that a model can take: finite ones in float32, images in [-1, 1], shares in [0, 1]."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from iiae.data.base import ChosenPairs, PairSet, Splits
from iiae.data.context import ContextPairs
from iiae.data.matched import NONE, MatchedPairs
from iiae.data.missing import PartialPairs, Sides
from iiae.data.scaling import find_standard
from iiae.distributions import LikelihoodKind
from iiae.errors import DataError, first_five
from iiae.settings import LIKELIHOODS, LikelihoodSettings, ObjectiveSettings, imported
from iiae.types import DOMAINS, Domain, Draw

SLACK = 1e-3  # by which rounding may leave a range
DRAWN_PAIRS = 256  # looked at in a set that holds no tensors of floats
COARSE = 0.01  # of a column's standard deviation: steps of float32 that are worth a warning

log = logging.getLogger("iiae")


def to_float32(values: np.ndarray, name: str, kind: str = "values") -> np.ndarray:
    """Rows in float32, `(rows, *shape)`.

    Args:
        values: Numbers of any type.
        name: Of the array, for messages.
        kind: What its values are, for messages.

    Raises:
        DataError: A value is NaN or infinite, or too large for float32.
    """
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(values, dtype=np.float32)
    good = np.isfinite(narrow)
    if good.all():
        return narrow
    rows = np.flatnonzero(~good.reshape(len(good), -1).all(1))
    some = first_five(rows.tolist())
    if np.isfinite(values[rows]).all():
        raise DataError(
            f"{name}: {kind} too large for float32 (above 3.4e38) in row {some}; scale them"
        )
    raise DataError(f"{name}: NaN or infinite {kind} in row {some}")


def warn_of_steps(values: np.ndarray, name: str) -> None:
    """Warns of columns of `(rows, columns)` whose differences float32 can represent only coarsely.

    So it is if a column's values are large beside its standard deviation, as timestamps are.
    """
    if values.ndim != 2 or np.can_cast(values.dtype, np.float32):
        return
    largest = np.maximum(np.abs(values.max(0)), np.abs(values.min(0))).astype(np.float32)
    scale = find_standard(values, name).scale
    columns = np.flatnonzero((scale > 0) & (np.spacing(largest) > COARSE * scale))
    some = values[:, columns]
    columns = columns[(some != some.astype(np.float32)).any(0)]
    if len(columns):
        log.warning(
            "%s: float32 keeps the differences within column %s in coarse steps only, since its "
            "values are large beside them; subtract the mean",
            name,
            first_five(columns.tolist()),
        )


def check_images(values: Tensor, name: str) -> None:
    """Raises DataError if images are not in [-1, 1]."""
    low, high = _ends(values, name)
    if low >= -1 - SLACK and high <= 1 + SLACK:
        return
    fix = "scale them so that black is -1 and white 1"
    if low >= 0 and high <= 65535:
        half = 127.5 if high <= 255 else 32767.5
        fix = f"divide by {half:g} and subtract 1, or store bytes (uint8, channels last)"
    raise DataError(f"{name}: images from {low:g} to {high:g} are not in [-1, 1]; {fix}")


def check_values(
    values: Tensor,
    likelihood: LikelihoodSettings,
    name: str,
    places: np.ndarray | None = None,
) -> None:
    """Raises DataError if samples, `(rows, *shape)`, do not suit a likelihood.

    Bernoulli is of values in [0, 1], categorical of shares that sum to 1 on axis 1, Poisson and
    negative binomial of whole numbers; of images, the others are of values in [-1, 1], to which
    their decoders are bounded. `places` are the numbers of the rows in messages.
    """
    support = _support(likelihood)
    if support == "counts":
        places = np.arange(len(values)) if places is None else places
        _check_counts(values, likelihood, name, places)
    if support in ("unit", "simplex"):
        _check_shares(values, likelihood.kind, name)
    if support == "simplex":
        off = (values.sum(1) - 1).abs().max().item()
        if off > SLACK:
            raise DataError(
                f"{name}: sums on axis 1 are up to {off:g} away from 1; {likelihood.kind} is of "
                "one-hot rows or shares, so divide by the sums, or use laplace or normal"
            )
    if support == "real" and values.ndim == 4:
        check_images(values, name)


def check_ranges(objective: ObjectiveSettings, data: Splits) -> None:
    """Refuses training and validation pairs whose values do not suit their likelihoods.

    If a domain holds counts, test pairs are checked too: a sample whose counts are all 0 would
    otherwise show only after training. Tensors of floats are checked in full, other sets by some
    pairs.

    Raises:
        DataError: As `check_values`, or a value is NaN or infinite.
    """
    counted = "counts" in (_support(objective.x), _support(objective.y))
    for part in ("train", "validation", *(["test"] if counted else [])):
        for side, values in zip(DOMAINS, sides_of(getattr(data, part)), strict=True):
            likelihood = objective.of(side)
            check_values(values, likelihood, f"{part} {side}", _places(getattr(data, part), side))
            _ends(values, f"{part} {side}")
            if part == "train":
                warn_of_black(values, likelihood, side)


def warn_of_black(values: Tensor, likelihood: LikelihoodSettings, name: str) -> None:
    """Warns of images in [0, 1] where black is -1, as of torchvision's `ToTensor`."""
    if values.ndim != 4 or _support(likelihood) != "real":
        return
    low, high = _ends(values, name)
    if 0 <= low < high:
        log.warning(
            "%s: images from %g to %g, where black is -1 and white 1; if 0 is black, multiply by 2 "
            "and subtract 1",
            name,
            low,
            high,
        )


def _support(likelihood: LikelihoodSettings) -> str:
    return imported(likelihood.kind, LIKELIHOODS, LikelihoodKind).support


def sides_of(pairs: PairSet) -> Sequence[Tensor]:
    """Samples of x and of y to check: all if they are tensors of floats, else some pairs."""
    while isinstance(pairs, ChosenPairs | ContextPairs):
        pairs = pairs.rows
    if isinstance(pairs, PartialPairs):
        x, y = sides_of(pairs.rows)
        if len(x) != len(pairs.sides):
            return x, y
        return x[torch.from_numpy(pairs.sides != Sides.Y)], y[
            torch.from_numpy(pairs.sides != Sides.X)
        ]
    held = [getattr(pairs, side) for side in "xy" if side in pairs.tensor_names]
    if len(held) == 2 and all(tensor.is_floating_point() for tensor in held):
        return held
    return pairs.pairs(Draw(pairs.sample(DRAWN_PAIRS, 0)))[:2]


def _places(pairs: PairSet, side: Domain) -> np.ndarray | None:
    """Rows of the user's data that `sides_of` gives of a side, if they are known."""
    if isinstance(pairs, ChosenPairs | ContextPairs):
        return _places(pairs.rows, side)
    if isinstance(pairs, PartialPairs):
        places, lacking = _places(pairs.rows, side), Sides.Y if side == "x" else Sides.X
        if places is None or len(places) != len(pairs.sides):
            return places
        return places[pairs.sides != lacking]
    if isinstance(pairs, MatchedPairs):
        rows = pairs.index[:, "xy".index(side)]
        drawn = rows[pairs.sample(DRAWN_PAIRS, 0).numpy()]
        return np.where(drawn == NONE, rows.max(), drawn)
    return getattr(pairs, "places", None)


def _check_counts(
    values: Tensor, likelihood: LikelihoodSettings, name: str, places: np.ndarray
) -> None:
    _ends(values, name)
    off = (values < 0) | (values != values.round())
    if off.any():
        row, column = off.nonzero()[0].tolist()
        raise DataError(
            f"{name}: {values[row, column].item():g} in row {places[row]}, column {column} is no "
            f"count; {likelihood.kind} is of whole numbers from 0, so give raw counts (the layer "
            "that holds them), not normalised or log values, or use normal"
        )
    empty = places[(values.sum(1) == 0).cpu().numpy()].tolist()
    if likelihood.size == "observed" and empty:
        raise DataError(
            f"{name}: no count at all in row {first_five(empty)}, whose library size would be 0; "
            "leave such rows out, or use size = 'none'"
        )


def _check_shares(values: Tensor, kind: str, name: str) -> None:
    low, high = _ends(values, name)
    if low >= -SLACK and high <= 1 + SLACK:
        return
    fix = "scale them"
    if low >= -1 - SLACK and high <= 1 + SLACK:
        fix = "store floats, (value + 1) / 2"
    elif low >= 0 and high <= 255:
        fix = "store floats, value / 255"
    raise DataError(
        f"{name}: values from {low:g} to {high:g}; {kind} is of values in [0, 1], so {fix}, or use "
        "laplace or normal"
    )


def _ends(values: Tensor, name: str) -> tuple[float, float]:
    """The smallest and the largest value; raises DataError if one is NaN or infinite."""
    low, high = (end.item() for end in torch.aminmax(values))
    if not np.isfinite([low, high]).all():
        raise DataError(f"{name}: holds NaN or infinite values")
    return low, high
