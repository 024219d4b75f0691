"""Training: one run, or every combination of some settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iiae.commands.common import (
    OnError,
    Overrides,
    in_shell,
    path_of,
    place_of,
    progress_bar,
    say_next,
    show_tables,
)
from iiae.errors import RunError, SettingsError

if TYPE_CHECKING:
    from iiae.settings import Settings


def train(
    experiment: Annotated[
        Path | None, typer.Argument(help="settings file, as in experiments/")
    ] = None,
    x: Annotated[
        str | None,
        typer.Option(
            help="x side: folder or URL of images, array or table of numbers, .npz with x and y, "
            "or cells.h5ad:layer; of cells in --pairs a place, as in rna:counts, of a table there "
            "a column",
            parser=place_of("--x"),
        ),
    ] = None,
    y: Annotated[
        str | None,
        typer.Option(
            help="y side: folder or URL of images, array or table of numbers; of cells in --pairs "
            "a place, as in protein or obsm:panel, of a table there a column",
            parser=place_of("--y"),
        ),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            help="folder or URL of images with x and y side by side, a .csv, .tsv or .parquet, or "
            "cells (.h5mu, .h5ad)",
            parser=place_of("--pairs"),
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="run folder to write", parser=path_of("--out"))
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="continue the run in --out where it stopped")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace a run that is in --out already")
    ] = False,
    on_error: Annotated[
        OnError | None, typer.Option(help="if a sample cannot be read: stop, or skip and list it")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Train on the pairs of a settings file, or of folders or arrays of your own.

    Example: iiae train --x left/ --y right/ --out runs/mine
    """
    if on_error:
        overrides = [*(overrides or []), f'data.on_error="{on_error}"']
    if resume and overwrite:
        raise SettingsError(
            "--resume continues the run in --out, --overwrite replaces it; give one of them"
        )
    settings = _settings(experiment, x, y, pairs, out, resume, overrides or [])
    from iiae.training import first_process, fit  # takes seconds: after all that can be wrong

    named = experiment or pairs or x or settings.data.name
    out = out or Path("runs") / Path(named).stem
    run = fit(settings, out, resume=resume, overwrite=overwrite)
    if first_process():
        typer.echo(f"wrote {run.folder}")
        folder = in_shell(run.folder)
        say_next(f"iiae evaluate {folder}  # does it find the partners of held-out pairs?")


def _settings(
    experiment: Path | None,
    x: str | None,
    y: str | None,
    pairs: str | None,
    out: Path | None,
    resume: bool,
    overrides: list[str],
) -> Settings:
    """Settings of a file, suggested for pairs, or of the run to resume.

    Raises:
        SettingsError: None of these is named, or several are.
    """
    from iiae.data import suggest_settings
    from iiae.data.suggest import suggest_settings_named
    from iiae.files.cells import is_cells
    from iiae.files.tables import is_table
    from iiae.run_folder import SETTINGS
    from iiae.settings import load_settings, make_settings

    if experiment and "=" in experiment.name and not experiment.is_file():
        raise SettingsError(f"{experiment} is not a file; did you mean --set {experiment}?")
    # then x and y are places or columns in it
    named = bool(pairs) and (is_cells(pairs) or is_table(Path(pairs)))
    if sum(map(bool, (experiment, x and not named, pairs))) > 1:
        raise SettingsError("give one of: a settings file, --x with --y, --pairs")
    if y and not x and not named:
        raise SettingsError(f"--y {y}: needs --x; a settings file or --pairs names both domains")
    if experiment:
        return load_settings(experiment, overrides)
    if x or pairs:
        return make_settings(suggest_settings(x, y, pairs, overrides), overrides)
    if not resume and any(text.startswith("data.name=") for text in overrides):
        return make_settings(suggest_settings_named(overrides), overrides)
    if resume and out:
        return load_settings(out / SETTINGS, overrides)
    if resume:
        raise SettingsError("--resume needs --out, the folder of the run to continue")
    raise SettingsError(
        "give a settings file (iiae train experiments/NAME.toml), --x with --y, or --pairs"
    )


def sweep(
    experiment: Annotated[Path, typer.Argument(help="settings file, as in experiments/")],
    out: Annotated[
        Path,
        typer.Option(help="folder to write, with a run folder each", parser=path_of("--out")),
    ],
    over: Annotated[
        list[str] | None,
        typer.Option(help="section.name=value,value: a setting to vary; may be repeated"),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="values of training.seed, as in 0,1,2")] = None,
    processes: Annotated[int, typer.Option(min=1, help="runs at a time")] = 2,
    select: Annotated[
        str | None,
        typer.Option(help="score without labels by which to name the best run  [default: balance]"),
    ] = None,
) -> None:
    """Train and evaluate every combination of some settings; repeat the command to resume.

    Example: iiae sweep mine.toml --over objective.lam=0,1,2 --out sweeps/lam
    """
    from iiae.sweep.pareto import sweep_table
    from iiae.sweep.rows import SCORE, check_score
    from iiae.sweep.rows import select as best_by
    from iiae.sweep.run import sweep as run_sweep

    if select is not None:
        check_score(select)
    chosen = [_whole("--seeds", text) for text in seeds.split(",")] if seeds is not None else []
    with progress_bar("runs") as progress:
        swept = run_sweep(experiment, over or [], out, chosen, processes, progress=progress)
    show_tables([sweep_table(swept.rows)])
    written = f"{swept.results}{f' and {swept.picture}' if swept.picture else ''}"
    typer.echo(f"wrote {written}")
    if all(row["status"] == "failed" for row in swept.rows):
        raise RunError(f"{out}: every run failed: {swept.rows[0]['message']}")
    score = select or SCORE
    if select or any(row.get(f"label_free_{score}") is not None for row in swept.rows):
        best = best_by(swept.rows, score)
        value = best[f"label_free_{score}"]
        typer.echo(f"most {score} on validation pairs, {value:.3f}: {out / best['run']}")
    say_next(f"iiae report {in_shell(out)}/RUN  # of one that you choose from the table")


def _whole(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise SettingsError(f"{option} {text}: must be whole numbers") from error
