"""The command line. A command is one call; torch is imported when one runs, not for --help."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from iiae.errors import IIAEError, Interrupted, RunError, SettingsError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Learn what two paired domains share and what is exclusive to each; translate and "
    "search across them.",
)

# what may be set for a run that is trained: how it is measured, and where its data lies
MEASURING = ("evaluation", "data.root", "data.x", "data.y", "data.on_error", "data.buffer")


def _path(option: str) -> Callable[[Any], Path]:
    """Reads the path of an option; pathlib would take an empty one for the current folder."""

    def read(text: Any) -> Path:
        if not str(text).strip():
            raise SettingsError(f"{option} is empty, as an unset shell variable is; give a path")
        return Path(text)

    return read


MOST_SEED = 2**32 - 1


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version as installed

        typer.echo(f"iiae {installed('iiae')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="print the version"),
    ] = False,
) -> None:
    pass


RunFolder = Annotated[Path, typer.Argument(help="run folder, as iiae train writes it")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="section.name=value; may be repeated")
]


@app.command(rich_help_panel="Learn")
def train(
    experiment: Annotated[
        Path | None, typer.Argument(help="settings file, as in experiments/")
    ] = None,
    x: Annotated[
        Path | None,
        typer.Option(
            help="x side: folder of images, .npy, or .npz with x and y", parser=_path("--x")
        ),
    ] = None,
    y: Annotated[
        Path | None,
        typer.Option(help="y side: folder of images, or .npy", parser=_path("--y")),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="folder of images with x and y side by side, or a .csv, .tsv or .parquet",
            parser=_path("--pairs"),
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="run folder to write", parser=_path("--out"))
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="continue the run in --out where it stopped")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace a run that is in --out already")
    ] = False,
    on_error: Annotated[
        str | None, typer.Option(help="where an image cannot be read: stop, or skip and list it")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Train on the pairs of a settings file, or of folders or arrays of your own."""
    from iiae.data import suggest_settings
    from iiae.run_folder import SETTINGS
    from iiae.settings import load_settings, make_settings

    if on_error:
        overrides = [*(overrides or []), f'data.on_error="{on_error}"']
    if sum(map(bool, (experiment, x, pairs))) > 1:
        raise SettingsError("give one of: a settings file, --x with --y, --pairs")
    if y and not x:
        raise SettingsError(f"--y {y}: belongs with --x; a settings file or --pairs names both")
    if resume and overwrite:
        raise SettingsError("--resume continues the run in --out, --overwrite replaces it")
    if experiment:
        settings = load_settings(experiment, overrides or [])
    elif x or pairs:
        settings = make_settings(suggest_settings(x, y, pairs), overrides or [])
    elif resume and out:
        settings = load_settings(out / SETTINGS, overrides or [])
    elif resume:
        raise SettingsError("--resume needs --out, the folder of the run to continue")
    else:
        raise SettingsError(
            "give a settings file (iiae train experiments/NAME.toml), --x with --y, or --pairs"
        )
    from iiae.training import first_process, fit  # takes seconds: after all that can be wrong

    named = experiment or x or pairs
    out = out or Path("runs") / (named.stem if named else "run")
    run = fit(settings, out, resume=resume, overwrite=overwrite)
    if first_process():
        typer.echo(f"wrote {run.folder}; next: iiae evaluate {run.folder}")


@app.command(rich_help_panel="Measure")
def evaluate(
    run: RunFolder,
    split: Annotated[str, typer.Option(help="test or validation")] = "test",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, not tables")] = False,
    overrides: Overrides = None,
) -> None:
    """Retrieval with its chance line, probes, bound terms in nats; kept in metrics.json."""
    import json

    from iiae.report.tables import result_tables

    found = _open(run, overrides).evaluate(split).as_dict()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _show(result_tables(found))


