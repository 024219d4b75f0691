"""Results as tables of text, for the terminal and the report alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from iiae.metrics.ranking import Scores
from iiae.metrics.retrieval import Interval
from iiae.results import (
    CategoryRetrieval,
    Estimate,
    Evaluation,
    Readability,
    Retrieval,
    TranslationQuality,
)


class Table(NamedTuple):
    """A titled table, and a note that says how to read it."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str


DIRECTIONS = {
    "shared_x_to_y": "shared, x to y",
    "shared_y_to_x": "shared, y to x",
    "chosen_x_to_y": "shared (as chosen), x to y",
    "chosen_y_to_x": "shared (as chosen), y to x",
    "active_x_to_y": "shared (active), x to y",
    "active_y_to_x": "shared (active), y to x",
    "exclusive_x_to_y": "exclusive, x to y",
    "exclusive_y_to_x": "exclusive, y to x",
}

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


MEASURES = {
    "l1": "mean |difference|",
    "ssim": "SSIM",
    "perceptual": "perceptual distance",
}

HUGE = 1e9  # written with an exponent from here on

MEANINGS = (
    "Chance: what rankings drawn at random reach in each measure. map@K_by_k divides by K, by_hits "
    "by the relevant items among the first K, by_possible by the smaller of K and all relevant "
    "items; map@all_voc interpolates precision."
)


def number(value: float | None, digits: int) -> str:
    """A number with so many decimals; a dash if there is none, or none that is finite."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.{digits}f}" if abs(value) < HUGE else f"{value:.2e}"


def with_interval(
    value: float | None, low: float | None, high: float | None, digits: int, ends: int | None = None
) -> str:
    """A number to `digits` decimals and its interval to `ends`; dashes for what is missing."""
    shown, ends = number(value, digits), digits if ends is None else ends
    both = [number(low, ends), number(high, ends)]
    interval = "-" if "-" in both else ", ".join(both)
    return shown if shown == "-" else f"{shown} [{interval}]"


def split_interval(cell: str) -> tuple[str, str]:
    """A cell's number and its interval without brackets, which is empty if it has none."""
    value, _, rest = cell.partition(" [")
    return (value, rest.removesuffix("]")) if rest.endswith("]") else (cell, "")


def result_tables(results: Evaluation) -> list[Table]:
    """The tables of one evaluated set."""
    tables = category_tables(results.categories) if results.categories else [_retrieval(results)]
    if results.degraded:
        tables.append(_degraded(results.retrieval, results.degraded))
    if any(results.readability):
        tables.append(_readability(results.readability))
    if results.translation:
        tables.append(_translation(results.translation))
    tables += [_task(name, values) for name, values in results.tasks.items()]
    return [*tables, _nats(results)]


def _task(name: str, found: Any) -> Table:
    """What a task of the user's own returned, as it is."""
    values = found if isinstance(found, Mapping) else {"value": found}
    rows = [
        [str(key), number(value, 4) if isinstance(value, float) else str(value)]
        for key, value in values.items()
    ]
    return Table(name, ["measure", "value"], rows, "A measure of your own (evaluation.tasks).")


def category_tables(found: CategoryRetrieval) -> list[Table]:
    """The tables of zero-shot retrieval: each direction and latent, then the classes."""
    ways = {name: one for name, one in found._asdict().items() if isinstance(one, Scores)}
    shared = found.shared_x_to_y
    chances = {"x_to_y": shared.chance, "y_to_x": found.shared_y_to_x.chance}
    rows = [
        [
            measure,
            *(_scored(one, measure) for one in ways.values()),
            *(number(one.get(measure), 4) for one in chances.values()),
        ]
        for measure in _union(one.mean for one in ways.values())
    ]
    guesses = [f"chance, {name.replace('_', ' ')}" for name in chances]
    return [
        Table(
            f"Category retrieval, {found.classes} classes, {found.class_list}: "
            f"{shared.queries:,} x, {shared.gallery:,} y",
            ["measure", *(DIRECTIONS[name] for name in ways), *guesses],
            rows,
            "Cosine distance of posterior means; the gallery is every item of the other domain. "
            f"{MEANINGS} Bootstrap intervals over queries. Exclusive latents should stay at "
            "chance. A dash: the gallery has fewer items than the cut-off.",
        ),
        _class_table(shared, f"{DIRECTIONS['shared_x_to_y']}: "),
    ]


