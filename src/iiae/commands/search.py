"""Search across domains: the gallery, its queries, its server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from iiae.commands.common import (
    DOMAIN,
    AsJson,
    ColumnsOption,
    Inputs,
    OnErrorOption,
    RunFolder,
    domain_of,
    in_shell,
    path_of,
    place_of,
    say_next,
    show_tables,
)

GalleryFolder = Annotated[
    str,
    typer.Argument(help="folder or URL, as iiae index writes it", parser=place_of("GALLERY")),
]
Root = Annotated[
    Path | None,
    typer.Option(
        help="folder of the gallery's files, if they were moved", parser=path_of("--root")
    ),
]


def index(
    run: RunFolder,
    gallery: Annotated[
        str,
        typer.Argument(
            help="folder or URL of the gallery; made if missing", parser=place_of("GALLERY")
        ),
    ],
    inputs: Inputs,
    domain: Annotated[str, typer.Option(help=f"domain of the inputs: {DOMAIN}")],
    distance: Annotated[
        Literal["chosen", "euclidean", "cosine"] | None,
        typer.Option(
            help="chosen (default): as the run chose on validation pairs; euclidean (the paper's) "
            "or cosine of means; fixed at the first call"
        ),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="CSV with a column path and others to store", parser=path_of("--metadata")
        ),
    ] = None,
    active_only: Annotated[
        bool, typer.Option("--active-only", help="store only active dimensions of z_s")
    ] = False,
    columns: ColumnsOption = None,
    on_error: OnErrorOption = "stop",
) -> None:
    """Put a collection into a gallery that can be searched; unchanged items are skipped.

    Example: iiae index runs/mine gallery/ photos/ --domain y
    """
    from iiae.run_folder import load_run
    from iiae.search.index import index_files

    done = index_files(
        load_run(run).for_inference(),
        gallery,
        inputs,
        domain_of(run, domain, "--domain"),
        distance,
        metadata,
        active_only,
        on_error=on_error,
        columns=columns,
    )
    typer.echo(
        f"{gallery}: {done.added:,} added, {done.replaced:,} replaced, {done.unchanged:,} "
        f"unchanged, {len(done.failed):,} skipped; {done.total:,} items, {done.method}"
    )
    if metadata and done.unmatched:
        typer.echo(
            f"{done.unmatched:,} of {done.described:,} rows of {metadata} name no indexed sample; "
            "paths in it are relative to its folder"
        )
    folder, place = in_shell(run), in_shell(gallery)
    say_next(f"iiae serve {folder} --gallery {place}  # or: iiae search {folder} {place} QUERY")


def _weights(text: str) -> str:
    from iiae.errors import GalleryError
    from iiae.search.weights import read_weights

    try:
        read_weights(text)
    except GalleryError as error:
        raise typer.BadParameter(str(error)) from error
    return text


def search(
    run: RunFolder,
    gallery: GalleryFolder,
    queries: Inputs,
    top: Annotated[int, typer.Option(help="hits per query")] = 10,
    source: Annotated[
        str | None, typer.Option("--from", help=f"domain of the queries: {DOMAIN}")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="SQL condition, as in \"label = 'cat' AND year > 2000\"")
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            callback=_weights,
            help="latent to compare, shared or exclusive; or weights of both: "
            "shared=1,exclusive=0.5 (then --like, unless the queries are of the gallery's domain)",
        ),
    ] = "shared",
    like: Annotated[
        str | None,
        typer.Option(
            help="sample of the gallery's domain whose exclusive latent hits should have",
            parser=place_of("--like"),
        ),
    ] = None,
    root: Root = None,
    vectors: Annotated[bool, typer.Option("--vectors", help="queries are latents already")] = False,
    columns: ColumnsOption = None,
    on_error: OnErrorOption = "stop",
    as_json: AsJson = False,
) -> None:
    """Find the items of a gallery nearest to queries, by default from the other domain.

    Example: iiae search runs/mine gallery/ sketch.png --top 5
    """
    from iiae.files.atomic import json_text
    from iiae.report.retrieval_tables import hit_tables
    from iiae.run_folder import load_run
    from iiae.search.query import search_files

    domain = domain_of(run, source, "--from") if source else None
    names, answer, failed = search_files(
        load_run(run).for_inference(),
        *(gallery, queries, top, domain, where, by, vectors, on_error, like, root, columns),
    )  # fmt: skip
    if as_json:
        results = [{"query": q, "hits": h} for q, h in zip(names, answer.hits, strict=True)]
        document = {"method": answer.method, "results": results, "skipped": failed}
        typer.echo(json_text(document, indent=2))
    else:
        rows = [[(h.distance, h.label or "", h.path) for h in some] for some in answer.hits]
        show_tables(hit_tables(names, rows, answer.method))
        say_next(
            f"iiae serve {in_shell(run)} --gallery {in_shell(gallery)}  # the same with pictures"
        )


def gallery(
    gallery: GalleryFolder,
    delete: Annotated[
        list[str] | None,
        typer.Option(
            help="remove this file, or all of a folder; repeatable", parser=place_of("--delete")
        ),
    ] = None,
) -> None:
    """Print what a gallery holds, or remove items from it.

    Example: iiae gallery gallery/ --delete photos/old
    """
    from iiae.files.interface import absolute
    from iiae.search.gallery import Gallery

    opened = Gallery.open(gallery)
    if delete:
        count = opened.delete([absolute(path) for path in delete])
        typer.echo(f"{gallery}: {count:,} removed")
    for name, value in {"items": len(opened), **opened.info._asdict()}.items():
        typer.echo(f"{name:12}{value}")
    typer.echo(f"{'metadata':12}{', '.join(opened.columns) or 'none'}")
    say_next(f"iiae search RUN {in_shell(gallery)} QUERY")


def serve(
    run: RunFolder,
    gallery: Annotated[
        str | None,
        typer.Option(help="folder or URL of a gallery to search", parser=place_of("--gallery")),
    ] = None,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="port to listen on")] = 8000,
    root: Root = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="IIAE_TOKEN", help="bearer token that requests must carry"),
    ] = None,
) -> None:
    """Serve an API and a page: draw or upload, search, translate.

    Example: iiae serve runs/mine --gallery gallery/ --port 8080
    """
    from iiae.run_folder import load_run
    from iiae.web.serving import serve as start

    start(load_run(run).for_inference(), gallery, host, port, token, root)