@app.command(rich_help_panel="Measure")
def disentangle(
    run: Annotated[Path | None, typer.Argument(help="run folder, as iiae train writes it")] = None,
    latents: Annotated[
        Path | None, typer.Option(help="instead of a run: .npz with z_x, z_s, z_y")
    ] = None,
    factors: Annotated[
        Path | None, typer.Option(help=".csv with a column name:block (shared, x, y) a factor")
    ] = None,
    split: Annotated[str, typer.Option(help="test or validation")] = "test",
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=MOST_SEED,
            help="of folds, permutations and small networks, for --latents; of a run: "
            "--set evaluation.seed",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, not tables")] = False,
    overrides: Overrides = None,
) -> None:
    """Evidence of disentanglement: probes, leakage, swaps, dependence; kept in metrics.json."""
    import json

    from iiae.evidence.collect import prove_files
    from iiae.report.evidence_tables import evidence_tables

    if (run is None) == (latents is None):
        raise SettingsError("give a run folder, or --latents with --factors")
    if run is not None and (factors is not None or seed is not None):
        raise SettingsError(
            "--factors and --seed are for --latents; a run knows its factors, and its seed is "
            "--set evaluation.seed"
        )
    if latents is not None and overrides:
        raise SettingsError("--set is for a run; --latents have no settings")
    if run is not None:
        found = _open(run, overrides).evidence(split)
    else:
        assert latents is not None
        found = prove_files(latents, factors, seed or 0)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _show(evidence_tables(found))


@app.command(rich_help_panel="Learn")
def sweep(
    experiment: Annotated[Path, typer.Argument(help="settings file, as in experiments/")],
    out: Annotated[
        Path,
        typer.Option(help="folder to write, with a run folder each", parser=_path("--out")),
    ],
    over: Annotated[
        list[str] | None,
        typer.Option(help="section.name=value,value: a setting to vary; may be repeated"),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="values of training.seed, as in 0,1,2")] = None,
    processes: Annotated[int, typer.Option(min=1, help="runs at a time")] = 2,
) -> None:
    """Train and evaluate every combination of some settings; repeat the command to go on."""
    from rich.console import Console
    from rich.progress import Progress

    from iiae.sweep.pareto import sweep_table
    from iiae.sweep.run import sweep as run_sweep

    chosen = [_whole("--seeds", text) for text in seeds.split(",")] if seeds is not None else []
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("runs", total=None)
        found = run_sweep(
            experiment, over or [], out, chosen, processes,
            progress=lambda count, total: bar.update(task, completed=count, total=total),
        )  # fmt: skip
    _show([sweep_table(found.rows)])
    written = f"{found.results}{f' and {found.picture}' if found.picture else ''}"
    typer.echo(f"wrote {written}")
    if all(row["status"] == "failed" for row in found.rows):
        raise RunError(f"{out}: every run failed: {found.rows[0]['message']}")


@app.command(rich_help_panel="Use")
def translate(
    run: RunFolder,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help="images or folders of them; .npy for feature models", parser=_path("an input")
        ),
    ],
    to: Annotated[str, typer.Option(help="domain to translate to: x or y")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="grid, if it ends as an image does, else a folder for one file each; .npy for "
            "features; translation.png or translation.npy by default",
            parser=_path("--out"),
        ),
    ] = None,
    grid: Annotated[
        Path | None,
        typer.Option(help="a grid of the first 16, beside the folder", parser=_path("--grid")),
    ] = None,
    like: Annotated[
        list[Path] | None,
        typer.Option(help="take the exclusive latent from this sample of domain --to"),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, help="draw the exclusive latent so often; at most 1,000 times")
    ] = 0,
    interpolate: Annotated[
        int, typer.Option(min=0, help="so many steps between two --like, or between two draws")
    ] = 0,
    spread: Annotated[
        bool, typer.Option("--spread", help="add a heat map of the draws' spread at each pixel")
    ] = False,
    full_size: Annotated[
        bool, typer.Option("--full-size", help="enlarge results to the size of their source")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="of the draws")] = 0,
    on_error: Annotated[
        str, typer.Option(help="where an image cannot be read: stop, or skip and list it")
    ] = "stop",
) -> None:
    """Show the content of samples in the other domain."""
    from iiae.files.pictures import picture_format
    from iiae.inference.translate import Exclusive, Outputs, translate_array, translate_files
    from iiae.run_folder import load_run

    _one_of("--to", to, ("x", "y"))
    _one_of("--on-error", on_error, ("stop", "skip"))
    if samples and (like or interpolate):
        raise SettingsError("--samples excludes --like and --interpolate: draws, or given latents")
    opened = load_run(run)
    exclusive = Exclusive(tuple(like or ()), samples, interpolate, seed)
    if len(opened.shapes[0]) == 1:
        if grid or full_size or spread or on_error != "stop":
            raise SettingsError(
                "--grid, --full-size, --spread and --on-error are for images, not for features"
            )
        out = out or Path("translation.npy")
        typer.echo(f"wrote {translate_array(opened, inputs, to, out, exclusive)}")  # pyright: ignore[reportArgumentType]
        return
    out = out or Path("translation.png")
    alone = picture_format(out) is not None and not out.is_dir()
    if alone and (grid or full_size):
        raise SettingsError(f"--grid and --full-size go with a folder; --out {out} is one picture")
    outputs = Outputs(None if alone else out, out if alone else grid, full_size, spread)
    done = translate_files(opened, inputs, to, outputs, exclusive, on_error)  # pyright: ignore[reportArgumentType]
    written = " and ".join(str(path) for path in (outputs.folder, outputs.grid) if path)
    typer.echo(f"wrote {done} translation{'s' * (done != 1)} to {written}")


