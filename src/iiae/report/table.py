"""A table of text, and how numbers stand in its cells; for the terminal and the report alike."""

from __future__ import annotations

import math
from typing import NamedTuple

from iiae.metrics.retrieval import Interval


class Table(NamedTuple):
    """A titled table, and a note that says how to read it."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str


HUGE = 1e9  # written with an exponent from here on


def number(value: float | None, digits: int) -> str:
    """A number with so many decimals; a dash if there is none, or none that is finite."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.{digits}f}" if abs(value) < HUGE else f"{value:.2e}"


def with_interval(
    value: float | None, low: float | None, high: float | None, digits: int, ends: int | None = None
) -> str:
    """A number to `digits` decimals and its interval to `ends`; dashes for what is missing."""
    shown, ends = number(value, digits), digits if ends is None else ends
    both = [number(low, ends), number(high, ends)]
    interval = "-" if "-" in both else ", ".join(both)
    return shown if shown == "-" else f"{shown} [{interval}]"


def split_interval(cell: str) -> tuple[str, str]:
    """A cell's number and its interval without brackets, which is empty if it has none."""
    value, _, rest = cell.partition(" [")
    return (value, rest.removesuffix("]")) if rest.endswith("]") else (cell, "")


def percent_interval(one: Interval | None) -> str:
    """A rate in %, with its interval in brackets; a dash if there is none."""
    return f"{percent(one.rate)} [{percent(one.low)}, {percent(one.high)}]" if one else "-"


def percent(rate: float) -> str:
    """A rate in %."""
    return f"{100 * rate:.2f}"
