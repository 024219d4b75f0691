"""The command line. A command is one call; torch is imported when one runs, not for --help."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from iiae.errors import IIAEError, Interrupted, SettingsError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Learn what two paired domains share and what is exclusive to each; translate and "
    "search across them.",
)

RunFolder = Annotated[Path, typer.Argument(help="run folder, as iiae train writes it")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="section.name=value; may be repeated")
]


@app.command()
def train(
    experiment: Annotated[
        Path | None, typer.Argument(help="settings file, as in experiments/")
    ] = None,
    x: Annotated[
        Path | None, typer.Option(help="x side: folder of images, .npy, or .npz with x and y")
    ] = None,
    y: Annotated[Path | None, typer.Option(help="y side: folder of images, or .npy")] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="folder of images with x and y side by side")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="run folder to write")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on where a run stopped")] = False,
    overrides: Overrides = None,
) -> None:
    """Train on the pairs of a settings file, or of folders or arrays of your own."""
    from iiae.data import suggest_settings
    from iiae.runs import SETTINGS
    from iiae.settings import load_settings, make_settings
    from iiae.training import first_process, fit

    if sum(map(bool, (experiment, x, pairs))) > 1:
        raise SettingsError("give one of: a settings file, --x with --y, --pairs")
    if experiment:
        settings = load_settings(experiment, overrides or [])
    elif x or pairs:
        settings = make_settings(suggest_settings(x, y, pairs), overrides or [])
    elif resume and out:
        settings = load_settings(out / SETTINGS, overrides or [])
    elif resume:
        raise SettingsError("--resume needs --out, the folder of the run to go on with")
    else:
        raise SettingsError(
            "give a settings file (iiae train experiments/NAME.toml), --x with --y, or --pairs"
        )
    named = experiment or x or pairs
    out = out or Path("runs") / (named.stem if named else "run")
    run = fit(settings, out, resume=resume)
    if first_process():
        typer.echo(f"wrote {run.folder}; next: iiae evaluate {run.folder}")


@app.command()
def evaluate(
    run: RunFolder,
    split: Annotated[str, typer.Option(help="test or validation")] = "test",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, not tables")] = False,
    overrides: Overrides = None,
) -> None:
    """Retrieval with its chance line, probes, bound terms in nats; kept in metrics.json."""
    import json

    from iiae.tables import result_tables

    found = _evaluate(_open(run, overrides), split)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _show(result_tables(found))


@app.command()
def translate(
    run: RunFolder,
    inputs: Annotated[
        list[Path], typer.Argument(help="images or folders of them; .npy for feature models")
    ],
    to: Annotated[str, typer.Option(help="domain to translate to: x or y")],
    out: Annotated[
        Path, typer.Option(help="grid as .png, or a folder for one file each; .npy for features")
    ] = Path("translation.png"),
    like: Annotated[
        Path | None, typer.Option(help="take the exclusive latent from this sample of domain --to")
    ] = None,
    samples: Annotated[int, typer.Option(min=0, help="draw the exclusive latent so often")] = 0,
    seed: Annotated[int, typer.Option(help="of the draws")] = 0,
) -> None:
    """Show the content of samples in the other domain."""
    from iiae.runs import load_run
    from iiae.translating import translate_files

    if to not in ("x", "y"):
        raise SettingsError(f"--to {to}: is x or y")
    if like and samples:
        raise SettingsError("--like and --samples exclude each other: a reference, or draws")
    written = translate_files(load_run(run), inputs, to, out, like, samples, seed)
    typer.echo(f"wrote {written}")


@app.command()
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
    import json

    from iiae.scoring import score_files
    from iiae.tables import score_tables

    found = score_files(
        query, gallery, query_labels, gallery_labels, tuple(k or (100, 200)), distance
    )
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _show(score_tables(found))


@app.command()
def report(
    run: RunFolder,
    out: Annotated[Path | None, typer.Option(help="file; by default report.html in RUN")] = None,
    overrides: Overrides = None,
) -> None:
    """Write one self-contained HTML page: settings, curves, results, pictures."""
    from iiae.data import load
    from iiae.report import write_report
    from iiae.runs import load_metrics

    opened = _open(run, overrides)
    if "test" not in load_metrics(run):
        _evaluate(opened, "test")
    pairs = load(opened.settings.data).test
    typer.echo(f"wrote {write_report(opened, pairs, out or run / 'report.html')}")


@app.command()
def data(
    name: Annotated[str | None, typer.Argument(help="data set; none lists them")] = None,
    root: Annotated[Path | None, typer.Option(help="folder for its files")] = None,
    export: Annotated[Path | None, typer.Option(help="write test pairs as PNGs here")] = None,
    count: Annotated[int, typer.Option(min=1, help="how many pairs to write")] = 16,
    size: Annotated[int, typer.Option(help="side of the images written")] = 32,
) -> None:
    """List data sets, fetch the files of one, or look at its pairs."""
    from iiae.data import DATASETS, export_pairs, fetch, load
    from iiae.settings import DataSettings

    if name is None:
        for known, loader in DATASETS.items():
            typer.echo(f"{known:14}{(loader.__doc__ or '').splitlines()[0]}")
        return
    if export is None:
        typer.echo(fetch(name, root))
        return
    settings = DataSettings(name=name, root=str(root) if root else None, size=size)  # pyright: ignore[reportCallIssue]
    export_pairs(load(settings).test, export, count)
    typer.echo(f"wrote {count} pairs into {export / 'x'} and {export / 'y'}")


@app.command()
def embed(
    run: RunFolder,
    source: Annotated[Path, typer.Option("--input", help="folder of images, or .npy of features")],
    output: Annotated[Path, typer.Option(help=".parquet, .npz, or .npy with its paths beside it")],
    domain: Annotated[str, typer.Option(help="domain of the input: x or y")],
    block: Annotated[str, typer.Option(help="shared, active, exclusive or both")] = "shared",
    batch: Annotated[int, typer.Option(min=1, help="items the model takes at once")] = 128,
    shard: Annotated[int, typer.Option(min=1, help="items lost at most when killed")] = 4096,
    engine: Annotated[str, typer.Option(help="local, or ray for many processes")] = "local",
    workers: Annotated[int, typer.Option(min=1, help="processes of --engine ray")] = 2,
) -> None:
    """Write the latents of many files, a row each; repeat the command to go on after a stop."""
    from rich.console import Console
    from rich.progress import Progress

    from iiae.bulk import embed_on_ray
    from iiae.embedding import embed_files, embed_here

    if domain not in ("x", "y"):
        raise SettingsError(f"--domain {domain}: is x or y")
    if engine not in ("local", "ray"):
        raise SettingsError(f"--engine {engine}: is local or ray")
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("embedding", total=None)
        done = embed_files(
            run, source, output, domain, block=block, batch=batch, shard=shard,
            engine=embed_on_ray(workers) if engine == "ray" else embed_here,
            progress=lambda count, total: bar.update(task, completed=count, total=total),
        )  # fmt: skip
    left_out = f"; {done.failed} left out, see {done.failures}" if done.failed else ""
    typer.echo(f"wrote {done.rows} rows into {done.output}{left_out}")


@app.command()
def push(
    run: RunFolder,
    target: Annotated[str, typer.Argument(help="folder, or hf://owner/name")],
    private: Annotated[bool, typer.Option("--private", help="if the repository is new")] = False,
) -> None:
    """Share a run with a model card: in a folder, or on the Hugging Face Hub."""
    from iiae.sharing import push as push_run

    typer.echo(f"pushed to {push_run(run, target, private)}")


@app.command()
def pull(
    source: Annotated[str, typer.Argument(help="folder, or hf://owner/name[@revision]")],
    out: Annotated[Path, typer.Argument(help="run folder to write")],
) -> None:
    """Fetch a run that somebody shared."""
    from iiae.sharing import pull as pull_run

    typer.echo(f"wrote {pull_run(source, out).folder}")


@app.command()
def export(
    run: RunFolder,
    folder: Annotated[Path, typer.Argument(help="folder to write")],
    kind: Annotated[str, typer.Option("--format", help="onnx, or torch for .pt2")] = "onnx",
) -> None:
    """Write encoders and decoders as ONNX, or as torch.export programs."""
    from iiae.exporting import export_onnx, export_torch
    from iiae.runs import load_run

    if kind not in ("onnx", "torch"):
        raise SettingsError(f"--format {kind}: is onnx or torch")
    written = (export_onnx if kind == "onnx" else export_torch)(load_run(run), folder)
    typer.echo(f"wrote {written}")


@app.command()
def settings() -> None:
    """List every setting, its default and what it does."""
    from iiae.settings import describe_settings

    for name, default, text in describe_settings():
        typer.echo(f"{name:34}{default:12}{text}")


def main() -> None:
    """Runs a command; what a user can mend is one line and exit code 2."""
    try:
        app()
    except Interrupted as error:
        typer.echo(str(error), err=True)
        sys.exit(130)
    except IIAEError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(2)


def _open(folder: Path, overrides: list[str] | None) -> Any:
    """A run, with settings changed for this command alone."""
    from iiae.runs import SETTINGS, load_run
    from iiae.settings import load_settings

    run = load_run(folder)
    return run._replace(settings=load_settings(folder / SETTINGS, overrides or []))


def _evaluate(run: Any, split: str) -> dict[str, Any]:
    from iiae.data import load
    from iiae.evaluation import evaluate
    from iiae.runs import save_metrics

    if split not in ("test", "validation"):
        raise SettingsError(f"--split {split}: is test or validation")
    pairs = getattr(load(run.settings.data), split)
    found = evaluate(run, pairs, split).as_dict()
    save_metrics(run.folder, split, found)
    return found


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
