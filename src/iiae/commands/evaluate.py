"""Measures of a run, or of vectors and latents from elsewhere; a page of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from iiae.commands.common import (
    MOST_SEED,
    AsJson,
    Overrides,
    PartOption,
    RunFolder,
    in_shell,
    names_of,
    open_run,
    path_of,
    say_next,
    show_tables,
    show_verdicts,
)
from iiae.errors import SettingsError

Distance = Literal["cosine", "euclidean", "hamming"]


def evaluate(
    run: RunFolder,
    split: PartOption = "test",
    degrade: Annotated[
        bool,
        typer.Option("--degrade", help="retrieve degraded copies of the images too"),
    ] = False,
    as_json: AsJson = False,
    overrides: Overrides = None,
) -> None:
    """Retrieval with its chance line, probes, bound terms in nats; kept in metrics.json.

    Example: iiae evaluate runs/mine --split validation
    """
    from iiae.files.atomic import json_text
    from iiae.report.result_tables import result_tables
    from iiae.report.verdict import run_verdict

    changed = [*(overrides or []), *["evaluation.degrade=true"] * degrade]
    opened = open_run(run, changed)
    evaluation = opened.evaluate(split)
    if as_json:
        typer.echo(json_text(evaluation, indent=2))
        return
    show_verdicts(run_verdict(run, **{split: evaluation}), names_of(opened))
    show_tables(result_tables(evaluation), names_of(opened))
    say_next(f"iiae disentangle {in_shell(run)}  # what went where, and what leaked")


def disentangle(
    run: Annotated[Path | None, typer.Argument(help="run folder, as iiae train writes it")] = None,
    latents: Annotated[
        Path | None, typer.Option(help="instead of a run: .npz with z_x, z_s, z_y")
    ] = None,
    factors: Annotated[
        Path | None, typer.Option(help=".csv with a column name:block (shared, x, y) a factor")
    ] = None,
    split: PartOption = "test",
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MOST_SEED,
            help="random seed of folds, permutations and small networks, for --latents; of a run: "
            "--set evaluation.seed",
        ),
    ] = None,
    null: Annotated[
        int,
        typer.Option(
            min=0,
            help="number of short copies to train on shuffled pairs; 19 for p = 0.05",
        ),
    ] = 0,
    as_json: AsJson = False,
    overrides: Overrides = None,
) -> None:
    """Evidence of disentanglement: probes, leakage, swaps, dependence; kept in metrics.json.

    Example: iiae disentangle --latents z.npz --factors factors.csv
    """
    from iiae.evidence.collect import evidence_of_files
    from iiae.files.atomic import json_text
    from iiae.report.evidence_tables import evidence_tables
    from iiae.report.verdict import run_verdict

    if (run is None) == (latents is None):
        raise SettingsError("give a run folder, or --latents with --factors")
    if run is not None and (factors is not None or seed is not None):
        raise SettingsError(
            "--factors and --seed are for --latents; a run knows its factors, and its seed is "
            "--set evaluation.seed"
        )
    if latents is not None and overrides:
        raise SettingsError("--set is for a run; --latents have no settings")
    if latents is not None and null:
        raise SettingsError("--null trains copies of a run; --latents have no model")
    opened = open_run(run, overrides) if run else None
    if opened:
        evidence = opened.evidence(split, null)
    else:
        assert latents is not None
        evidence = evidence_of_files(latents, factors, seed or 0)
    if as_json:
        typer.echo(json_text(evidence, indent=2))
        return
    if run is not None:
        show_verdicts(run_verdict(run, evidence=evidence), names_of(opened))
    show_tables(evidence_tables(evidence), names_of(opened))
    if run is not None:
        say_next(f"iiae report {in_shell(run)}  # the same with pictures, as one page")


def score(
    query: Annotated[Path, typer.Option(help=".npy, one row per query")],
    gallery: Annotated[Path, typer.Option(help=".npy, one row per item")],
    query_labels: Annotated[
        Path, typer.Option(help="class of each query: .npy, or one line per query")
    ],
    gallery_labels: Annotated[Path, typer.Option(help="class of each item, likewise")],
    distance: Annotated[Distance, typer.Option(help="cosine, euclidean or hamming")] = "cosine",
    k: Annotated[list[int] | None, typer.Option(help="cut-off; may be repeated")] = None,
    as_json: AsJson = False,
) -> None:
    """Precision, recall and mean average precision of vectors of your own, by class.

    Example: iiae score --query q.npy --gallery g.npy --query-labels q.txt --gallery-labels g.txt
    """
    from iiae.evaluation.score import score_files
    from iiae.files.atomic import json_text
    from iiae.report.retrieval_tables import score_tables

    scores = score_files(
        query, gallery, query_labels, gallery_labels, tuple(k or (100, 200)), distance
    )
    if as_json:
        typer.echo(json_text(scores, indent=2))
    else:
        show_tables(score_tables(scores))


def report(
    run: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(help="file; by default report.html in RUN", parser=path_of("--out")),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="folder with both domains' images, to show hits of features",
            parser=path_of("--images"),
        ),
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Write one self-contained HTML page: settings, curves, results, pictures.

    Example: iiae report runs/mine --out mine.html
    """
    typer.echo(f"wrote {open_run(run, overrides).report(out, images)}")
    say_next(f"iiae serve {in_shell(run)}  # draw or upload, translate, search")
