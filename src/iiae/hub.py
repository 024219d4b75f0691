"""Sharing and fetching runs: folders in the layout of the Hugging Face Hub."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

from iiae.data.names import domain_names
from iiae.errors import MissingExtra, RunError
from iiae.files.atomic import write_atomically, write_text
from iiae.report.result_tables import result_tables
from iiae.report.table import Table
from iiae.results import Evaluation, Results, Training, read_results
from iiae.run import Run
from iiae.run_folder import (
    COMPARISON,
    ESTIMATOR,
    FEATURES,
    HISTORY,
    METRICS,
    MODEL,
    PAIRS,
    SETTINGS,
    TrainedRun,
    current_metrics,
    load_run,
    save_settings,
    write_metrics,
)
from iiae.settings import Settings

HUB = "hf://"
CARD = "README.md"
# nothing else is sent or fetched
FILES = (SETTINGS, MODEL, COMPARISON, FEATURES, METRICS, HISTORY, PAIRS, CARD, ESTIMATOR)


def push(run: str | Path | Run, target: str | Path, private: bool = False) -> str:
    """Copies a run with a model card to a folder, or to a repository on the Hub.

    Paths of this machine are shortened to their last part in what is copied.

    Args:
        run: A run, with the weights that it has now, or its folder.
        target: A folder, or `hf://owner/name`.
        private: Make a new repository on the Hub private.

    Returns:
        Where the run is now.

    Raises:
        RunError: The folder is no run, the target holds something else, or the Hub refused.
        MissingExtra: `hf://` without the extra `hub`.
    """
    if isinstance(run, Run):
        with tempfile.TemporaryDirectory() as kept:
            return push(run.save(Path(kept) / run.folder.name), target, private)
    opened = load_run(run)
    if not str(target).startswith(HUB):
        folder = Path(target)
        _check_free(folder)
        _write(opened, folder)
        return str(folder)
    name, _ = _repository(str(target))
    hub = _hub()
    with tempfile.TemporaryDirectory() as staged:
        _write(opened, Path(staged))
        _ask(lambda: hub.HfApi().create_repo(name, private=private, exist_ok=True), str(target))
        message = f"Upload {opened.settings.title or 'an iiae run'}"
        return str(
            _ask(
                lambda: hub.HfApi().upload_folder(
                    repo_id=name,
                    folder_path=staged,
                    commit_message=message,
                    delete_patterns=list(FILES),  # that this run lacks
                ),
                str(target),
            )
        )


def pull(source: str | Path, out: str | Path) -> Run:
    """Fetches a run from a folder or from the Hub into a folder, and opens it.

    Args:
        source: A folder that `push` wrote, `hf://owner/name`, or `hf://owner/name@revision`.
        out: Folder to write; must not exist or be empty.

    Raises:
        RunError: There is no such run, it is damaged, `out` is in use, or the Hub cannot be
            reached.
        MissingExtra: `hf://` without the extra `hub`.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: is there already; choose another folder")
    folder = _fetch(str(source)) if str(source).startswith(HUB) else Path(source)
    load_run(folder)  # before anything is written
    for name in FILES:
        if (folder / name).is_file():
            write_atomically(out / name, lambda path, f=folder / name: shutil.copyfile(f, path))
    return Run(load_run(out))


def model_card(settings: Settings, results: Results, shapes: Any) -> str:
    """README.md of a shared run: YAML front matter, use, results and how they came about."""
    title = settings.title or "IIAE run"
    tables = result_tables(results.test) if results.test else []
    data = f"{settings.data.name}: x is {_shown(shapes[0])}, y is {_shown(shapes[1])}"
    names = domain_names(settings.data)
    sections = [
        _front_matter(settings, results.test),
        f"# {title}",
        f"Pairs (x, y){f', {names.x} and {names.y},' if names.known else ''} are split into a "
        "shared latent z_s and exclusive latents z_x and z_y (Hwang et al., NeurIPS 2020), by "
        "`iiae`.",
        f"Trained on {data}.",
        "## Use",
        "```console\n$ iiae pull hf://OWNER/NAME runs/pulled\n```\n\n"
        '```python\nfrom iiae import load_run\n\nmodel = load_run("runs/pulled").model\n'
        "z_s = model.encode_x(x).shared.mean\n```",
        "Images are floats in [-1, 1], channels first.",
        "## Results",
        *(names.put(_markdown(table)) for table in tables),
    ]
    if not tables:
        sections.append("Not evaluated on test pairs: `iiae evaluate` writes these tables.")
    return "\n\n".join([*sections, "## How it was made", _made(results.training)]) + "\n"


