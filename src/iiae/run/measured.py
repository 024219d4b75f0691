"""Measurements of a run on the pairs that it held out, kept in its folder."""

from __future__ import annotations

import logging
from typing import TypeVar

from iiae.errors import RunError
from iiae.evaluation.evaluate import evaluate
from iiae.evaluation.held_out import HeldOut
from iiae.evidence.collect import evidence_of_run
from iiae.results import Evaluation, Evidence
from iiae.run.shuffled import train_shuffled
from iiae.run_folder import StoredRun, is_changed, save_metrics

T = TypeVar("T", Evaluation, Evidence)

log = logging.getLogger("iiae")


def measured_evaluation(run: StoredRun, held: HeldOut, split: str) -> Evaluation:
    """What `Run.evaluate` gives."""
    return _kept(run, split, evaluate(run, held.pairs, split), held)


def measured_evidence(
    run: StoredRun, held: HeldOut, split: str, null: int, epochs: int | None
) -> Evidence:
    """What `Run.evidence` gives."""
    data = held.data._replace(**{split: held.pairs})
    results = evidence_of_run(run, data, split)
    if null:
        copies = train_shuffled(run.settings, data, split, null, epochs)
        results = results._replace(null=copies)
    return _kept(run, "evidence", results, held)


def _kept(run: StoredRun, section: str, results: T, held: HeldOut) -> T:
    """The same results; in the folder too, if of the very pairs that training held out.

    Warns if the folder cannot be written to, or has other weights than the model.
    """
    if held.recorded and is_changed(run):
        log.warning(
            "%s: the model has other weights than its file, as after training it further; the "
            "results are not kept with it (run.save keeps the model)", run.folder,
        )  # fmt: skip
    elif held.recorded:
        try:
            save_metrics(run.folder, section, results, held.digest)
        except RunError as error:
            log.warning("%s; so the results are not kept in the run's folder", error)
    return results
