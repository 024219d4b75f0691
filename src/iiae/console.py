"""Progress bars for whoever watches a terminal; nothing in a log or a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def tracked(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """The items, with a bar on standard error where that is a terminal and there are several."""
    console = Console(stderr=True)
    quiet = not console.is_terminal or total < 2
    return iter(track(items, what, total=total, console=console, disable=quiet))
