"""Results of a sweep as rows: what each run reached, and the best of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iiae.errors import RunError, SettingsError
from iiae.files.atomic import write_text
from iiae.metrics.leakage import largest_leak
from iiae.results import Evaluation, LabelFree, load_results
from iiae.sweep.combinations import Combination
from iiae.sweep.pareto import LEAKS, MEASURES
from iiae.types import plain

VIEWS = ("means", "active means", "samples")  # of the latents, in the order of `LEAKS`
SCORE = "balance"  # of `LabelFree`, by which the best run is named: docs/studies/label_free.md


def make_row(folder: Path, one: Combination, message: str | None) -> dict[str, Any]:
    """A row of sweep.csv; a run that failed has its message and no numbers."""
    row: dict[str, Any] = {"run": one.name, **one.values}
    if message is not None:
        return {**row, "status": "failed", "message": message}
    results = load_results(folder)
    test = results.test
    assert test and results.training
    row |= {"status": "done", "message": "", **retrieval_columns(test)}
    for name, view in zip(LEAKS, VIEWS, strict=True):
        matrix = test.readability.probes.get(view)
        leak = largest_leak(matrix) if matrix else None
        row |= {
            name: leak and leak.value,
            f"{name}_of": leak and f"{leak.factor} from {leak.block}",
        }
    row |= plain(test.nats)
    row |= {"active_dimensions": test.active_dimensions, "pairs": test.pairs}
    row |= {f"label_free_{k}": v for k, v in plain(results.label_free or {}).items()}
    return {**row, "seconds": results.training.seconds}


def check_score(name: str) -> None:
    """Raises SettingsError if there is no such score, before hours of training."""
    if name not in LabelFree._fields:
        raise SettingsError(
            f"--select {name}: is no score; choose one of {', '.join(LabelFree._fields)}"
        )


def select(rows: Sequence[Mapping[str, Any]], score: str) -> Mapping[str, Any]:
    """The run of a sweep that has most of a score of `LabelFree`, on its validation pairs.

    Args:
        rows: Of `Sweep`.
        score: A field of `iiae.results.LabelFree`.

    Raises:
        SettingsError: There is no such score.
        RunError: No run has it: all failed, or their pairs are made of classes.
    """
    check_score(score)
    known = [row for row in rows if row.get(f"label_free_{score}") is not None]
    if not known:
        raise RunError(f"--select {score}: no run of the sweep has this score")
    return max(known, key=lambda row: row[f"label_free_{score}"])


def retrieval_columns(test: Evaluation) -> dict[str, Any]:
    """Recall@1 both ways, or mAP if pairs are made of classes; `chance` is the mean of both."""
    rates = {way: rate for way, (rate, _) in test.rates.items()}
    guesses = [test.rates[f"shared_{way}"][1] for way in ("x_to_y", "y_to_x")]
    return {
        "measure": "map@all" if test.categories else "recall@1",
        **{name: rates.get(name.replace("recall", "shared")) for name in MEASURES},
        **{name: rates.get(name) for name in ("active_x_to_y", "active_y_to_x")},
        "chance": sum(guesses) / 2,
    }


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
    return path
