"""The runs of a sweep: every combination of some values of settings."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from iiae.errors import SettingsError


class Combination(NamedTuple):
    """One run of a sweep: its folder's name, and the swept settings as text."""

    name: str
    values: dict[str, str]


def plan(over: Sequence[str], seeds: Sequence[int] = ()) -> list[Combination]:
    """Every combination of the values of `section.name=value,value` and the seeds.

    >>> [one.name for one in plan(["objective.lam=0,1"], [3])]
    ['000-lam=0-seed=3', '001-lam=1-seed=3']

    Raises:
        SettingsError: Nothing is swept, a setting has no values or comes twice.
    """
    if not over:
        raise SettingsError("nothing to sweep: give --over, as in --over objective.lam=0,0.3,1")
    axes: dict[str, list[str]] = {}
    for text in over:
        name, values = _axis(text)
        if name in axes:
            raise SettingsError(f"--over {text}: {name} is swept already")
        axes[name] = values
    if seeds:
        if "training.seed" in axes:
            raise SettingsError("training.seed is in --over and in --seeds; give one of them")
        axes["training.seed"] = [str(seed) for seed in seeds]
    last = [name.rpartition(".")[2] for name in axes]
    short = last if len(set(last)) == len(last) else list(axes)
    combinations = []
    for i, values in enumerate(itertools.product(*axes.values())):
        parts = [re.sub(r"[^\w.+=-]", "_", f"{k}={v}") for k, v in zip(short, values, strict=True)]
        combinations.append(
            Combination("-".join([f"{i:03d}", *parts]), dict(zip(axes, values, strict=True)))
        )
    return combinations


def _axis(text: str) -> tuple[str, list[str]]:
    name, equals, rest = (part.strip() for part in text.partition("="))
    # a comma inside brackets belongs to the value
    values = [value.strip() for value in re.split(r",(?![^\[]*\])", rest)]
    if not equals or not name or "" in values:
        raise SettingsError(f"--over {text}: write section.name=value,value, none of them empty")
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise SettingsError(f"--over {text}: {twice} comes twice")
    return name, values
