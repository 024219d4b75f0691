"""Evidence of a run, or of latents in files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from iiae.data import Splits
from iiae.data.base import Factor
from iiae.errors import DataError
from iiae.evidence.gains import leakage_gains
from iiae.evidence.information import information_terms
from iiae.evidence.matching import match_held_out
from iiae.evidence.measure import Blocks, measure_evidence, views
from iiae.evidence.styles import draw_styles
from iiae.evidence.swap import swap_consistency
from iiae.files.arrays import array_names, read_array
from iiae.files.atomic import EXACT, is_measure, read_csv
from iiae.model.latents import embed
from iiae.results import Evidence
from iiae.run_folder import TrainedRun

MOST_CATEGORIES = 50  # distinct whole numbers up to which a column is taken as categories


def evidence_of_run(run: TrainedRun, data: Splits, split: str = "test") -> Evidence:
    """All evidence on one set of a run's data.

    Args:
        run: A trained run.
        data: Its data; factor readers for swaps are trained on the training pairs.
        split: "test" or "validation".

    Raises:
        DataError: As `measure_evidence`.
        MissingExtra: scikit-learn is not installed.
    """
    settings, pairs = run.settings.evaluation, getattr(data, split)
    embeddings = embed(run.model, pairs.batches(settings.batch))
    latents = views(embeddings, run.model.active_dimensions, settings.seed)
    factors = pairs.factors()
    evidence = measure_evidence(latents, factors, settings.seed)
    terms = information_terms(run.model, pairs, settings.batch, settings.seed, data.train)
    swap = swap_consistency(run.model, data.train, pairs, settings.seed) if factors else None
    return evidence._replace(
        split=split,
        information=terms,
        swap=swap,
        matching=match_held_out(run.model, data, split, settings),
        gains=leakage_gains(latents, pairs, settings.batch, settings.seed),
        styles=draw_styles(run.model, pairs, settings.batch, settings.seed),
    )


def evidence_of_files(latents: Path, factors: Path | None, seed: int = 0) -> Evidence:
    """The same of anyone's latents; without swaps, which need a decoder.

    Args:
        latents: `.npz` with `z_x`, `z_s`, `z_y`, a row a pair; instead of `z_s`, or beside it,
            `z_s_given_x` and `z_s_given_y`.
        factors: `.csv`, a row a pair; a column is headed `name:block` with block shared, x or y.
            Text and up to 50 distinct whole numbers are categories; `name:block:continuous` and
            `name:block:categorical` say otherwise.
        seed: Of folds, permutations and small networks.

    Raises:
        DataError: A file cannot be read, or blocks and factors do not fit.
    """
    names = set(array_names(latents))
    if not {"z_x", "z_y"} <= names or not names & {"z_s", "z_s_given_x"}:
        raise DataError(f"{latents}: holds {', '.join(sorted(names))}; expected z_x, z_s, z_y")
    read = {
        name: read_array(latents, name).astype(np.float64)
        for name in sorted(names)
        if name.startswith("z_")
    }
    given = [read[n] for n in ("z_s_given_x", "z_s_given_y") if n in read]
    shared = read["z_s"] if "z_s" in read else np.concatenate(given, 1)
    apart = given if len(given) == 2 else ()
    blocks = Blocks(read["z_x"], shared, read["z_y"], *apart)
    known = {} if factors is None else read_factors(factors)
    return measure_evidence({"as given": blocks}, known, seed)


def read_factors(path: Path) -> dict[str, Factor]:
    """Factors of a `.csv`: see `evidence_of_files`.

    Raises:
        DataError: The file cannot be read, or a column's heading says no block.
    """
    header, rows = read_csv(path)
    if not rows:
        raise DataError(f"{path}: has no rows; expected a heading and a row a pair")
    factors: dict[str, Factor] = {}
    for i, heading in enumerate(header):
        name, _, rest = heading.partition(":")
        block, _, kind = rest.partition(":")
        if block not in ("shared", "x", "y") or kind not in ("", "continuous", "categorical"):
            raise DataError(
                f"{path}: column {heading!r}; head it name:block, block being shared, x or y"
            )
        texts = [row[i].strip() for row in rows]
        if "" in texts:
            raise DataError(f"{path}: column {heading!r}: row {texts.index('') + 1} is empty")
        try:
            values, typed = _typed(texts, kind)
        except ValueError as error:
            raise DataError(f"{path}: column {heading!r}: {error}") from error
        factors[name] = Factor(values, typed, block)
    return factors


def _typed(
    texts: Sequence[str], kind: str
) -> tuple[np.ndarray, Literal["continuous", "categorical"]]:
    """Values and kind of a factor; `kind` is empty where the values decide.

    Raises:
        ValueError: A value of a continuous factor is not a finite number.
    """
    if kind == "continuous":
        return np.array([_measure(text, row) for row, text in enumerate(texts, start=1)]), kind
    others = [row for row, text in enumerate(texts) if not is_measure(text)]
    if others and not kind and all(_is_not_finite(texts[row]) for row in others):
        raise ValueError(f"row {others[0] + 1} is {texts[others[0]]!r}, not a finite number")
    if others:
        return np.array(texts), "categorical"
    values = np.array([float(text) for text in texts])
    whole = bool((values == values.round()).all() and (np.abs(values) <= EXACT).all())
    if kind == "categorical" or (whole and len(np.unique(values)) <= MOST_CATEGORIES):
        return values.astype(np.int64) if whole else np.array(texts), "categorical"
    return values, "continuous"


def _is_not_finite(text: str) -> bool:
    return text.lower().lstrip("+-") in ("nan", "inf", "infinity")


def _measure(text: str, row: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"row {row} is {text!r}, not a finite number")
    return value
