"""What can be looked up: data sets and settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from iiae.commands.common import path_of
from iiae.errors import SettingsError


def data(
    name: Annotated[str | None, typer.Argument(help="data set; none lists them")] = None,
    root: Annotated[
        Path | None, typer.Option(help="folder for its files", parser=path_of("--root"))
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="write test pairs as PNGs here", parser=path_of("--export"))
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="number of pairs to write; 16 by default")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="side of the images written; 32 by default")
    ] = None,
) -> None:
    """List data sets, fetch the files of one, or look at its pairs.

    Example: iiae data digits-cdcb --export pairs/ --count 4
    """
    from iiae.data import DATASETS, export_pairs, fetch, load
    from iiae.settings import data_settings

    if export is None and (count or size):
        raise SettingsError("--count and --size are of the pairs that --export writes")
    if name is None and (root or export):
        raise SettingsError("--root and --export are of one data set; `iiae data` lists them all")
    if name is None:
        for known, kind in DATASETS.items():
            typer.echo(f"{known:14}{(kind.load.__doc__ or '').splitlines()[0]}")
        return
    if export is None:
        typer.echo(fetch(name, root))
        return
    settings = data_settings(name=name, root=str(root) if root else None, size=size)
    written = export_pairs(load(settings).test, export, count or 16)
    typer.echo(f"wrote {written} pairs into {export / 'x'} and {export / 'y'}")


def settings() -> None:
    """List every setting, its default and what it does.

    Example: iiae settings
    """
    from iiae.settings import describe_settings

    for name, default, text in describe_settings():
        typer.echo(f"{name:34}{default:12}{text}")