def hit_tables(
    queries: Sequence[str], hits: Sequence[Sequence[tuple[float, str, str]]], method: str
) -> list[Table]:
    """A table a query; `hits` are its (distance, label, path), nearest first."""
    return [
        Table(
            query,
            ["", "distance", "label", "path"],
            [[str(i + 1), f"{d:.4f}", label, path] for i, (d, label, path) in enumerate(some)],
            f"{method} search",
        )
        for query, some in zip(queries, hits, strict=True)
    ]


def score_tables(found: Scores) -> list[Table]:
    """The tables of category retrieval."""
    rows = [
        [
            name,
            f"{value:.4f}",
            "[{:.4f}, {:.4f}]".format(*found.interval[name]),
            number(found.chance[name], 4),
        ]
        for name, value in found.mean.items()
    ]
    measures = Table(
        f"{found.queries:,} queries over {found.gallery:,} items, {found.distance}",
        ["measure", "mean", "95% interval", "chance"],
        rows,
        f"Means over queries, with bootstrap intervals. {MEANINGS} "
        f"{found.queries_without_relevant:,} queries have no relevant item and are left out.",
    )
    return [measures, _class_table(found)]


def _class_table(found: Scores, of: str = "") -> Table:
    ordered = sorted(found.per_class.items(), key=lambda item: item[1])
    shown = ordered if len(ordered) <= 10 else [*ordered[:5], *ordered[-5:]]
    return Table(
        f"{of}map@all by class, {'all' if len(ordered) <= 10 else 'the five worst and best'} "
        f"of {len(ordered)}",
        ["class", "map@all", "chance"],
        [[name, f"{value:.4f}", number(found.per_class_chance[name], 4)] for name, value in shown],
        "Mean over the queries of each class.",
    )


def _scored(found: Scores, measure: str) -> str:
    if measure not in found.mean:
        return "-"
    return with_interval(found.mean[measure], *found.interval[measure], 4, 3)


def _union(keys: Iterable[Iterable[Any]]) -> list[Any]:
    """All keys in the order in which they come first: what one lacks another may have."""
    return list(dict.fromkeys(name for some in keys for name in some))


def _retrieval(results: Evaluation) -> Table:
    found = results.retrieval
    assert found is not None
    ways = {name: one for name, one in found._asdict().items() if one is not None}
    ks = _union(one.recall for one in ways.values())
    rows = [
        [DIRECTIONS[name], *(percent_interval(one.recall.get(k)) for k in ks)]
        for name, one in ways.items()
    ]
    return Table(
        f"Instance retrieval among {results.pairs:,} items, %",
        ["latent and direction", *(f"Recall@{k}" for k in ks)],
        [*rows, *_chance_rows(found.shared_x_to_y.chance, found.shared_y_to_x.chance, ks)],
        "Share of queries whose own partner is among the K nearest items of the other domain "
        "(squared Euclidean distance of posterior means), with its 95% Wilson interval. Shared "
        f"latents should find it; exclusive latents must stay at chance. {_repeated(results)}"
        f"Active: {_active(results)}.{_chosen(results)}",
    )


def _degraded(clean: Retrieval | None, copies: Retrieval) -> Table:
    assert clean is not None
    pairs = zip(clean._asdict().items(), copies, strict=True)
    rows = [
        [DIRECTIONS[name], percent_interval(one.recall[1]), percent_interval(copy.recall[1])]
        for (name, one), copy in pairs
        if copy is not None and name.startswith(("shared", "chosen"))
    ]
    return Table(
        "Recall@1 of clean images and of degraded copies, %",
        ["latent and direction", "clean", "degraded"],
        rows,
        "Both images of a pair are enlarged to 256 pixels, saved as JPEG of quality 75, and made "
        "as small as before. If the copies find less, train with data.degrade.",
    )


def _chosen(results: Evaluation) -> str:
    if results.comparison is None:
        return ""
    return f" As chosen: by {results.comparison}, which was best on validation pairs."


def _chance_rows(
    x_to_y: Mapping[int, float], y_to_x: Mapping[int, float], ks: Sequence[int]
) -> list[list[str]]:
    """One row, or one each way where equal items make them differ."""
    first, second = ([percent(one[k]) if k in one else "-" for k in ks] for one in (x_to_y, y_to_x))
    if first == second:
        return [["chance", *first]]
    return [["chance, x to y", *first], ["chance, y to x", *second]]


def _repeated(results: Evaluation) -> str:
    """A sentence for each domain with equal items."""
    sentences = [
        f"{count.repeated:,} of {results.pairs:,} {domain} are equal to another; equal ones count "
        f"as one answer ({count.different:,} differ), and as queries they share their partners. "
        for domain, count in results.items.items()
        if count.repeated
    ]
    return "".join(sentences)


