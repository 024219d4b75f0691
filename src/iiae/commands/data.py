"""Commands that list data sets and settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from iiae.commands.common import in_shell, path_of, say_next
from iiae.errors import SettingsError

ABOUT = {  # for users; what loads each says more to those who write code
    "mnist-cdcb": "MNIST digits: white on a colour, and coloured on black",
    "digits-cdcb": "the same from scikit-learn's small digits; nothing to download",
    "arrays": "rows of two files of numbers, or byte images: .npy, .npz, .csv, .tsv, .parquet",
    "omics": "cells: two assays in a .h5mu, or in a .h5ad with a layer or panel",
    "side-by-side": "a folder of images whose left half is x and right half is y",
    "two-folders": "two folders of images; files of one name are partners",
    "table": "a .csv or .parquet with a pair of image paths per row",
    "hugging-face": "two image columns of a Hugging Face data set",
    "parquet-shards": "pairs in many Parquet files, streamed from disk or a URL",
    "classes": "labelled sketches and photos, or features; classes to test on are unseen",
    "cars": "car models seen from 24 sides: the front and another side",
    "synthetic": "random vectors with known shared and exclusive factors",
    "planted-counts": "counts with known factors, as of RNA and protein",
}


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
    """List data sets; fetch the files of one, list its settings, or look at its pairs.

    Example: iiae data digits-cdcb --export pairs/ --count 4
    """
    from iiae.data import DATASETS, describe_data_set, export_pairs, fetch, load
    from iiae.settings import data_settings

    if export is None and (count or size):
        raise SettingsError("--count and --size need --export, which writes the pairs")
    if name is None and (root or export):
        raise SettingsError(
            "--root and --export need the name of a data set; `iiae data` lists all names"
        )
    if name is None:
        for known, kind in DATASETS.items():
            typer.echo(f"{known:16}{ABOUT.get(known) or (kind.load.__doc__ or '').splitlines()[0]}")
        say_next("iiae data NAME --export pairs/  # to look at some pairs")
        return
    if export is None:
        typer.echo(fetch(name, root))
        typer.echo(f"\nsettings that {name} reads:")
        _list_settings(describe_data_set(name))
        say_next(f"iiae train --set data.name={name}  # --set NAME=VALUE: another setting")
        return
    settings = data_settings(name=name, root=str(root) if root else None, size=size)
    written = export_pairs(load(settings).test, export, count or 16)
    typer.echo(f"wrote {written} pairs into {export / 'x'} and {export / 'y'}")
    say_next(
        f"iiae train --x {in_shell(export / 'x')} --y {in_shell(export / 'y')} --out runs/mine"
    )


def settings() -> None:
    """List every setting, its default and what it does.

    Example: iiae settings
    """
    from iiae.settings import describe_settings

    _list_settings(describe_settings())
    typer.echo("\nA data set reads some of data.* and refuses others: `iiae data NAME` lists them.")
    say_next("iiae train ... --set NAME=VALUE, or a line in a settings file")


def _list_settings(rows: Sequence[tuple[str, str, str]]) -> None:
    for name, default, text in rows:
        typer.echo(f"{name:34}{default:12}{text}")
