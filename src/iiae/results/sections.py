"""The sections of metrics.json, the type of each, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from iiae.errors import RunError
from iiae.results.evaluation import Evaluation
from iiae.results.evidence import Evidence
from iiae.results.label_free import LabelFree
from iiae.results.training import Training
from iiae.run_folder import METRICS, VERSION, current_metrics


class Results(NamedTuple):
    """The sections of metrics.json; None where nothing was measured."""

    training: Training | None = None
    test: Evaluation | None = None
    validation: Evaluation | None = None
    evidence: Evidence | None = None
    label_free: LabelFree | None = None


# the type of each section, and the command that writes it
SECTIONS: dict[str, tuple[Any, str]] = {
    "training": (Training, "iiae train {0}/settings.toml --out {0} --overwrite"),
    "test": (Evaluation, "iiae evaluate {0}"),
    "validation": (Evaluation, "iiae evaluate {0} --split validation"),
    "evidence": (Evidence, "iiae disentangle {0}"),
    "label_free": (LabelFree, "iiae sweep"),
}


def load_results(folder: str | Path) -> Results:
    """What was measured of a run with the weights and data that it has now.

    Raises:
        RunError: metrics.json or the weights are gone or damaged, or another version of iiae
            wrote a section; the message has the command that writes it anew.
    """
    return read_results(current_metrics(folder), folder)


def read_results(sections: Mapping[str, Any], folder: str | Path) -> Results:
    """Sections of metrics.json as results; `folder` is for the message.

    Raises:
        RunError: As `load_results`.
    """
    results: dict[str, Any] = {}
    for name in sections.keys() & SECTIONS.keys():
        kind, command = SECTIONS[name]
        try:
            results[name] = _read(sections[name], kind)
        except ValueError as error:
            reason: object = error
            if isinstance(error, ValidationError):
                first = error.errors()[0]
                reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise RunError(
                f"{Path(folder) / METRICS}: section {name} cannot be read ({reason}); this writes "
                f"it anew: {command.format(folder)}"
            ) from error
    return Results(**results)


def _read(section: Mapping[str, Any], kind: Any) -> Any:
    if section.get("version") != VERSION:
        raise ValueError(f"it is of version {section.get('version')}, not {VERSION}")
    values = {key: section[key] for key in kind._fields if key in section}
    return TypeAdapter(kind).validate_python(values)