def _active(results: Evaluation) -> str:
    kept, all_of_them = results.active_dimensions, results.shared_dimensions
    if kept < all_of_them:
        return (
            f"only the {kept} of {all_of_them} dimensions of z_s through which partners share nats"
        )
    if results.none_active:
        return (
            f"all {kept} dimensions of z_s, because none is active here: the most nats of any "
            f"is {number(results.largest_nats, 2)}, and active are those of at least "
            f"{results.active_nats}"
        )
    return f"all {kept} dimensions of z_s; none was left out"


def _readability(found: Readability) -> Table:
    rows, first = [], next(iter(found.probes.values()), None)
    factors = list(first.cells) if first else []
    for latent in first.cells[factors[0]] if first else ():
        for view, matrix in found.probes.items():
            cells = (matrix.cells[factor][latent].linear for factor in factors)
            rows.append([f"{latent}, {view}", *(number(c.score, 3) if c else "-" for c in cells)])
    heads = [f"{f} ({first.measure[f]}), of {first.home[f]}" for f in factors] if first else []
    missing = any("-" in row for row in rows)
    return Table(
        "What can be read linearly from which latent",
        ["latent", *heads],
        [*rows, ["chance", *(_chance(found, factor) for factor in factors)]] if first else [],
        "R2 (1 is perfect, 0 or below is no better than the mean) or accuracy of a ridge "
        "probe on held-out pairs, five folds. A factor should be read from its own latent alone. "
        "A mean can show what a sample does not: a dimension whose signal lies far below its "
        "noise still orders its means; the active dimensions leave such ones out."
        + (" A dash: the latent is collapsed, the same for every pair." if missing else "")
        + "".join(f" Not read: {reason}." for reason in found.refused.values()),
    )


def _chance(found: Readability, factor: str) -> str:
    """The largest of all latents."""
    every = [cell.linear for m in found.probes.values() for cell in m.cells[factor].values()]
    return number(max((read.chance for read in every if read), default=None), 3)


def _translation(found: Mapping[str, TranslationQuality]) -> Table:
    rows: list[list[str]] = []
    for measure, text in MEASURES.items():
        known = [getattr(one, measure) or {} for one in found.values()]
        rows += [
            [f"{text}, z of the {source}", *(_estimate(one.get(source)) for one in known)]
            for source in _union(known)
        ]
    kernels = [one.kernel or {} for one in found.values()]
    rows += [
        [f"kernel distance (KID), z of the {source}", *(number(k.get(source), 4) for k in kernels)]
        for source in _union(kernels)
    ]
    rows.append(["difference between samples", *(_estimate(f.diversity) for f in found.values())])
    kept = [_estimate(f.content_recall) for f in found.values()]
    rows.append(["source found again from its translation, rate", *kept])
    kept = [_estimate(f.prior_content_recall) for f in found.values()]
    rows.append(["the same with a sample of the prior N(0, I)", *kept])
    guessed = [number(f.content_chance, 4) for f in found.values()]
    rows.append(["source found again by guessing, rate", *guessed])
    far = [number(f.content_distance, 4) for f in found.values()]
    rows.append(["distance of z_s from the source's (1: anyone's)", *far])
    pairs = max(one.pairs for one in found.values())
    return Table(
        f"Translations of {pairs:,} pairs",
        ["measure", *(name.replace("_", " ") for name in found)],
        rows,
        "Means over pairs with 95% intervals; values lie in [-1, 1]. Against the true partner, "
        "with the exclusive latent of that partner, of the prior mean, or sampled: from the "
        "aggregate posterior of training samples, or from the prior; "
        "SSIM is 1 for equal images; the kernel distance is about 0 where translations as a set "
        "look like partners, by the features of evaluation.backbone. "
        "Samples should differ in what is exclusive; z_s read back from "
        "a translation with a sampled exclusive latent should still be that of its source.",
    )


def _estimate(found: Estimate | None) -> str:
    return with_interval(*found, 4) if found else "-"


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


def percent_interval(found: Interval | None) -> str:
    """A rate in %, with its interval in brackets; a dash if there is none."""
    return f"{percent(found.rate)} [{percent(found.low)}, {percent(found.high)}]" if found else "-"


def percent(rate: float) -> str:
    """A rate in %."""
    return f"{100 * rate:.2f}"
