"""The program `iiae`: its commands by panel of the help, and what it prints of an error."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from iiae.commands.data import data, settings
from iiae.commands.demo import demo
from iiae.commands.evaluate import disentangle, evaluate, report, score
from iiae.commands.features import features, finetune, head
from iiae.commands.search import gallery, index, search, serve
from iiae.commands.share import export, pull, push
from iiae.commands.train import sweep, train
from iiae.commands.translate import embed, translate
from iiae.errors import IIAEError, Interrupted, NothingReadable
from iiae.wording import command_line

PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Learn": (demo, train, sweep),
    "Measure": (evaluate, disentangle, score, report),
    "Use": (translate, embed),
    "Search": (index, search, gallery, serve),
    "Features of images": (features, head, finetune),
    "Share": (push, pull, export),
    "Look up": (data, settings),
}
LIGHT = ("settings",)  # commands that start at once
NO_MEMORY = re.compile("can't allocate memory|out of memory", re.IGNORECASE)  # of torch


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"iiae {version('iiae')}")
        raise typer.Exit


def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="print the version"),
    ] = False,
) -> None:
    pass


class Command(TyperCommand):
    """A command that names wrong values without pydantic's prefix."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().make_context(*args, **kwargs)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise

    def invoke(self, ctx: Any) -> Any:
        """Shows at once on a terminal that the command works: torch takes seconds to import."""
        if self.name not in LIGHT and sys.stderr.isatty():
            print("loading ...", end="\r", file=sys.stderr, flush=True)
            import torch  # noqa: F401

            print("\x1b[K", end="", file=sys.stderr, flush=True)
        with command_line():
            return super().invoke(ctx)


def build_app() -> typer.Typer:
    """The commands as one program, each under its function's name."""
    built = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        help="Learn what two paired domains share and what is exclusive to each; translate and "
        "search across them.",
    )
    built.callback()(options)
    for panel, commands in PANELS.items():
        for command in commands:
            built.command(rich_help_panel=panel, cls=Command)(command)
    return built


app = build_app()


def main() -> None:
    """Runs a command; an error that the user can fix is one line, with exit code 2.

    Exit code 1 means that no sample could be read, with `--on-error skip`. A fault of the program
    is one line too; `IIAE_TRACEBACK=1` shows where it arose.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("iiae").setLevel(logging.INFO)
    try:
        app()
    except Interrupted as error:
        typer.echo(str(error), err=True)
        sys.exit(130)
    except IIAEError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(1 if isinstance(error, NothingReadable) else 2)
    except Exception as error:
        if os.environ.get("IIAE_TRACEBACK"):
            raise
        sys.exit(_tell(error))


def _tell(error: Exception) -> int:
    """One line about what is no error of `iiae`; the exit code."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, MemoryError) or NO_MEMORY.search(text):
        typer.echo(
            f"not enough memory: {text}; less of training.batch, evaluation.batch, data.size or "
            "model.size needs less",
            err=True,
        )
        return 2
    typer.echo(
        f"a fault of iiae: {type(error).__name__}: {text}; please report it with the output of the "
        "same command under IIAE_TRACEBACK=1",
        err=True,
    )
    return 1
