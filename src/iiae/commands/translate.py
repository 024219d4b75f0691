"""A run applied to files: translations and latents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from iiae.commands.common import (
    DOMAIN,
    SAMPLES,
    ColumnsOption,
    Inputs,
    OnError,
    OnErrorOption,
    RunFolder,
    Seed,
    domain_of,
    in_shell,
    path_of,
    place_of,
    progress_bar,
    say_next,
)
from iiae.errors import SettingsError

if TYPE_CHECKING:
    from iiae.inference.tiles import Tiles
    from iiae.inference.translate import ExclusiveSource
    from iiae.run_folder import StoredRun
    from iiae.types import Domain

Block = Literal["shared", "active", "exclusive", "both"]


def translate(
    run: RunFolder,
    inputs: Inputs,
    target: Annotated[str, typer.Option("--to", help=f"domain to translate to: {DOMAIN}")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="grid, if it ends as an image does, else a folder for one file each; .npy, .csv "
            "or .tsv for features; of cells a copy; translation.png, translation.npy or "
            "cells.iiae.h5mu by default",
            parser=path_of("--out"),
        ),
    ] = None,
    grid: Annotated[
        Path | None,
        typer.Option(help="a grid of the first 16, beside the folder", parser=path_of("--grid")),
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            help="take the exclusive latent from this image or row of domain --to",
            parser=place_of("--like"),
        ),
    ] = None,
    samples: Annotated[
        int,
        typer.Option(
            min=0,
            help="number of exclusive latents drawn, as training samples have them; at most 1,000",
        ),
    ] = 0,
    interpolate: Annotated[
        int,
        typer.Option(min=0, help="number of steps between two --like, or between two samples"),
    ] = 0,
    spread: Annotated[
        bool, typer.Option("--spread", help="add a heat map of the samples' spread at each pixel")
    ] = False,
    full_size: Annotated[
        bool, typer.Option("--full-size", help="enlarge results to the size of their source")
    ] = False,
    tiles: Annotated[
        str | None,
        typer.Option(
            help="SIZE,OVERLAP in pixels: translate images of any size in squares that overlap "
            "and blend, into a folder; OVERLAP is half of SIZE by default"
        ),
    ] = None,
    columns: ColumnsOption = None,
    as_if: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE of a covariate of the translations, as if they were measured there; "
            "repeatable"
        ),
    ] = None,
    seed: Seed = 0,
    on_error: OnErrorOption = "stop",
) -> None:
    """Show the content of samples in the other domain.

    Example: iiae translate runs/mine photo.png --to y --samples 4 --out grid.png
    """
    from iiae.files.cells import is_cells
    from iiae.inference.translate import ExclusiveSource
    from iiae.run_folder import load_run

    if samples and (like or interpolate):
        raise SettingsError(
            "--samples excludes --like and --interpolate: samples, or given latents"
        )
    to = domain_of(run, target, "--to")
    opened = load_run(run).for_inference()
    exclusive = ExclusiveSource(tuple(like or ()), samples, interpolate, seed)
    changed = _changed(as_if or ())
    request = _Request(opened, inputs, to, out, exclusive, on_error)
    of_pictures = bool(grid or full_size or spread)
    more = f"iiae serve {in_shell(run)}  # the same in a browser"
    if any(map(is_cells, inputs)):
        optioned = bool(samples or like or interpolate) or of_pictures
        _translate_cells(request, optioned, changed, columns)
    elif len(opened.shapes.x) == 1:
        _translate_vectors(request, of_pictures or bool(tiles), columns, changed)
        say_next(more)
    elif columns or changed:
        raise SettingsError("runs of images take no covariates; leave --columns and --as-if out")
    elif tiles:
        _translate_tiles(request, tiles, of_pictures)
    else:
        _translate_images(request, grid, full_size, spread)
        alike = samples or like
        say_next(more if alike else f"the same with --samples 4: four looks of each; {more}")


class _Request(NamedTuple):
    """What is translated by which run, and where the translations go."""

    run: StoredRun
    inputs: list[str]
    to: Domain
    out: Path | None
    exclusive: ExclusiveSource
    on_error: OnError


def _changed(texts: Sequence[str]) -> dict[str, str]:
    """Covariates of translations by name."""
    given = [_named_value(text) for text in texts]
    if len(dict(given)) < len(given):
        raise SettingsError("--as-if: a covariate is given twice")
    return dict(given)


def _named_value(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise SettingsError(f"--as-if {text}: write NAME=VALUE, as in batch=2")
    return name, value


def _translate_cells(
    request: _Request, optioned: bool, as_if: dict[str, str], columns: Path | None
) -> None:
    from iiae.inference.cells import write_cells_file
    from iiae.types import other

    run, inputs, to, out, _, _ = request
    if len(inputs) > 1 or optioned:
        raise SettingsError(
            "cells are translated one file at a time, with no options but --as-if and --columns"
        )
    domain = None if run.settings.data.name == "omics" else other(to)
    typer.echo(f"wrote {write_cells_file(run, inputs[0], out, to, domain, as_if, columns)}")


def _translate_vectors(
    request: _Request, of_pictures: bool, columns: Path | None, as_if: dict[str, str]
) -> None:
    from iiae.inference.translate import translate_array

    if of_pictures:
        raise SettingsError(
            "--grid, --full-size, --spread and --tiles are for images, not for features"
        )
    run, inputs, to, out, exclusive, on_error = request
    out = out or Path("translation.npy")
    written = translate_array(run, inputs, to, out, exclusive, on_error, columns, as_if)
    typer.echo(f"wrote {written}")


def _translate_tiles(request: _Request, tiles: str, of_pictures: bool) -> None:
    from iiae.inference.tiles import translate_large

    run, inputs, to, out, exclusive, on_error = request
    if of_pictures or (out and _is_picture(out)):
        raise SettingsError(
            "--tiles writes one file each, in the size of its source, to --out FOLDER; it "
            "excludes --grid, --full-size and --spread"
        )
    out = out or Path("translations")
    done = translate_large(run, inputs, to, out, _tiles(tiles), exclusive, on_error)
    typer.echo(f"wrote translations of {done} image{'s' * (done != 1)} to {out}")


def _translate_images(request: _Request, grid: Path | None, full_size: bool, spread: bool) -> None:
    from iiae.inference.picture_files import GRID_COLUMNS
    from iiae.inference.translate import TranslationOutputs, translate_files

    run, inputs, to, out, exclusive, on_error = request
    out = out or Path("translation.png")
    alone = _is_picture(out)
    if alone and (grid or full_size):
        raise SettingsError(f"--grid and --full-size go with a folder; --out {out} is one picture")
    outputs = TranslationOutputs(None if alone else out, out if alone else grid, full_size, spread)
    done = translate_files(run, inputs, to, outputs, exclusive, on_error)
    written = " and ".join(str(path) for path in (outputs.folder, outputs.grid) if path)
    first = f"the first {GRID_COLUMNS} of " if alone and done > GRID_COLUMNS else ""
    typer.echo(f"wrote {first}{done} translation{'s' * (done != 1)} to {written}")


def _is_picture(out: Path) -> bool:
    """Whether one picture is written, and not a folder of them."""
    from iiae.files.pictures import picture_format

    return picture_format(out) is not None and not out.is_dir()


def _tiles(text: str) -> Tiles:
    from iiae.inference.tiles import Tiles

    size, _, overlap = text.partition(",")
    try:
        return Tiles(int(size), int(overlap) if overlap else int(size) // 2).checked()
    except ValueError as error:
        raise SettingsError(f"--tiles {text}: write SIZE,OVERLAP in pixels, as in 64,32") from error


def embed(
    run: RunFolder,
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help=f"one of: {SAMPLES}; or cells, .h5mu or .h5ad",
            parser=place_of("INPUT"),
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help=".parquet, .npz, or .npy with its paths beside it; of cells a copy with the "
            "latents in obsm, cells.iiae.h5mu by default",
            parser=path_of("--out"),
        ),
    ] = None,
    given: Annotated[
        str | None,
        typer.Option("--domain", help=f"domain of the input: {DOMAIN}; cells may have both"),
    ] = None,
    block: Annotated[Block, typer.Option(help="shared, active, exclusive or both")] = "shared",
    batch: Annotated[int, typer.Option(min=1, help="items the model takes at once")] = 128,
    shard: Annotated[int, typer.Option(min=1, help="items lost at most when killed")] = 4096,
    columns: ColumnsOption = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="local, or ray for many processes")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes of --engine ray; 2 by default")
    ] = None,
    on_error: OnErrorOption = "stop",
) -> None:
    """Write the latents of many files, one row per file; repeat the command to resume after a stop.

    Example: iiae embed runs/mine photos/ --domain x --out z.parquet
    """
    from iiae.files.cells import is_cells
    from iiae.inference.cells import write_cells_file
    from iiae.inference.embed import embed_files, embed_here
    from iiae.inference.ray import embed_on_ray
    from iiae.run_folder import load_run

    if workers and engine == "local":
        raise SettingsError(f"--workers {workers}: only --engine ray has workers")
    domain = domain_of(run, given, "--domain") if given else None
    if is_cells(source):
        if block != "shared" or engine == "ray" or on_error == "skip":
            raise SettingsError("--block, --engine and --on-error are not for cells")
        written = write_cells_file(load_run(run), source, out, domain=domain, columns=columns)
        typer.echo(f"wrote {written}")
        return
    if out is None or domain is None:
        raise SettingsError(f"{source}: give --out, the file to write, and --domain, x or y")
    with progress_bar("embedding") as progress:
        done = embed_files(
            run, source, out, domain, block=block, batch=batch, shard=shard,
            engine=embed_on_ray(workers or 2) if engine == "ray" else embed_here,
            progress=progress, on_error=on_error, columns=columns,
        )  # fmt: skip
    left_out = f"; {done.failed} left out, see {done.failures}" if done.failed else ""
    typer.echo(f"wrote {done.rows} rows into {done.output}{left_out}")
    known = f" --columns {in_shell(columns)}" if columns else ""
    what = f"{in_shell(run)} gallery/ {in_shell(source)} --domain {domain}{known}"
    say_next(f"iiae index {what}  # to search them")
