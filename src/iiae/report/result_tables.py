"""What was measured of a run on one set, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iiae.report.retrieval_tables import category_tables, degraded_table, retrieval_table, union
from iiae.report.table import Table, number, with_interval
from iiae.results import (
    Estimate,
    Evaluation,
    Readability,
    TranslationQuality,
)

TERMS = {
    "nll_x": "-log p(x | z_s, z_x)",
    "nll_y": "-log p(y | z_s, z_y)",
    "kl_x": "KL[q(z_x|x) || p], an upper bound on I(X;Z_x)",
    "kl_y": "KL[q(z_y|y) || p], an upper bound on I(Y;Z_y)",
    "kl_s": "KL[q(z_s|x,y) || p], an upper bound on I(X,Y;Z_s)",
    "kl_s_x": "KL[q(z_s|x,y) || r_x], an upper bound on I(Y;Z_s|X)",
    "kl_s_y": "KL[q(z_s|x,y) || r_y], an upper bound on I(X;Z_s|Y)",
    "elbo": "ELBO",
    "information_bound": "information bound",
}
# measures of a translation, for each source of the exclusive latent
BY_SOURCE = {
    "l1": "mean |difference|",
    "ssim": "SSIM",
    "perceptual": "perceptual distance",
    "kernel": "kernel distance (KID)",
}

OVERALL = {
    "diversity": "difference between samples",
    "content_recall": "source found again from its translation, rate",
    "prior_content_recall": "the same with a sample of the prior N(0, I)",
    "content_chance": "source found again by guessing, rate",
    "content_distance": "distance of z_s from the source's (1: anyone's)",
}


def result_tables(results: Evaluation) -> list[Table]:
    """The tables of one evaluated set."""
    tables = (
        category_tables(results.categories) if results.categories else [retrieval_table(results)]
    )
    if results.degraded:
        tables.append(degraded_table(results.retrieval, results.degraded))
    if any(results.readability):
        tables.append(_readability(results.readability))
    if results.translation:
        tables.append(_translation(results.translation))
    tables += [_task(name, values) for name, values in results.tasks.items()]
    return [*tables, _nats(results)]


def _task(name: str, result: Any) -> Table:
    """What a task of the user's own returned, as it is."""
    values = result if isinstance(result, Mapping) else {"value": result}
    rows = [
        [str(key), number(value, 4) if isinstance(value, float) else str(value)]
        for key, value in values.items()
    ]
    return Table(name, ["measure", "value"], rows, "A measure of your own (evaluation.tasks).")


def _readability(read: Readability) -> Table:
    rows, first = [], next(iter(read.probes.values()), None)
    factors = list(first.cells) if first else []
    for latent in first.cells[factors[0]] if first else ():
        for view, matrix in read.probes.items():
            cells = (matrix.cells[factor][latent].linear for factor in factors)
            rows.append([f"{latent}, {view}", *(number(c.score, 3) if c else "-" for c in cells)])
    heads = [f"{f} ({first.measure[f]}), of {first.home[f]}" for f in factors] if first else []
    missing = any("-" in row for row in rows)
    return Table(
        "What can be read linearly from which latent",
        ["latent", *heads],
        [*rows, ["chance", *(_chance(read, factor) for factor in factors)]] if first else [],
        "R2 (1 is perfect, 0 or below is no better than the mean) or accuracy of a ridge "
        "probe on held-out pairs, five folds. A factor should be read from its own latent alone. "
        "A mean can show what a sample does not: a dimension whose signal lies far below its "
        "noise still orders its means; the active dimensions leave such ones out."
        + (" A dash: the latent is collapsed, the same for every pair." if missing else "")
        + "".join(f" Not read: {reason}." for reason in read.refused.values()),
    )


def _chance(read: Readability, factor: str) -> str:
    """The largest of all latents."""
    every = [cell.linear for m in read.probes.values() for cell in m.cells[factor].values()]
    return number(max((one.chance for one in every if one), default=None), 3)


def _translation(qualities: Mapping[str, TranslationQuality]) -> Table:
    rows: list[list[str]] = []
    for measure, text in BY_SOURCE.items():
        known = [getattr(one, measure) or {} for one in qualities.values()]
        rows += [
            [f"{text}, z of the {source}", *(_value(one.get(source)) for one in known)]
            for source in union(known)
        ]
    rows += [
        [text, *(_value(getattr(one, measure)) for one in qualities.values())]
        for measure, text in OVERALL.items()
    ]
    pairs = max(one.pairs for one in qualities.values())
    return Table(
        f"Translations of {pairs:,} pairs",
        ["measure", *(name.replace("_", " ") for name in qualities)],
        rows,
        "Means over pairs with 95% intervals; values lie in [-1, 1]. Against the true partner, "
        "with the exclusive latent of that partner, of the prior mean, or sampled: from the "
        "aggregate posterior of training samples, or from the prior; "
        "SSIM is 1 for equal images; the kernel distance is about 0 where translations as a set "
        "look like partners, by the features of evaluation.backbone. "
        "Samples should differ in what is exclusive; z_s read back from "
        "a translation with a sampled exclusive latent should still be that of its source.",
    )


def _value(value: Estimate | float | None) -> str:
    return with_interval(*value, 4) if isinstance(value, tuple) else number(value, 4)


def _nats(results: Evaluation) -> Table:
    rows = [[text, number(getattr(results.nats, name), 2)] for name, text in TERMS.items()]
    rows += [
        [f"mean |{side} - {side}'| of an element", number(error, 4)]
        for side, error in results.absolute_error.items()
    ]
    lost = " A dash: not finite, as a pair lies far outside the range of the training pairs."
    return Table(
        "Terms of the objective, nats per pair",
        ["term", "value"],
        rows,
        "Means over the set. KL terms bound from above what a latent holds; the information "
        "bound is up to the entropies of the data."
        + (lost if any(row[1] == "-" for row in rows) else ""),
    )
