"""One self-contained HTML page about a run."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from iiae.data.base import PairSet
from iiae.data.classes.pairs import ClassPairs, domains
from iiae.errors import MissingExtra
from iiae.files.atomic import write_text
from iiae.files.pictures import Row, framed, grid
from iiae.metrics.leakage import Cell, ProbeMatrix
from iiae.model.translation import analogies, draw_exclusive, translate
from iiae.report.evidence_tables import evidence_tables
from iiae.report.hits import first_hits, picture_reader
from iiae.report.summary import summarise
from iiae.report.tables import result_tables
from iiae.report.verdict import verdict
from iiae.results import load_results
from iiae.run_folder import TrainedRun, load_history
from iiae.settings import dump_settings
from iiae.types import Domain, Draw, Pair, other

SAMPLES = 8


class Figure(NamedTuple):
    """A picture as a data address, and what it shows."""

    title: str
    source: str
    note: str


def write_report(run: TrainedRun, pairs: PairSet, out: Path, images: Path | None = None) -> Path:
    """Settings, curves, results and pictures of a run as one HTML file.

    Args:
        run: A trained run; its metrics.json should have a section `test`.
        pairs: Held-out pairs that the pictures show.
        out: The file to write.
        images: Where features were taken from files: the folder with both domains' images.

    Raises:
        MissingExtra: matplotlib or jinja2 is not installed.
        RunError: The file cannot be written.
    """
    try:
        from jinja2 import Environment, PackageLoader
    except ImportError as error:
        raise MissingExtra("report", "iiae report") from error
    results = load_results(run.folder)
    environment = Environment(loader=PackageLoader("iiae.report", "."), autoescape=True)
    page = environment.get_template("page.html").render(
        title=run.settings.title or run.folder.name,
        folder=run.folder.name,
        training=results.training,
        threshold=run.settings.evaluation.active_nats,
        verdicts=verdict(results) if results.test or results.evidence else [],
        summary=summarise(results),
        tables=[
            *(result_tables(results.test) if results.test else []),
            *(evidence_tables(results.evidence) if results.evidence else []),
        ],
        readings=_readings(results.evidence.probes) if results.evidence else [],
        curves=_curves(load_history(run.folder)),
        pictures=[
            *(_hits(run, pairs, images) if isinstance(pairs, ClassPairs) else []),
            *(_pictures(run, pairs) if len(run.shapes[0]) == 3 else []),
        ],
        settings=dump_settings(run.settings),
    )
    write_text(out, page)
    return out


def _hits(run: TrainedRun, pairs: ClassPairs, images: Path | None) -> list[Figure]:
    """Queries with their first ten hits, where there are pictures to show."""
    data = run.settings.data
    names = domains(data)
    of_x, of_y = (
        picture_reader(items, images / name if images else None)
        for items, name in zip((pairs.x, pairs.y), names, strict=True)
    )
    if of_x is None or of_y is None:
        return []
    chosen = first_hits(run.model, pairs, run.settings.evaluation.batch, data.seed)
    titles = {
        "random": "First ten hits of random queries",
        "worst": "First ten hits: one query of each of the three worst classes",
        "best": "First ten hits: one query of each of the three best classes",
    }
    figures: list[Figure] = []
    for kind, found in chosen._asdict().items():
        rows = [
            Row(
                f"{one.label}, AP {one.average_precision:.2f}",
                torch.cat([of_x([one.query]), framed(of_y(one.items), one.right)]),
            )
            for one in found
        ]
        note = (
            "The query first, then the nearest items of the other domain. Blue, whole frame: of "
            "the query's class. Orange, broken frame: of another."
        )
        figures.append(_figure(titles[kind], grid(titles[kind], rows), note))
    return figures


def _pictures(run: TrainedRun, pairs: PairSet) -> list[Figure]:
    """Reconstruction, translation and analogies of held-out pairs drawn at random."""
    pair = pairs.pairs(Draw(pairs.sample(SAMPLES, run.settings.evaluation.seed)))
    figures = [
        _figure(
            "Reconstruction",
            _reconstruction(run, pair),
            "From posterior means of (z_s, z_x) and (z_s, z_y).",
        )
    ]
    for to in ("x", "y"):
        source = other(to)
        figures.append(
            _figure(
                f"Translation, {source} to {to}",
                _translation(run, pair, to),
                "Content from the source alone. Exclusive latent: that of the true partner; the "
                "prior's mean; five draws.",
            )
        )
    figures += [
        _figure(
            f"Analogies in {domain}",
            _analogies(run, pair, domain),
            f"z_s of each row's own sample with z_{domain} of each column's.",
        )
        for domain in ("x", "y")
    ]
    return figures


@torch.inference_mode()
def _reconstruction(run: TrainedRun, pair: Pair) -> Image.Image:
    q = run.model.encode(pair)
    p = run.model.decode(q.mean(), run.model.known(pair))
    rows = [
        Row("x", pair.x),
        Row("x reconstructed", p.x.mean),
        Row("y", pair.y),
        Row("y reconstructed", p.y.mean),
    ]
    return grid("Reconstruction", rows)


def _translation(run: TrainedRun, pair: Pair, to: Domain) -> Image.Image:
    source, partner = (pair.x, pair.y) if to == "y" else (pair.y, pair.x)
    name = other(to)
    generator = torch.Generator().manual_seed(run.settings.evaluation.seed)
    rows = [
        Row(f"source {name}", source),
        Row(f"true partner {to}", partner),
        Row("like the partner", translate(run.model, source, to, like=partner)),
        Row("prior mean", translate(run.model, source, to)),
    ]
    for i, drawn in enumerate(draw_exclusive(run.model, to, 5, generator)):
        rows.append(Row(f"draw {i + 1}", translate(run.model, source, to, exclusive=drawn[None])))
    return grid(f"{name} to {to}", rows)


def _analogies(run: TrainedRun, pair: Pair, domain: Domain) -> Image.Image:
    values = pair.x if domain == "x" else pair.y
    table = analogies(run.model, values, domain)
    rows = [Row(f"exclusive z_{domain} of", values)]
    rows += [Row(f"content of {i + 1}", row) for i, row in enumerate(table)]
    return grid(f"Content by row, z_{domain} by column", rows)


def _figure(title: str, image: Image.Image, note: str) -> Figure:
    data = io.BytesIO()
    image.save(data, "PNG")
    return Figure(title, _address(data.getvalue()), note)


def _address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _canvas() -> Any:
    try:
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise MissingExtra("report", "iiae report") from error
    return Canvas


def _drawn(canvas: Any) -> str:
    data = io.BytesIO()
    canvas.savefig(data, format="png", dpi=110)
    return _address(data.getvalue())


def _readings(probes: Mapping[str, ProbeMatrix]) -> list[Figure]:
    """Every factor read from every latent, beside its chance line."""
    if not probes:
        return []
    first = next(iter(probes.values()))  # every view has the same factors and latents
    factors = first.home
    canvas = _canvas()(figsize=(3.6 * len(factors) + 1, 3.4), layout="constrained")
    panels = canvas.subplots(1, len(factors), squeeze=False)[0]
    for axes, (factor, home) in zip(panels, factors.items(), strict=True):
        for i, (view, matrix) in enumerate(probes.items()):
            _bars(axes, matrix.cells[factor], i, view, len(probes))
        latents = list(first.cells[factor])
        axes.set(title=f"{factor} (belongs to {home})", ylim=(-0.05, 1.05), ylabel="R2 or accuracy")
        axes.set_xticks(range(len(latents)), latents)
        axes.grid(alpha=0.3, axis="y")
    panels[-1].legend(fontsize=8)
    note = (
        "Held-out score of the better of the linear and the nonlinear probe, with its 95% "
        "interval; the black line is the 95th percentile of chance. Bars should rise above it "
        "where the factor belongs, and nowhere else."
    )
    return [Figure("What each latent tells", _drawn(canvas), note)]


def _bars(axes: Any, cells: Mapping[str, Cell], place: int, view: str, views: int) -> None:
    width = 0.8 / views
    for x, cell in enumerate(cells.values()):
        best = cell.best
        if best is None:
            continue
        at, height = x + (place - (views - 1) / 2) * width, max(best.score, 0)
        axes.bar(at, height, width, color=f"C{place}", label=view if x == 0 else None)
        axes.vlines(at, max(best.low, 0), max(best.high, 0), color="grey")
        axes.hlines(best.chance_high, at - width / 2, at + width / 2, color="black")


def _curves(history: list[dict[str, float]]) -> list[Figure]:
    if not history:
        return []
    panels = {
        "Loss": ["train_loss", "validation_loss"],
        "Reconstruction": ["validation_nll_x", "validation_nll_y"],
        "What the latents hold, at most": [
            "validation_kl_s",
            "validation_kl_x",
            "validation_kl_y",
        ],
        "What one domain does not know of z_s": ["validation_kl_s_x", "validation_kl_s_y"],
    }
    canvas = _canvas()(figsize=(11, 6.5), layout="constrained")
    steps = [row["step"] for row in history]
    for axes, (title, names) in zip(canvas.subplots(2, 2).flat, panels.items(), strict=True):
        for name in names:
            _curve(axes, steps, [row[name] for row in history], name)
        axes.set(title=title, xlabel="optimiser step", ylabel="nats a pair")
        axes.legend()
        axes.grid(alpha=0.3)
    note = "Each value once an epoch; the first steps may lie outside the frame."
    return [Figure("Learning", _drawn(canvas), note)]


def _curve(axes: Any, steps: list[float], values: list[float], name: str) -> None:
    label = name.replace("validation_", "held-out ").replace("train_", "training ")
    axes.plot(steps, values, label=label.replace("_", " "))
    late = values[len(values) // 20 :]
    low, high = axes.get_ylim() if len(axes.lines) > 1 else (min(late), max(late))
    low, high = min(low, *late), max(high, *late)
    axes.set_ylim(low - 0.05 * (high - low) - 1e-9, high + 0.05 * (high - low) + 1e-9)
