"""Rows and trials of Table 3 as JSON lines, so that a run that was stopped continues."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from iiae.data.classes.pairs import ClassPairs
from iiae.metrics.ranking import score
from iiae.rivals.interface import Fitted
from table3_plan import Method, Part

KEY = ("protocol", "split", "features", "method", "seed", "settings")
MEASURES = ("map@all", "precision@100")
# what the second and further embeddings of a method are called
READINGS = {
    "FRWGAN": ("words of both",),
    "ZSIH": ("probabilities",),
    "IIAE": ("centred", "exclusive"),
    "joint VAE": ("centred",),
}

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Whole lines of a file of JSON lines; one that was cut short is left out, as blanks are."""
    rows: list[Row] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def add_row(path: Path, row: Row) -> None:
    """Appends a line at once, whatever a run that was stopped has left at the end of the file."""
    with path.open("ab", buffering=0) as file:
        file.write(f"\n{json.dumps(row)}\n".encode())


def key(part: Part, method: Method, seed: int, settings: dict[str, Any]) -> Row:
    """What makes a row another one than the rest."""
    values = (part.protocol, part.split, part.digest, method.name, seed, settings)
    return dict(zip(KEY, values, strict=True))


def those(rows: Iterable[Row], wanted: Row) -> list[Row]:
    """Rows with this key."""
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def measure(part: Part, method: Method, seed: int, settings: dict[str, Any]) -> Row:
    """A method trained on seen classes and measured on unseen ones, as a row."""
    fitted, seconds = _fit(part, method, seed, settings)
    found = {
        "seconds": round(seconds, 2),
        "knowledge": list(fitted.knowledge),
        "readings": [*_readings(fitted, part.test)],
    }
    return key(part, method, seed, settings) | found


def tried(part: Part, method: Method, seed: int, settings: dict[str, Any]) -> Row:
    """A trial: mAP@all of held-out seen classes, native distance; 0 if it diverged."""
    fitted, seconds = _fit(part, method, seed, settings)
    held = part.validation
    x, y = fitted.embed_x(held.x.values.numpy()), fitted.embed_y(held.y.values.numpy())
    quality = 0.0
    if np.isfinite(x).all() and np.isfinite(y).all():
        given = (x, y, held.x.labels, held.y.labels, (1,), fitted.distance)
        quality = score(*given).mean["map@all"]
    found = {"map@all": quality, "seconds": round(seconds, 2)}
    return key(part, method, seed, settings) | found


def _fit(part: Part, method: Method, seed: int, settings: Row) -> tuple[Fitted, float]:
    """What was learned, and the seconds of processor time that it took, over all threads."""
    began = time.process_time()
    fitted = method.rival.fit(part.train, part.semantics, seed, **settings)
    return fitted, time.process_time() - began


def _readings(fitted: Fitted, test: ClassPairs) -> Iterator[Row]:
    """Each embedding of a method by its own distance, and by cosine."""
    names = ["", *READINGS.get(fitted.name, ())]
    place, reading = 0, fitted
    while reading is not None:
        x, y = reading.embed_x(test.x.values.numpy()), reading.embed_y(test.y.values.numpy())
        for distance in dict.fromkeys((reading.distance, "cosine")):
            if distance == "cosine" and not (x.any(1).all() and y.any(1).all()):
                continue  # codes that are all zeros have no direction
            found = score(x, y, test.x.labels, test.y.labels, (100,), distance)
            called = names[place] if place < len(names) else f"reading {place + 1}"
            yield {
                "reading": called,
                "distance": distance,
                "dimension": x.shape[1],
                **{f"chance {one}": found.chance[one] for one in MEASURES},
                **{one: found.per_query[one].round(5).tolist() for one in MEASURES},
            }
        place, reading = place + 1, reading.second
