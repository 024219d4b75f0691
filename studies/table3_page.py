"""Rows of Table 3 as Markdown and as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from table3_plan import Plan
from table3_rows import MEASURES, Row

FIRST = ("IIAE", "")  # the reading that the others are compared with


class Line(NamedTuple):
    """One reading of a method over its seeds; `values` by measure, `(seeds, queries)`."""

    method: str
    reading: str
    distance: str
    dimension: int
    knowledge: str
    seconds: float
    seeds: list[int]
    values: dict[str, np.ndarray]
    chance: dict[str, float]

    def mean(self, measure: str) -> float:
        return float(self.values[measure].mean())

    def interval(self, measure: str) -> np.ndarray:
        """95% of the mean over seeds, bootstrapped over queries."""
        return bootstrap(self.values[measure].mean(0))


def bootstrap(values: np.ndarray) -> np.ndarray:
    """95% interval of the mean of `(queries,)`."""
    drawn = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    return np.quantile(values[drawn].mean(1), [0.025, 0.975])


def lines(rows: list[Row]) -> list[Line]:
    """Rows of one protocol and split, seeds of a method together."""
    found: list[Line] = []
    for name in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == name]
        for i, first in enumerate(own[0]["readings"]):
            readings = [row["readings"][i] for row in own]
            found.append(
                Line(
                    name,
                    first["reading"],
                    first["distance"],
                    first["dimension"],
                    ", ".join(own[0]["knowledge"]) or "none",
                    float(np.mean([row["seconds"] for row in own])),
                    [row["seed"] for row in own],
                    {one: np.array([r[one] for r in readings]) for one in MEASURES},
                    {one: first[f"chance {one}"] for one in MEASURES},
                )
            )
    return found


def difference(first: Line, other: Line) -> tuple[float, np.ndarray]:
    """How far the first is above another in mAP@all, paired by query, over seeds of both."""
    common = [seed for seed in first.seeds if seed in other.seeds]
    means = [
        line.values["map@all"][[line.seeds.index(seed) for seed in common]].mean(0)
        for line in (first, other)
    ]
    gap = means[0] - means[1]
    return float(gap.mean()), bootstrap(gap)


def page(rows: list[Row], plan: Plan) -> str:
    """A table for each protocol and split."""
    return "\n\n".join("\n".join(_table(part, plan)) for part in _parts(rows).values())


def _parts(rows: list[Row]) -> dict[tuple[str, str], list[Row]]:
    keys = dict.fromkeys((row["protocol"], row["split"]) for row in rows)
    return {k: [r for r in rows if (r["protocol"], r["split"]) == k] for k in keys}


def _table(rows: list[Row], plan: Plan) -> Iterator[str]:
    found = lines(rows)
    protocol = {"joint": "taught jointly", "apart": "taught apart"}.get(rows[0]["protocol"])
    chance = found[0].chance
    queries = found[0].values["map@all"].shape[1]
    yield (
        f"{rows[0]['split']}, features {protocol or rows[0]['protocol']} ({queries:,} queries; "
        f"{plan.validation} held-out seen classes; chance: mAP@all {chance['map@all']:.3f}, P@100 "
        f"{chance['precision@100']:.3f})"
    )
    yield ""
    yield (
        "| method | external knowledge | size | distance | seeds | mAP@all | P@100 | IIAE above it "
        "(mAP@all, 95%) | processor time, s | published mAP@all / P@100 |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    first = next((one for one in found if (one.method, one.reading) == FIRST), None)
    named: set[str] = set()
    for line in found:
        yield _row(line, first, None if line.method in named else plan.published.get(line.method))
        named.add(line.method)


def _row(line: Line, first: Line | None, published: list[float] | None) -> str:
    above = ""
    if first is not None and line is not first and set(first.seeds) & set(line.seeds):
        gap, (low, high) = difference(first, line)
        above = f"{gap:+.3f} [{low:+.3f}, {high:+.3f}]"
    cells = [
        f"{line.method}, {line.reading}" if line.reading else line.method,
        line.knowledge,
        line.dimension,
        line.distance,
        len(line.seeds),
        *(_mean(line.values[one].mean(1)) for one in MEASURES),
        above,
        f"{line.seconds:.0f}",
        " / ".join(f"{value:.3f}" for value in published) if published else "",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _mean(seeds: np.ndarray) -> str:
    """Mean over seeds, with its standard deviation if there are several."""
    spread = f" ± {seeds.std(ddof=1):.3f}" if len(seeds) > 1 else ""
    return f"{seeds.mean():.3f}{spread}"


def draw(rows: list[Row], plan: Plan, path: Path) -> None:
    """A panel per protocol and split: mAP@all by each method's own distance, with its interval."""
    from matplotlib.figure import Figure

    parts = _parts(rows)
    names = [*dict.fromkeys(row["method"] for row in rows)]
    size = (3.2 * len(parts) + 1.2, 0.3 * len(names) + 1.2)
    figure = Figure(figsize=size, layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(parts), sharey=True))
    for panel, (title, own) in zip(panels, parts.items(), strict=True):
        for line in {one.method: one for one in reversed(lines(own))}.values():
            place = names.index(line.method)
            low, high = line.interval("map@all")
            colour = "C1" if line.method.startswith("IIAE") else "C0"
            panel.barh(place, line.mean("map@all"), color=colour, height=0.6)
            panel.plot([low, high], [place, place], color="black")
            if line.method in plan.published:
                panel.plot(
                    plan.published[line.method][0], place, "D", color="0.5", fillstyle="none"
                )
            panel.axvline(line.chance["map@all"], color="0.7", linestyle=":")
        panel.set_title(" ".join(title), fontsize="small")
        panel.set_xlabel("mAP@all (diamond: published)")
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    figure.savefig(path, dpi=120)
