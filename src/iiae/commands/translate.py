"""A run applied to files: translations and latents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from iiae.commands.common import (
    SAMPLES,
    Domain,
    Inputs,
    OnErrorOption,
    RunFolder,
    Seed,
    path_of,
    place_of,
    progress_bar,
    say_next,
)
from iiae.errors import SettingsError

if TYPE_CHECKING:
    from iiae.inference.tiles import Tiles

Block = Literal["shared", "active", "exclusive", "both"]


def translate(
    run: RunFolder,
    inputs: Inputs,
    to: Annotated[Domain, typer.Option(help="domain to translate to: x or y")],
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
        typer.Option(help="take the exclusive latent from this image or row of domain --to"),
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
    seed: Seed = 0,
    on_error: OnErrorOption = "stop",
) -> None:
    """Show the content of samples in the other domain.

    Example: iiae translate runs/mine photo.png --to y --samples 4 --out grid.png
    """
    from iiae.files.cells import is_cells
    from iiae.files.pictures import picture_format
    from iiae.inference.cells import write_cells_file
    from iiae.inference.tiles import translate_large
    from iiae.inference.translate import (
        ExclusiveSource,
        TranslationOutputs,
        translate_array,
        translate_files,
    )
    from iiae.run_folder import load_run

    if samples and (like or interpolate):
        raise SettingsError(
            "--samples excludes --like and --interpolate: samples, or given latents"
        )
    opened = load_run(run).for_inference()
    if any(map(is_cells, inputs)):
        if len(inputs) > 1 or samples or like or interpolate or grid or full_size or spread:
            raise SettingsError("cells are translated one file at a time, without other options")
        domain = "y" if to == "x" else "x"
        only = None if opened.settings.data.name == "omics" else domain
        typer.echo(f"wrote {write_cells_file(opened, inputs[0], out, to, only)}")
        return
    exclusive = ExclusiveSource(tuple(like or ()), samples, interpolate, seed)
    if len(opened.shapes[0]) == 1:
        if grid or full_size or spread or tiles:
            raise SettingsError(
                "--grid, --full-size, --spread and --tiles are for images, not for features"
            )
        out = out or Path("translation.npy")
        typer.echo(f"wrote {translate_array(opened, inputs, to, out, exclusive, on_error)}")
        say_next(f"iiae serve {run}  # the same in a browser")
        return
    if tiles:
        if grid or full_size or spread or (out and picture_format(out) and not out.is_dir()):
            raise SettingsError(
                "--tiles writes one file each, in the size of its source, to --out FOLDER; it "
                "excludes --grid, --full-size and --spread"
            )
        out, cut = out or Path("translations"), _tiles(tiles)
        done = translate_large(opened, inputs, to, out, cut, exclusive, on_error)
        typer.echo(f"wrote translations of {done} image{'s' * (done != 1)} to {out}")
        return
    out = out or Path("translation.png")
    alone = picture_format(out) is not None and not out.is_dir()
    if alone and (grid or full_size):
        raise SettingsError(f"--grid and --full-size go with a folder; --out {out} is one picture")
    outputs = TranslationOutputs(None if alone else out, out if alone else grid, full_size, spread)
    done = translate_files(opened, inputs, to, outputs, exclusive, on_error)
    written = " and ".join(str(path) for path in (outputs.folder, outputs.grid) if path)
    typer.echo(f"wrote {done} translation{'s' * (done != 1)} to {written}")
    more = f"iiae serve {run}  # the same in a browser"
    say_next(more if samples or like else f"the same with --samples 4: four looks of each; {more}")


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
    domain: Annotated[
        Domain | None, typer.Option(help="domain of the input: x or y; cells may have both")
    ] = None,
    block: Annotated[Block, typer.Option(help="shared, active, exclusive or both")] = "shared",
    batch: Annotated[int, typer.Option(min=1, help="items the model takes at once")] = 128,
    shard: Annotated[int, typer.Option(min=1, help="items lost at most when killed")] = 4096,
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
    if is_cells(source):
        if block != "shared" or engine == "ray" or on_error == "skip":
            raise SettingsError(
                "--block, --engine and --on-error are not for cells, whose copy gets all latents"
            )
        typer.echo(f"wrote {write_cells_file(load_run(run), source, out, domain=domain)}")
        return
    if out is None or domain is None:
        raise SettingsError(f"{source}: give --out, the file to write, and --domain, x or y")
    with progress_bar("embedding") as progress:
        done = embed_files(
            run, source, out, domain, block=block, batch=batch, shard=shard,
            engine=embed_on_ray(workers or 2) if engine == "ray" else embed_here,
            progress=progress, on_error=on_error,
        )  # fmt: skip
    left_out = f"; {done.failed} left out, see {done.failures}" if done.failed else ""
    typer.echo(f"wrote {done.rows} rows into {done.output}{left_out}")
    say_next(f"iiae index {run} gallery/ {source} --domain {domain}  # to search them")