@app.command(rich_help_panel="Features of images")
def features(
    images: Annotated[
        Path, typer.Argument(help="folder: domain/class/image, class/image, or images")
    ],
    backbone: Annotated[
        str, typer.Option(help="folder or hub name of a transformers vision model")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help=".npz to write", parser=_path("--out"))
    ] = Path("features.npz"),
    cache: Annotated[
        Path | None, typer.Option(help="folder of kept features", parser=_path("--cache"))
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="images a step")] = 64,
    on_error: Annotated[
        str, typer.Option(help="where an image cannot be read: stop, or skip and list it")
    ] = "stop",
) -> None:
    """Features of image folders from a pretrained vision model; goes on where it stopped."""
    from iiae.features.backbone import load_backbone
    from iiae.features.extract import extract_features

    _one_of("--on-error", on_error, ("stop", "skip"))
    counts = extract_features(images, load_backbone(backbone), out, cache, batch, on_error)  # pyright: ignore[reportArgumentType]
    typer.echo(f"wrote {out}: {', '.join(f'{n:,} of {name}' for name, n in counts.items())}")


@app.command(rich_help_panel="Features of images")
def head(
    features: Annotated[
        Path, typer.Argument(help=".npz of features with classes, or the authors' folder of them")
    ],
    split: Annotated[
        str | None, typer.Option(help="unseen classes, as data.split; the authors' files say them")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help=".npz to write", parser=_path("--out"))
    ] = Path("head.npz"),
    size: Annotated[int, typer.Option(min=2, help="of the new features")] = 512,
    validation: Annotated[int, typer.Option(min=1, help="seen classes held out")] = 10,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="of weights and draws")] = 0,
) -> None:
    """Train a classifier of the seen classes on features; write its hidden layer as features."""
    from iiae.features.supervised import HeadSettings, train_head
    from iiae.settings import data_settings

    data = data_settings(name="classes", root=str(features), split=split, validation=validation)
    quality = train_head(data, out, HeadSettings(size=size, seed=seed))
    typer.echo(f"wrote {out}; held-out seen classes: mAP@all {quality:.4f}")


@app.command(rich_help_panel="Features of images")
def finetune(
    images: Annotated[Path, typer.Argument(help="folder: domain/class/image")],
    backbone: Annotated[
        str, typer.Option(help="folder or hub name of a transformers vision model")
    ],
    split: Annotated[str, typer.Option(help="unseen classes, as data.split")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="folder to write", parser=_path("--out"))
    ] = Path("backbone"),
    epochs: Annotated[int, typer.Option(min=1, help="passes over the images")] = 4,
    side: Annotated[int, typer.Option(min=32, help="side of images, in pixels")] = 128,
    frozen: Annotated[
        float, typer.Option(min=0, max=0.99, help="share of the model's first tensors left alone")
    ] = 0.0,
    mixup: Annotated[
        float, typer.Option(min=0, help="mix two images by Beta(mixup, mixup); 0: none")
    ] = 0.0,
    validation: Annotated[int, typer.Option(min=1, help="seen classes held out")] = 10,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED, help="of weights and draws")] = 0,
) -> None:
    """Fine-tune a vision model on the seen classes of both domains."""
    from iiae.features.backbone import load_backbone
    from iiae.features.supervised import TuneSettings
    from iiae.features.supervised import finetune as tune
    from iiae.files.atomic import refuse_inputs
    from iiae.settings import data_settings

    refuse_inputs([out], [Path(backbone), images])
    data = data_settings(name="classes", root=str(images), split=split, validation=validation)
    settings = TuneSettings(epochs, side=side, frozen=frozen, mixup=mixup, seed=seed)
    tuned = tune(data, load_backbone(backbone), out, settings)
    typer.echo(
        f"wrote {out}: {tuned.share:.0%} of the way from the pretrained weights to the tuned ones, "
        f"images of {tuned.side} pixels; held-out seen classes: mAP@all {tuned.quality:.4f}"
    )


