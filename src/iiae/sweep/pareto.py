"""Comparison of many runs: retrieval against the largest leak, as a table and as a picture.

A row is that of sweep.csv: swept settings have a dot in their name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iiae.files.atomic import write_atomically
from iiae.report.table import Table

MEASURES = ("recall_x_to_y", "recall_y_to_x", "exclusive_x_to_y", "exclusive_y_to_x")
LEAKS = ("largest_leak_mean", "largest_leak_active", "largest_leak_sample")
Rows = Sequence[dict[str, Any]]
_Groups = dict[tuple[str, ...], list[dict[str, Any]]]  # rows by their swept settings


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Points (retrieval, leak) that no other beats in both, by rising leak.

    A point that is not finite is on no front.

    >>> pareto([(0.9, 0.5), (0.8, 0.1), (0.7, 0.3)])
    [1, 0]
    """
    front: list[int] = []
    known = [i for i, point in enumerate(points) if all(map(math.isfinite, point))]
    for i in sorted(known, key=lambda i: (points[i][1], -points[i][0])):
        if not front or points[i][0] > points[front[-1]][0]:
            front.append(i)
    return front


def sweep_table(runs: Rows) -> Table:
    """One row per combination: means over seeds, with their standard deviation.

    *exclusive* is the larger of both ways.
    """
    names = _varied(runs)
    leaks = [name.removeprefix("largest_").replace("_", " ") for name in LEAKS]
    done = [row for row in runs if row["status"] == "done"]
    measure = done[0]["measure"] if done else "recall@1"
    shown = measure.replace("recall", "Recall").replace("map", "mAP")
    last = [name.rpartition(".")[2] for name in names]
    called = last if len(set(last)) == len(last) else names
    columns = [*called, f"{shown} x to y", "y to x", "exclusive", "chance", *leaks, "s"]
    rows: list[list[str]] = []
    for values, group in _groups(runs).items():
        done = [row for row in group if row["status"] == "done"]
        exclusive = [{"v": max(_numbers(row, MEASURES[2:]), default=None)} for row in done]
        cells = [
            *(_cell(done, name, 100, 2) for name in MEASURES[:2]),
            _cell(exclusive, "v", 100, 2),
            _cell(done, "chance", 100, 2),
            *(_cell(done, name, 1, 3) for name in LEAKS),
            _cell(done, "seconds", 1, 0),
        ]
        rows.append([*values, *cells])
    failed = [f"{row['run']}: {row['message']}" for row in runs if row["status"] != "done"]
    note = (
        f"Retrieval ({shown}) in %; chance: what guessing reaches there, mean of both ways. "
        "Leak: the largest linear reading above chance (0) of any factor from a latent it does not "
        "belong to, latents read by their means, their active means, their samples. s: seconds. "
        "Mean ± standard deviation over seeds where there are several."
    )
    if failed:
        note += f" Failed, {len(failed)} of {len(runs)}: " + "; ".join(failed)
    return Table(f"Sweep of {len(runs)} runs", columns, rows, note)


def draw_pareto(path: Path, rows: Rows) -> Path | None:
    """Retrieval against the largest leak, by means of all and of the active dimensions."""
    from matplotlib.figure import Figure

    done = [row for row in rows if row["status"] == "done" and row["largest_leak_mean"] is not None]
    if not done:
        path.unlink(missing_ok=True)
        return None
    figure = Figure(figsize=(11, 5), layout="constrained")
    views = {
        "all dimensions": (MEASURES[:2], LEAKS[0]),
        "active dimensions": (("active_x_to_y", "active_y_to_x"), LEAKS[1]),
    }
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, (title, (ways, leak)) in zip(panels, views.items(), strict=True):
        _panel(axes, _groups(done), ways, leak)
        for chance in sorted({row["chance"] for row in done}):
            axes.axhline(100 * chance, ls=":", color="grey", label=f"chance, {100 * chance:.3g}%")
        axes.set(title=f"Means of {title}", ylim=(-3, 103))
        axes.set(xlabel="largest leak: foreign reading above chance (0 none, 1 all)")
        axes.set(ylabel=f"shared {done[0]['measure']}, mean of both ways, %")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=110))
    return path


def _panel(axes: Any, groups: _Groups, ways: Sequence[str], leak: str) -> None:
    points: list[tuple[float, float]] = []
    for values, group in groups.items():
        both = [{**row, "both": _both_ways(row, ways)} for row in group]
        retrieval, leaks = _mean(both, "both"), _mean(group, leak)
        if retrieval is None or leaks is None:
            continue
        (recall, up), (leaked, right) = retrieval, leaks
        points.append((recall, leaked))
        several = len(group) > 1
        axes.errorbar(
            leaked, recall, up if several else None, right if several else None,
            fmt="o", color="tab:blue", capsize=2,
        )  # fmt: skip
        axes.annotate(", ".join(values), (leaked, recall), (4, 4), textcoords="offset points",
                      fontsize=7)  # fmt: skip
    front = pareto(points)
    axes.plot(
        [points[i][1] for i in front], [points[i][0] for i in front], "s--",
        color="tab:orange", mfc="none", ms=10, label="Pareto front",
    )  # fmt: skip


def _both_ways(row: Mapping[str, Any], ways: Sequence[str]) -> float | None:
    """Mean of the ways that were measured, in %."""
    values = _numbers(row, ways)
    return 100 * sum(values) / len(values) if values else None


def _groups(rows: Rows) -> _Groups:
    """Rows by their swept settings, seeds together."""
    names = _varied(rows)
    groups: _Groups = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups


def _varied(rows: Rows) -> list[str]:
    """Settings that are varied, but for the seed."""
    return [name for name in rows[0] if "." in name and name != "training.seed"]


def _numbers(row: Mapping[str, Any], names: Sequence[str]) -> list[float]:
    return [row[name] for name in names if row.get(name) is not None]


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[float, float] | None:
    values = [row[name] for row in rows if row.get(name) is not None]
    if not values:
        return None
    mean = sum(values) / len(values)
    spread = sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
    return mean, spread**0.5


def _cell(rows: Sequence[Mapping[str, Any]], name: str, factor: float, digits: int) -> str:
    moments = _mean(rows, name)
    if moments is None:
        return "-"
    mean, spread = (f"{factor * value:.{digits}f}" for value in moments)
    return f"{mean} ± {spread}" if len(rows) > 1 else mean
