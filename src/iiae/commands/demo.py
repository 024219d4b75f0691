"""The whole workflow on bundled digits: train, measure, translate, report, index; one process."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iiae.commands.common import Overrides, in_shell, names_of, path_of, say_next, show_verdicts

if TYPE_CHECKING:
    from iiae.run import Run

SETTINGS = "digits-cdcb.toml"
MADE = ("samples", "collection", "gallery")  # folders in the run's
SHOWN = 8  # pairs that are translated as pictures


def demo(
    out: Annotated[Path, typer.Option(help="run folder to write", parser=path_of("--out"))] = Path(
        "runs/demo"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace a run that is in --out already")
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Train on bundled digits, measure, translate, write a report and a gallery to search.

    Example: iiae demo --out runs/demo
    """
    from iiae.report.verdict import run_verdict
    from iiae.run import Run
    from iiae.settings import load_settings
    from iiae.training import fit

    run = Run(fit(load_settings(_experiment(), overrides or []), out, overwrite=overwrite))
    typer.echo("measuring on held-out pairs: retrieval, probes, leakage, nats ...", err=True)
    run.evaluate()
    run.evidence()
    report = run.report()
    _make_files(run)
    show_verdicts(run_verdict(out), names_of(run))
    typer.echo(f"wrote {report} and {run.folder / 'translation.png'}")
    gallery = in_shell(out / "gallery")
    say_next(f"iiae serve {in_shell(out)} --gallery {gallery}  # draw a digit, search, translate")


def _experiment() -> Path:
    """The demo's settings: beside the installed package, or in the source tree."""
    package = Path(__file__).parents[1]
    installed = package / SETTINGS
    return installed if installed.is_file() else package.parents[1] / "experiments" / SETTINGS


def _make_files(run: Run) -> None:
    """Some translations, and the gallery of held-out digits of y, one folder per digit."""
    from iiae.data import export_pairs, load
    from iiae.inference.translate import ExclusiveSource, TranslationOutputs, translate_files

    pairs = load(run.settings.data).test
    samples, collection, gallery = (run.folder / name for name in MADE)
    for place in (samples, collection, gallery):  # of a run that was replaced
        shutil.rmtree(place, ignore_errors=True)
    export_pairs(pairs, samples, SHOWN)
    export_pairs(pairs, collection, len(pairs), by="digit")
    outputs = TranslationOutputs(None, run.folder / "translation.png")
    translate_files(run, [str(samples / "x")], "y", outputs, ExclusiveSource(samples=4))
    run.index(collection / "y", "y", gallery)