@app.command(rich_help_panel="Measure")
def score(
    query: Annotated[Path, typer.Option(help=".npy, a row a query")],
    gallery: Annotated[Path, typer.Option(help=".npy, a row an item")],
    query_labels: Annotated[Path, typer.Option(help="class of each query: .npy, or a line each")],
    gallery_labels: Annotated[Path, typer.Option(help="class of each item, likewise")],
    distance: Annotated[str, typer.Option(help="cosine, euclidean or hamming")] = "cosine",
    k: Annotated[list[int] | None, typer.Option(help="cut-off; may be repeated")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, not tables")] = False,
) -> None:
    """Precision, recall and mean average precision of vectors of your own, by class."""
    from iiae.evaluation.score import score_files
    from iiae.files.atomic import json_text
    from iiae.report.tables import score_tables

    found = score_files(
        query, gallery, query_labels, gallery_labels, tuple(k or (100, 200)), distance
    )
    if as_json:
        typer.echo(json_text(found, indent=2))
    else:
        _show(score_tables(found))


@app.command(rich_help_panel="Measure")
def report(
    run: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(help="file; by default report.html in RUN", parser=_path("--out")),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="folder with both domains' images, to show hits of features")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Write one self-contained HTML page: settings, curves, results, pictures."""

    typer.echo(f"wrote {_open(run, overrides).report(out, images)}")


@app.command(rich_help_panel="Look up")
def data(
    name: Annotated[str | None, typer.Argument(help="data set; none lists them")] = None,
    root: Annotated[
        Path | None, typer.Option(help="folder for its files", parser=_path("--root"))
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="write test pairs as PNGs here", parser=_path("--export"))
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="how many pairs to write; 16 by default")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="side of the images written; 32 by default")
    ] = None,
) -> None:
    """List data sets, fetch the files of one, or look at its pairs."""
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


@app.command(rich_help_panel="Use")
def embed(
    run: RunFolder,
    source: Annotated[
        str, typer.Option("--input", help="folder or URL of images, or .npy of features")
    ],
    output: Annotated[
        Path,
        typer.Option(
            help=".parquet, .npz, or .npy with its paths beside it", parser=_path("--output")
        ),
    ],
    domain: Annotated[str, typer.Option(help="domain of the input: x or y")],
    block: Annotated[str, typer.Option(help="shared, active, exclusive or both")] = "shared",
    batch: Annotated[int, typer.Option(min=1, help="items the model takes at once")] = 128,
    shard: Annotated[int, typer.Option(min=1, help="items lost at most when killed")] = 4096,
    engine: Annotated[str, typer.Option(help="local, or ray for many processes")] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="processes of --engine ray; 2 by default")
    ] = None,
) -> None:
    """Write the latents of many files, a row each; repeat the command to go on after a stop."""
    from rich.console import Console
    from rich.progress import Progress

    from iiae.inference.embed import embed_files, embed_here
    from iiae.inference.ray import embed_on_ray

    side = _one_of("--domain", domain, ("x", "y"))
    _one_of("--engine", engine, ("local", "ray"))
    if workers and engine == "local":
        raise SettingsError(f"--workers {workers}: is for --engine ray")
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("embedding", total=None)
        done = embed_files(
            run, source, output, side, block=block, batch=batch, shard=shard,
            engine=embed_on_ray(workers or 2) if engine == "ray" else embed_here,
            progress=lambda count, total: bar.update(task, completed=count, total=total),
        )  # fmt: skip
    left_out = f"; {done.failed} left out, see {done.failures}" if done.failed else ""
    typer.echo(f"wrote {done.rows} rows into {done.output}{left_out}")


@app.command(rich_help_panel="Share")
def push(
    run: RunFolder,
    target: Annotated[str, typer.Argument(help="folder, or hf://owner/name")],
    private: Annotated[bool, typer.Option("--private", help="if the repository is new")] = False,
) -> None:
    """Share a run with a model card: in a folder, or on the Hugging Face Hub."""
    from iiae.hub import push as push_run

    typer.echo(f"pushed to {push_run(run, target, private)}")


@app.command(rich_help_panel="Share")
def pull(
    source: Annotated[str, typer.Argument(help="folder, or hf://owner/name[@revision]")],
    out: Annotated[Path, typer.Argument(help="run folder to write", parser=_path("OUT"))],
) -> None:
    """Fetch a run that somebody shared."""
    from iiae.hub import pull as pull_run

    typer.echo(f"wrote {pull_run(source, out).folder}")


@app.command(rich_help_panel="Share")
def export(
    run: RunFolder,
    folder: Annotated[Path, typer.Argument(help="folder to write", parser=_path("FOLDER"))],
    kind: Annotated[str, typer.Option("--format", help="onnx, or torch for .pt2")] = "onnx",
) -> None:
    """Write encoders and decoders as ONNX, or as torch.export programs."""
    from iiae.inference.export import export_onnx, export_torch
    from iiae.run_folder import load_run

    _one_of("--format", kind, ("onnx", "torch"))
    written = (export_onnx if kind == "onnx" else export_torch)(load_run(run), folder)
    typer.echo(f"wrote {written}")


@app.command(rich_help_panel="Look up")
def settings() -> None:
    """List every setting, its default and what it does."""
    from iiae.settings import describe_settings

    for name, default, text in describe_settings():
        typer.echo(f"{name:34}{default:12}{text}")


@app.command(rich_help_panel="Search")
def index(
    run: RunFolder,
    gallery: Annotated[str, typer.Argument(help="folder or URL of the gallery; made if missing")],
    inputs: Annotated[
        list[Path], typer.Argument(help="images or folders of them; .npy or .npz of features")
    ],
    domain: Annotated[str, typer.Option(help="domain of the inputs: x or y")],
    distance: Annotated[
        str | None, typer.Option(help="euclidean (default) or cosine; fixed at the first call")
    ] = None,
    metadata: Annotated[
        Path | None, typer.Option(help="CSV with a column path and others to store")
    ] = None,
    active_only: Annotated[
        bool, typer.Option("--active-only", help="store only active dimensions of z_s")
    ] = False,
) -> None:
    """Put a collection into a gallery that can be searched; what it holds already is skipped."""
    from iiae.run_folder import load_run
    from iiae.search.index import index_files

    side = _one_of("--domain", domain, ("x", "y"))
    done = index_files(load_run(run), gallery, inputs, side, distance, metadata, active_only)
    for line in done.failed:
        typer.echo(f"skipped: {line}", err=True)
    typer.echo(
        f"{gallery}: {done.added:,} added, {done.replaced:,} replaced, {done.unchanged:,} "
        f"unchanged, {len(done.failed):,} skipped; {done.total:,} items, {done.method}"
    )
    if metadata and done.unmatched:
        typer.echo(
            f"{done.unmatched:,} of {done.described:,} rows of {metadata} name no indexed file; "
            "paths in it are relative to its folder"
        )


@app.command(rich_help_panel="Search")
def search(
    run: RunFolder,
    gallery: Annotated[str, typer.Argument(help="folder or URL, as iiae index writes it")],
    queries: Annotated[list[Path], typer.Argument(help="images or folders; .npy of features")],
    top: Annotated[int, typer.Option(help="hits a query")] = 10,
    source: Annotated[
        str | None, typer.Option("--from", help="domain of the queries: x or y")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="SQL condition, as in \"label = 'cat' AND year > 2000\"")
    ] = None,
    by: Annotated[str, typer.Option(help="latent to compare: shared or exclusive")] = "shared",
    vectors: Annotated[bool, typer.Option("--vectors", help="queries are latents already")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, not tables")] = False,
) -> None:
    """Find the items of a gallery nearest to queries, by default from the other domain."""
    from iiae.files.atomic import json_text
    from iiae.report.tables import hit_tables
    from iiae.run_folder import load_run
    from iiae.search.index import search_files

    latent = _one_of("--by", by, ("shared", "exclusive"))
    side = None if source is None else _one_of("--from", source, ("x", "y"))
    names, found, failed = search_files(
        load_run(run), gallery, queries, top, side, where, latent, vectors
    )  # fmt: skip
    for line in failed:
        typer.echo(f"skipped: {line}", err=True)
    if as_json:
        results = [{"query": q, "hits": h} for q, h in zip(names, found.hits, strict=True)]
        answer = {"method": found.method, "results": results, "skipped": failed}
        typer.echo(json_text(answer, indent=2))
    else:
        rows = [[(h.distance, h.label or "", h.path) for h in some] for some in found.hits]
        _show(hit_tables(names, rows, found.method))


@app.command("gallery", rich_help_panel="Search")
def show_gallery(
    gallery: Annotated[str, typer.Argument(help="folder or URL, as iiae index writes it")],
    delete: Annotated[
        list[str] | None, typer.Option(help="remove this file, or all of a folder; repeatable")
    ] = None,
) -> None:
    """Say what a gallery holds, or remove items from it."""
    from iiae.search.collection import absolute
    from iiae.search.gallery import Gallery

    opened = Gallery.open(gallery)
    if delete:
        count = opened.delete([absolute(path) for path in delete])
        typer.echo(f"{gallery}: {count:,} removed")
    for name, value in {"items": len(opened), **opened.info._asdict()}.items():
        typer.echo(f"{name:12}{value}")
    typer.echo(f"{'metadata':12}{', '.join(opened.columns) or 'none'}")


@app.command(rich_help_panel="Search")
def serve(
    run: RunFolder,
    gallery: Annotated[
        str | None, typer.Option(help="folder or URL of a gallery to search")
    ] = None,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    token: Annotated[
        str | None,
        typer.Option(envvar="IIAE_TOKEN", help="bearer token that requests must carry"),
    ] = None,
) -> None:
    """Serve an API and a page: draw or upload, search, translate."""
    from iiae.run_folder import load_run
    from iiae.web.serving import serve as start

    start(load_run(run), gallery, host, port, token)


def main() -> None:
    """Runs a command; what a user can mend is one line and exit code 2.

    A fault of the program is one line too; `IIAE_TRACEBACK=1` shows where it arose.
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
        sys.exit(2)
    except Exception as error:
        if os.environ.get("IIAE_TRACEBACK"):
            raise
        text = " ".join(str(error).split())[:300]
        typer.echo(
            f"a fault of iiae: {type(error).__name__}: {text}; please report it with the output "
            "of the same command under IIAE_TRACEBACK=1",
            err=True,
        )
        sys.exit(1)


def _open(folder: Path, overrides: list[str] | None) -> Any:
    """An `iiae.Run`, with settings of measurement changed for this command alone."""
    from iiae.run import Run
    from iiae.run_folder import SETTINGS, load_run
    from iiae.settings import check_overrides, load_settings

    check_overrides(overrides or [], MEASURING)
    stored = load_run(folder)
    return Run(stored._replace(settings=load_settings(folder / SETTINGS, overrides or [])))


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise SettingsError(f"{option} {value}: is {' or '.join(allowed)}")
    return value


def _whole(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise SettingsError(f"{option} {text}: is not a whole number") from error


def _show(tables: list[Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    for table in tables:
        shown = Table(title=table.title, title_justify="left", caption_justify="left")
        for i, column in enumerate(table.columns):
            shown.add_column(escape(column), justify="left" if i == 0 else "right")
        for row in table.rows:
            shown.add_row(*map(escape, row))
        if table.columns:
            console.print(shown)
        console.print(escape(table.note), style="dim", highlight=False)
        console.print()
