"""Sharing runs: on the Hugging Face Hub, in a folder, as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from iiae.commands.common import RunFolder, in_shell, path_of, say_next


def push(
    run: RunFolder,
    target: Annotated[str, typer.Argument(help="folder, or hf://owner/name")],
    private: Annotated[bool, typer.Option("--private", help="if the repository is new")] = False,
) -> None:
    """Share a run with a model card: in a folder, or on the Hugging Face Hub.

    Example: iiae push runs/mine hf://ada/maps
    """
    from iiae.hub import push as push_run

    typer.echo(f"pushed to {push_run(run, target, private)}")
    say_next(f"iiae pull {in_shell(target)} runs/copy  # as others get it")


def pull(
    source: Annotated[str, typer.Argument(help="folder, or hf://owner/name[@revision]")],
    out: Annotated[Path, typer.Argument(help="run folder to write", parser=path_of("OUT"))],
) -> None:
    """Fetch a run that somebody shared.

    Example: iiae pull hf://ada/maps runs/maps
    """
    from iiae.hub import pull as pull_run

    typer.echo(f"wrote {pull_run(source, out).folder}")
    say_next(f"iiae serve {in_shell(out)}  # or: iiae translate, iiae index")


def export(
    run: RunFolder,
    folder: Annotated[Path, typer.Argument(help="folder to write", parser=path_of("FOLDER"))],
    kind: Annotated[
        Literal["onnx", "torch"], typer.Option("--format", help="onnx, or torch for .pt2")
    ] = "onnx",
    bits: Annotated[
        Literal["8", "16"], typer.Option(help="of images that are no RGB; RGB has 8")
    ] = "8",
) -> None:
    """Write encoders and decoders as ONNX, or as torch.export programs, that take files' pixels.

    Example: iiae export runs/mine exported/ --format torch
    """
    from iiae.inference.export import export_onnx, export_torch
    from iiae.run_folder import load_run

    written = (export_onnx if kind == "onnx" else export_torch)(load_run(run), folder, int(bits))
    typer.echo(f"wrote {written}")
    say_next("docs/sharing.md has how other programs call them")
