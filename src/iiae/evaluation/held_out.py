"""Pairs that a run has never trained on, and whether they are those that it recorded."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
import torch

from iiae.data import Splits, check_shapes, load
from iiae.data.base import ChosenPairs, PairSet
from iiae.data.context import with_context
from iiae.errors import DataError, SettingsError
from iiae.run_folder import ESTIMATOR, PairRecord, TrainedRun, load_pairs
from iiae.wording import argument, either

log = logging.getLogger("iiae")


class HeldOut(NamedTuple):
    """A held-out set of a run.

    `recorded` is true if it is the very set that training held out: only then may results take
    the place of stored ones. `data` are all sets of the run's data.
    """

    pairs: PairSet
    digest: str
    recorded: bool
    data: Splits


def held_out_pairs(run: TrainedRun, split: str, data: Splits | None = None) -> HeldOut:
    """The test or validation pairs of a run's data, without any that the run was trained on.

    Args:
        run: A trained run; its settings name the data.
        split: "test" or "validation".
        data: The run's data, if it has been loaded already.

    Raises:
        SettingsError: There is no such set.
        DataError: The data is missing, does not fit the model, or was all trained on.
    """
    if split not in ("test", "validation"):
        raise SettingsError(f"{argument('split', split)}: must be test or validation")
    data = data or _stored_data(run)
    check_shapes(data.train.shapes, run.shapes)
    known = run.model.covariates, run.settings.objective
    data = Splits(*(with_context(part, *known) for part in data))
    pairs: PairSet = getattr(data, split)
    record = load_pairs(run.folder)
    digest = pairs.digest()
    if record is None or digest == record[split].digest:
        return HeldOut(pairs, digest, True, data)
    pairs = _untrained(pairs, record["train"], split)
    log.warning(
        "%s: the %s pairs are not those that training held out (%d then, %d now); results are not "
        "stored with the run",
        run.folder,
        split,
        record[split].pairs,
        len(pairs),
    )
    return HeldOut(pairs, pairs.digest(), False, data)


def _stored_data(run: TrainedRun) -> Splits:
    """The pairs that the settings name; those that were in memory are gone."""
    given = run.settings.data
    if given.name == "arrays" and given.x is None:
        if (run.folder / ESTIMATOR).is_file():
            raise DataError(
                f"{run.folder}: was saved by an IIAETransformer, without data, and its model takes "
                "standardised rows; IIAETransformer.load(folder).score(x, y) measures it"
            )
        files = "--set data.x=x.npy --set data.y=y.npy"
        files += " --set data.columns=table.csv" if given.covariates else ""
        call = f"iiae.load(folder, x, y{', covariates=...' if given.covariates else ''})"
        raise DataError(
            f"{run.folder}: was fitted on arrays in memory, which are not kept with it; give "
            + either(f"their files: {files}", f"them again: {call}")
        )
    if given.name == "omics" and given.root is None:
        raise DataError(
            f"{run.folder}: was fitted on cells in memory, which are not kept with it; give "
            + either(
                "their file: --set data.root=cells.h5mu", "them again: iiae.load(folder, cells)"
            )
        )
    return load(given)


def _untrained(pairs: PairSet, trained: PairRecord, split: str) -> PairSet:
    """The pairs without those trained on, which the log counts."""
    if pairs.keys is None:
        if len(np.intersect1d(pairs.members(), trained.members)):
            raise DataError(
                f"the {split} set holds classes or shards that the run was trained on, since the "
                "data or its settings have changed; restore them"
            )
        return pairs
    known = np.isin(pairs.keys, trained.members)
    if not known.any():
        return pairs
    if known.all():
        raise DataError(f"the run was trained on all {len(pairs)} {split} pairs of this data")
    log.warning("left out %d of %d %s pairs: they were trained on", known.sum(), len(pairs), split)
    return ChosenPairs(pairs, torch.from_numpy(np.flatnonzero(~known)))