def _write(run: TrainedRun, folder: Path) -> None:
    data = run.settings.data
    named = {k: v and PurePath(v).name for k, v in data if k in ("root", "x", "y")}
    settings = run.settings.model_copy(update={"data": data.model_copy(update=named)})
    metrics = _without_paths(current_metrics(run.folder))
    save_settings(folder, settings)
    write_metrics(folder, metrics)
    for name in (MODEL, COMPARISON, FEATURES, HISTORY, PAIRS, ESTIMATOR):
        source = run.folder / name
        if source.is_file():
            write_atomically(folder / name, lambda path, f=source: shutil.copyfile(f, path))
        else:  # of a run that was pushed here before
            (folder / name).unlink(missing_ok=True)
    card = model_card(settings, read_results(metrics, run.folder), run.shapes)
    write_text(folder / CARD, card)


def _without_paths(value: Any) -> Any:
    """The same plain value with absolute paths cut to their last part."""
    if isinstance(value, Mapping):
        return {k: _without_paths(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_paths(v) for v in value]
    return re.sub(r"(?<![\w.:/])/[^\s=,]*/", "", value) if isinstance(value, str) else value


def _front_matter(settings: Settings, test: Evaluation | None) -> str:
    """YAML, each value written as JSON, which is YAML too."""
    values: dict[str, Any] = {
        "library_name": "iiae",
        "tags": ["iiae", "cross-domain-disentanglement", "representation-learning"],
    }
    if test:
        task, measures = _measures(test)
        result = {
            "task": {"type": "image-feature-extraction", "name": f"Cross-domain {task} retrieval"},
            "dataset": {"type": settings.data.name, "name": settings.data.name, "split": "test"},
            "metrics": measures,
        }
        name = settings.title or settings.data.name
        values["model-index"] = [{"name": name, "results": [result]}]
    lines = [f"{key}: {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(["---", *lines, "---"])


def _measures(test: Evaluation) -> tuple[str, list[dict[str, Any]]]:
    """What was retrieved, and Recall@1 or mAP of both ways as the Hub's model index has them."""
    kind, name = ("map_at_all", "mAP@all") if test.categories else ("recall_at_1", "Recall@1")
    measures = [
        {"type": kind, "name": f"{name}, {way}", "value": rate}
        for way, (rate, _) in (
            ("x to y", test.rates["shared_x_to_y"]),
            ("y to x", test.rates["shared_y_to_x"]),
        )
    ]
    return "category" if test.categories else "instance", measures


def _markdown(table: Table) -> str:
    rows = [table.columns, ["---"] * len(table.columns), *table.rows] if table.columns else []
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([f"### {table.title}", "", *lines, "", table.note])


def _made(training: Training | None) -> str:
    known: dict[str, object] = {}
    if training:
        made = training.made_with
        known = {
            "epochs": training.epochs,
            "pairs trained on": training.pairs.train,
            "parameters": training.parameters,
            "seed": training.seed,
            "command": f"`{made.command}`",
            "commit": made.commit or "not known",
            "versions": ", ".join(f"{k} {v}" for k, v in made.versions.items()),
            "hardware": made.hardware,
        }
    lines = [f"- {name}: {value}" for name, value in known.items()]
    return "\n".join([*lines, "- all settings: `settings.toml`"])


def _shown(shape: Any) -> str:
    return f"{shape[0]} features" if len(shape) == 1 else "x".join(map(str, shape))


def _check_free(folder: Path) -> None:
    if folder.is_file():
        raise RunError(f"{folder}: is a file; name a folder, or hf://owner/name")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CARD).is_file():
        raise RunError(
            f"{folder}: holds something else than a run pushed there before; choose another folder"
        )


def _repository(text: str) -> tuple[str, str | None]:
    """Name and revision of `hf://owner/name@revision`."""
    matched = re.fullmatch(rf"{HUB}([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", text)
    if not matched:
        raise RunError(f"{text}: write {HUB}owner/name, or {HUB}owner/name@revision")
    return matched[1], matched[2]


def _fetch(source: str) -> Path:
    name, revision = _repository(source)
    hub = _hub()
    return Path(
        _ask(
            lambda: hub.snapshot_download(name, revision=revision, allow_patterns=list(FILES)),
            source,
        )
    )


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtra("hub", f"{HUB} names, that is the Hugging Face Hub") from error
    return huggingface_hub


def _ask(question: Callable[[], Any], name: str) -> Any:
    try:
        return question()
    except Exception as error:  # the client raises its own, its HTTP library's and the system's
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RunError(
            f"{name}: the Hub gave no answer that can be used: {reason} (is there a network, does "
            "the repository exist, and have you logged in with `hf auth login` if it is needed?)"
        ) from error
