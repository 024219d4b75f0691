"""metrics.json: a section per command, with the digests of weights and data that it is of."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iiae.errors import RunError
from iiae.files.atomic import json_text, write_text
from iiae.run_folder.names import METRICS
from iiae.run_folder.provenance import provenance
from iiae.run_folder.records import load_pairs
from iiae.run_folder.weights import weights_digest
from iiae.types import plain

VERSION = 1  # of the form of sections in metrics.json

log = logging.getLogger("iiae")


def load_metrics(folder: Path) -> dict[str, Any]:
    """metrics.json as it stands, empty if there is none; see `current_metrics`."""
    path = folder / METRICS
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(
            f"{path}: damaged: {error}; delete it, and iiae evaluate {folder} writes it anew"
        ) from error


def current_metrics(folder: str | Path) -> dict[str, Any]:
    """Sections of metrics.json that were computed from the weights and data that the run has now.

    Sections of other weights or of other data are left out, and the log names them.

    Raises:
        RunError: metrics.json or the weights are gone or damaged.
    """
    folder = Path(folder)
    metrics = load_metrics(folder)
    if not metrics:
        return {}
    weights, pairs = weights_digest(folder), load_pairs(folder)
    kept: dict[str, Any] = {}
    for name, section in metrics.items():
        data = section.get("data")
        known = {record.digest for record in (pairs or {}).values()}
        if section.get("weights") != weights:
            log.warning("%s: section %s is of other weights; left out", folder / METRICS, name)
        elif data is not None and pairs is not None and data not in known:
            log.warning("%s: section %s is of other data; left out", folder / METRICS, name)
        else:
            kept[name] = section
    return kept


def save_metrics(folder: Path, section: str, values: Any, data: str | None = None) -> None:
    """Writes one section of metrics.json, with the digest of the weights and how it came about.

    Other sections stay if they are of the same weights.

    Args:
        folder: Run folder with its weights.
        section: Its name.
        values: Its fields: a mapping, or a named tuple of `iiae.results`.
        data: Digest of the pairs that it was computed from.
    """
    weights = weights_digest(folder)
    metrics = {n: s for n, s in load_metrics(folder).items() if s.get("weights") == weights}
    identity = {"version": VERSION, "weights": weights, **({} if data is None else {"data": data})}
    metrics[section] = {**plain(values), **identity, "made_with": provenance()}
    write_metrics(folder, metrics)


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Writes metrics.json."""
    write_text(folder / METRICS, json_text(metrics, indent=2) + "\n")
