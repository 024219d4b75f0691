"""One self-contained HTML page about a run: the verdict, then pictures, then numbers."""

from __future__ import annotations

from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from iiae.data.base import PairSet
from iiae.data.names import domain_names
from iiae.errors import MissingExtra
from iiae.files.atomic import write_text
from iiae.report.charts import curve_figures, reading_figures
from iiae.report.evidence_tables import evidence_tables
from iiae.report.pictures import hit_figures, made_figures
from iiae.report.result_tables import result_tables
from iiae.report.summary import summarise
from iiae.report.table import split_interval
from iiae.report.verdict import verdict
from iiae.results import Results, load_results
from iiae.run_folder import TrainedRun, load_history
from iiae.settings import dump_settings


def write_report(
    run: TrainedRun,
    pairs: PairSet,
    out: Path,
    images: Path | None = None,
    results: Results | None = None,
) -> Path:
    """Verdict, pictures, curves, results and settings of a run as one HTML file.

    Args:
        run: A trained run.
        pairs: Held-out pairs that the pictures show.
        out: The file to write.
        images: Where features were taken from files: the folder with both domains' images.
        results: What was measured; by default what metrics.json of the run has.

    Raises:
        SettingsError: `images` is given, and the pairs are no features of images in files.
        DataError: `images` lacks the first picture.
        MissingExtra: matplotlib or jinja2 is not installed.
        RunError: The file cannot be written.
    """
    try:
        from jinja2 import Environment, PackageLoader
    except ImportError as error:
        raise MissingExtra("report", "iiae report") from error
    names = domain_names(run.settings.data)
    environment = Environment(loader=PackageLoader("iiae.report", "."), autoescape=True)
    environment.filters |= {"named": names.put, "split_interval": split_interval}
    parts = _parts(run, pairs, images, results or load_results(run.folder))
    page = environment.get_template("page.html").render(**parts)
    write_text(out, page)
    return out


def _parts(
    run: TrainedRun, pairs: PairSet, images: Path | None, results: Results
) -> dict[str, Any]:
    """Values of the template, by name."""
    names = domain_names(run.settings.data)
    made = made_figures(run, pairs) if len(run.shapes[0]) == 3 else []
    return {
        "title": run.settings.title or run.folder.name,
        "folder": run.folder,
        "names": names,
        "today": date.today().isoformat(),
        "version": version("iiae"),
        "training": results.training,
        "threshold": run.settings.evaluation.active_nats,
        "verdicts": verdict(results) if results.test or results.evidence else [],
        "hits": hit_figures(run, pairs, images),
        "made": made[:-1],
        "charts": _charts(results),
        "later": [*curve_figures(load_history(run.folder), names), *made[-1:]],
        "summary": summarise(results),
        "tables": [
            *(result_tables(results.test) if results.test else []),
            *(evidence_tables(results.evidence) if results.evidence else []),
        ],
        "settings": dump_settings(run.settings),
    }


def _charts(results: Results) -> list[Any]:
    """What each latent predicts: by both probes, or else by the linear one."""
    probes = results.evidence and results.evidence.probes
    probes = probes or (results.test and results.test.readability.probes)
    return reading_figures(probes) if probes else []
