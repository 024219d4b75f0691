"""What several commands need: options, a run's opening, tables, progress."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from iiae.errors import SettingsError

if TYPE_CHECKING:
    from iiae.data.names import Names
    from iiae.report.table import Table
    from iiae.report.verdict import Verdict
    from iiae.run import Run

# what may be set for a run that is trained: how it is measured, and where its data lies
MEASURING = (
    "evaluation",
    *(f"data.{name}" for name in ("root", "x", "y", "names", "columns", "on_error", "buffer")),
)
MOST_SEED = 2**32 - 1

# `iiae.types` and `iiae.files.decoding` have the first two, but import torch
Domain = Literal["x", "y"]
DOMAIN = "x or y, or its name in the run, such as photo"
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
    "images, folders of them, .npy, .npz, .csv, .tsv, .parquet or cells.h5mu:rna; folders and "
    "images may be URLs"
)
Inputs = Annotated[list[str], typer.Argument(help=SAMPLES, parser=place_of("an input"))]
OnErrorOption = Annotated[
    OnError,
    typer.Option("--on-error", help="if a sample cannot be read: stop, or skip and list it"),
]
ColumnsOption = Annotated[
    Path | None,
    typer.Option(
        "--columns",
        help="table or .npz with the covariates that the run takes, a row a sample; cells have "
        "theirs in obs",
        parser=path_of("--columns"),
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=MOST_SEED, help="random seed")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON, not tables")]


def open_run(folder: Path, overrides: list[str] | None) -> Run:
    """A run, with evaluation settings changed for this command alone."""
    from iiae.run import Run
    from iiae.run_folder import SETTINGS, load_run
    from iiae.settings import check_overrides, load_settings

    check_overrides(overrides or [], MEASURING)
    stored = load_run(folder)
    return Run(stored._replace(settings=load_settings(folder / SETTINGS, overrides or [])))


def domain_of(run: Path, given: str, option: str) -> Domain:
    """The domain of a run that an option names: "x", "y" or what the run calls it."""
    from iiae.data.names import domain_names
    from iiae.run_folder import SETTINGS, load_run
    from iiae.settings import load_settings

    path = run / SETTINGS
    settings = load_settings(path) if path.is_file() else load_run(run).settings
    return domain_names(settings.data).domain(given, option)


def names_of(run: Run | None) -> Names | None:
    """Names of a run's domains."""
    from iiae.data.names import domain_names

    return domain_names(run.settings.data) if run else None


def show_tables(tables: Iterable[Table], names: Names | None = None) -> None:
    """Prints tables; intervals have columns of their own as far as the terminal has room.

    Args:
        tables: What to print.
        names: Of the domains, in place of x and y.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    named = names.put if names else str
    for table in tables:
        columns, left_out = _columns(table, console.width, named)
        shown = Table(
            title=named(table.title),
            title_justify="left",
            caption_justify="left",
            padding=(0, int(_width(columns) <= console.width)),
        )
        for i, (heading, *_) in enumerate(columns):
            shown.add_column(escape(heading), justify="left" if i == 0 else "right")
        for row in zip(*(cells for _, *cells in columns), strict=True):
            shown.add_row(*map(escape, row))
        if table.columns:
            console.print(shown)
        note = named(table.note) + left_out
        console.print(escape(note), style="dim", highlight=False)
        console.print()


def _columns(table: Table, width: int, named: Callable[[str], str]) -> tuple[list[list[str]], str]:
    """Columns, each with its heading first, and a sentence if intervals were left out."""
    from iiae.report.table import split_interval

    parts = [[split_interval(cell) for cell in row] for row in table.rows]
    columns: list[list[str]] = []
    intervals: list[list[str]] = []
    for j, heading in enumerate(table.columns):
        columns.append([named(heading), *(named(row[j][0]) for row in parts)])
        if any(row[j][1] for row in parts):
            columns.append(["95% CI", *(row[j][1] for row in parts)])
            intervals.append(columns[-1])
    if _width(columns) <= width or len(intervals) < 2:
        return columns, ""
    dropped = {id(column) for column in intervals[1:]}
    kept = [column for column in columns if id(column) not in dropped]
    return kept, " A wider terminal, --json and the report show all intervals."


def _width(columns: Iterable[Sequence[str]]) -> int:
    """Characters that columns need, with two spaces and a line each, if no cell is broken."""
    return sum(max(map(len, column)) + 3 for column in columns) + 1


def in_shell(path: str | Path) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))


def say_next(text: str) -> None:
    """Prints the usual next step on standard error; output stays clean for other programs."""
    typer.echo(f"next: {text}", err=True)


def show_verdicts(verdicts: Iterable[Verdict], names: Names | None = None) -> None:
    """Prints what a run's numbers amount to, one sentence per verdict."""
    from rich.console import Console
    from rich.text import Text

    from iiae.report.verdict import as_text

    text = Text((names.put if names else str)(as_text(verdicts)))
    for mark, colour in (("PASS", "green"), ("FAIL", "bold red"), ("UNKNOWN", "yellow")):
        text.highlight_regex(rf"(?m)^{mark}\b", colour)
        text.highlight_regex(rf"(?m)^{mark} +(?P<bold>[^:]+)")
    Console().print(text, end="\n\n")


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, if that is a terminal; yields the function that updates it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda count, total: bar.update(task, completed=count, total=total)
