"""Charts of the report as SVG that takes the colours of the page around it."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from iiae.data.names import Names
from iiae.errors import MissingExtra
from iiae.metrics.probe_matrix import Cell, ProbeMatrix
from iiae.report.pictures import Figure

COLOURS = ("#3b82f6", "#f59e0b", "#10b981", "#a855f7")  # readable on white and on black
ACROSS = 3  # panels in a row
LABELS = {
    "train_loss": "training",
    "validation_loss": "held out",
    "validation_nll_x": "x",
    "validation_nll_y": "y",
    "validation_kl_s": "KL(q(z_s) ‖ p)",
    "validation_kl_x": "KL(q(z_x) ‖ p)",
    "validation_kl_y": "KL(q(z_y) ‖ p)",
    "validation_kl_s_x": "KL(q ‖ r_x)",
    "validation_kl_s_y": "KL(q ‖ r_y)",
}
PANELS = {
    "Loss": ["train_loss", "validation_loss"],
    "Reconstruction error": ["validation_nll_x", "validation_nll_y"],
    "What the latents hold, at most": ["validation_kl_s", "validation_kl_x", "validation_kl_y"],
    "What one domain does not know of z_s": ["validation_kl_s_x", "validation_kl_s_y"],
}


def reading_figures(probes: Mapping[str, ProbeMatrix]) -> list[Figure]:
    """Every factor as it is predicted from every latent, beside its chance line."""
    if not probes:
        return []
    first = next(iter(probes.values()))  # every view has the same factors and latents
    factors = first.home
    across = min(len(factors), ACROSS)
    down = -(-len(factors) // across)
    canvas = _canvas(3.4 * across + 0.6, 3.0 * down)
    every = canvas.subplots(down, across, squeeze=False, sharey=True)
    panels = list(every.flat)
    for axes in panels[len(factors) :]:
        axes.set_axis_off()
    for axes, (factor, home) in zip(panels, factors.items(), strict=False):
        for i, (view, matrix) in enumerate(probes.items()):
            _bars(axes, matrix.cells[factor], i, view, len(probes))
        latents = list(first.cells[factor])
        axes.set(title=f"{factor} (belongs to {home})", ylim=(-0.05, 1.05))
        axes.set_xticks(range(len(latents)), [name.replace(" given ", "\n") for name in latents])
        axes.grid(alpha=0.3, axis="y")
    for row in every:
        row[0].set_ylabel("R2 or accuracy")
    panels[0].legend(fontsize=8, frameon=False)
    note = (
        "Held-out score of the better of the linear and the nonlinear probe, with its 95% CI; the "
        "short line across is the 95th percentile of chance. Bars should rise above it where the "
        "factor belongs, and nowhere else."
    )
    return [Figure("What each latent predicts", note, svg=_drawn(canvas, "reading"))]


def _bars(axes: Any, cells: Mapping[str, Cell], place: int, view: str, views: int) -> None:
    width = 0.8 / views
    for x, cell in enumerate(cells.values()):
        best = cell.best
        if best is None:
            continue
        at, height = x + (place - (views - 1) / 2) * width, max(best.score, 0)
        axes.bar(at, height, width, color=COLOURS[place], label=view if x == 0 else None)
        axes.vlines(at, max(best.low, 0), max(best.high, 0), color="grey")
        axes.hlines(best.chance_high, at - width / 2, at + width / 2, color="black")


def curve_figures(history: list[dict[str, float]], names: Names) -> list[Figure]:
    """Terms of the objective by optimiser step."""
    if not history:
        return []
    canvas = _canvas(10, 6)
    steps = [row["step"] for row in history]
    for axes, (title, terms) in zip(canvas.subplots(2, 2).flat, PANELS.items(), strict=True):
        for i, name in enumerate(terms):
            _curve(axes, steps, [row[name] for row in history], names.put(LABELS[name]), i)
        axes.set(title=title, xlabel="optimiser step", ylabel="nats per pair")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    note = "Held-out values once per epoch; the first steps may lie outside the frame."
    return [Figure("Learning", note, svg=_drawn(canvas, "curves"))]


def _curve(axes: Any, steps: list[float], values: list[float], label: str, place: int) -> None:
    axes.plot(steps, values, label=label, color=COLOURS[place])
    late = values[len(values) // 20 :]
    low, high = axes.get_ylim() if len(axes.lines) > 1 else (min(late), max(late))
    low, high = min(low, *late), max(high, *late)
    axes.set_ylim(low - 0.05 * (high - low) - 1e-9, high + 0.05 * (high - low) + 1e-9)


def _canvas(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise MissingExtra("report", "iiae report") from error
    return Canvas(figsize=(width, height), layout="constrained")


def _drawn(canvas: Any, name: str) -> str:
    """SVG to stand in a page beside others: black is the page's own ink, text is text, nothing lies
    behind, and its parts are known by names of their own."""
    from matplotlib import rc_context

    data = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        canvas.savefig(data, format="svg", transparent=True, metadata={"Date": None})
    text = data.getvalue()
    text = text[text.index("<svg") :].replace("#000000", "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    return re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r'\1 width="100%"', text, count=1)
