"""What all sections of settings have in common, and values that stand for one domain or both."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

from pydantic import BaseModel, ConfigDict

from iiae.settings.names import READ_BY

MOST_SEED = 2**32 - 1  # NumPy's older generators take no larger one


class Section(BaseModel):
    """A section of settings: frozen, without unknown names, without infinite numbers."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", coerce_numbers_to_str=True, allow_inf_nan=False
    )


def one_or_two_sizes(value: Any) -> Any:
    """Refuses what is neither one size, of 1 or more, nor two."""
    return _one_or_two(value, 1)


def one_or_two_counts(value: Any) -> Any:
    """Refuses what is neither one count, of 0 or more, nor two."""
    return _one_or_two(value, 0)


def _one_or_two(value: Any, least: int) -> Any:
    pair = isinstance(value, (list, tuple))
    sizes = value if pair else [value]
    whole = all(isinstance(size, Integral) and not isinstance(size, bool) for size in sizes)
    if len(sizes) != 1 + pair or not whole or min(sizes) < least:
        raise ValueError(f"give one number, of {least} or more, or two: [of x, of y]")
    return tuple(map(int, sizes)) if pair else int(value)


def one_or_two_shares(value: Any) -> Any:
    """Refuses what is neither one share, of at least 0 and below 1, nor two."""
    shares = value if isinstance(value, (list, tuple)) else [value]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in shares)
    if not numbers or len(shares) not in (1, 2) or not all(0 <= v < 1 for v in shares):
        raise ValueError("give one share, of at least 0 and below 1, or two: [of x, of y]")
    return tuple(map(float, shares)) if isinstance(value, (list, tuple)) else float(value)


def one_or_more_texts(value: Any) -> Any:
    """A list of one text, where a text is given alone."""
    return (value,) if isinstance(value, str) else value


def number_or_auto(value: Any) -> Any:
    """Refuses what is neither a finite number above 0 nor "auto"."""
    if value == "auto":
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 0 < number < math.inf:
        raise ValueError("input should be a finite number above 0, or 'auto'")
    return number


def refuse_unread(section: Section, chooser: str) -> None:
    """Refuses settings that have no effect on what `chooser` names, unless at their default."""
    chosen = getattr(section, chooser)
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        readers = READ_BY[chooser].get(name, (chosen,))
        if chosen not in readers and ":" not in chosen and value != field.default:
            raise ValueError(
                f"{name} = {value!r} has no effect on {chooser} {chosen!r}, only on "
                f"{' and '.join(map(repr, readers))}; leave it out"
            )
