"""What several commands need: options, a run's opening, tables, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from iiae.errors import SettingsError

if TYPE_CHECKING:
    from iiae.report.tables import Table
    from iiae.report.verdict import Verdict
    from iiae.run import Run

# what may be set for a run that is trained: how it is measured, and where its data lies
MEASURING = (
    "evaluation",
    *(f"data.{name}" for name in ("root", "x", "y", "names", "on_error", "buffer")),
)
MOST_SEED = 2**32 - 1

# `iiae.types` and `iiae.files.decoding` have the first two, but import torch
Domain = Literal["x", "y"]
OnError = Literal["stop", "skip"]
Part = Literal["test", "validation"]


def place_of(option: str) -> Callable[[Any], str]:
    """Reads a path or URL; pathlib would take an empty one for the current folder."""

    def read(text: Any) -> str:
        if not str(text).strip():
            raise SettingsError(f"{option} is empty, as an unset shell variable is; give a path")
        return str(text)

    return read


def path_of(option: str) -> Callable[[Any], Path]:
    """Reads a path on this machine, likewise."""
    read = place_of(option)
    return lambda text: Path(read(text))


RunFolder = Annotated[Path, typer.Argument(help="run folder, as iiae train writes it")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="section.name=value; may be repeated")
]
PartOption = Annotated[Part, typer.Option("--split", help="test or validation")]
SAMPLES = (
    "images, folders of them, .npy, .npz, .csv, .tsv or .parquet; folders and images may be URLs"
)
Inputs = Annotated[list[str], typer.Argument(help=SAMPLES, parser=place_of("an input"))]
OnErrorOption = Annotated[
    OnError,
    typer.Option("--on-error", help="if a sample cannot be read: stop, or skip and list it"),
]
Seed = Annotated[int, typer.Option(min=0, max=MOST_SEED, help="random seed")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON, not tables")]


def open_run(folder: Path, overrides: list[str] | None) -> Run:
    """A run, with settings of measurement changed for this command alone."""
    from iiae.run import Run
    from iiae.run_folder import SETTINGS, load_run
    from iiae.settings import check_overrides, load_settings

    check_overrides(overrides or [], MEASURING)
    stored = load_run(folder)
    return Run(stored._replace(settings=load_settings(folder / SETTINGS, overrides or [])))


def show_tables(tables: Iterable[Table]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    for table in tables:
        shown = Table(title=table.title, title_justify="left", caption_justify="left")
        for i, column in enumerate(table.columns):
            shown.add_column(escape(column), justify="left" if i == 0 else "right")
        for row in table.rows:
            shown.add_row(*map(escape, row))
        if table.columns:
            console.print(shown)
        console.print(escape(table.note), style="dim", highlight=False)
        console.print()


def show_verdicts(found: Iterable[Verdict]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console, colours = Console(), {"pass": "green", "fail": "bold red", "unknown": "yellow"}
    for one in found:
        mark = f"[{colours[one.mark]}]{one.mark.upper():<7}[/]"
        console.print(f"{mark} [bold]{one.claim}[/]: {escape(one.sentence)}", highlight=False)
        if one.remedy:
            console.print(f"        what usually mends it: {escape(one.remedy)}", highlight=False)
    console.print()


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error if that is a terminal; yields what sets its count and total."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda count, total: bar.update(task, completed=count, total=total)
