"""Retrieval as tables: of instances, of categories, of scored files, and of a search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from iiae.metrics.ranking import Scores
from iiae.report.table import Table, number, percent, percent_interval, with_interval
from iiae.results import (
    CategoryRetrieval,
    Evaluation,
    Retrieval,
)

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
MEANINGS = (
    "Chance: what rankings drawn at random reach in each measure. map@K_by_k divides by K, by_hits "
    "by the relevant items among the first K, by_possible by the smaller of K and all relevant "
    "items; map@all_voc interpolates precision."
)


def category_tables(categories: CategoryRetrieval) -> list[Table]:
    """The tables of zero-shot retrieval: each direction and latent, then the classes."""
    ways = {name: one for name, one in categories._asdict().items() if isinstance(one, Scores)}
    shared = categories.shared_x_to_y
    chances = {"x_to_y": shared.chance, "y_to_x": categories.shared_y_to_x.chance}
    rows = [
        [
            measure,
            *(_scored(one, measure) for one in ways.values()),
            *(number(one.get(measure), 4) for one in chances.values()),
        ]
        for measure in union(one.mean for one in ways.values())
    ]
    guesses = [f"chance, {name.replace('_', ' ')}" for name in chances]
    return [
        Table(
            f"Category retrieval, {categories.classes} classes, {categories.class_list}: "
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
    labelled = any(label for some in hits for _, label, _ in some)
    heading = ["", "distance", *(["label"] if labelled else []), "path"]
    tables: list[Table] = []
    for query, some in zip(queries, hits, strict=True):
        rows = [
            [str(i + 1), f"{d:.4f}", *([label] if labelled else []), path]
            for i, (d, label, path) in enumerate(some)
        ]
        tables.append(Table(query, heading, rows, f"{method} search" if rows else "no item found"))
    return tables


def score_tables(scores: Scores) -> list[Table]:
    """The tables of category retrieval."""
    rows = [
        [
            name,
            f"{value:.4f}",
            "[{:.4f}, {:.4f}]".format(*scores.interval[name]),
            number(scores.chance[name], 4),
        ]
        for name, value in scores.mean.items()
    ]
    measures = Table(
        f"{scores.queries:,} queries over {scores.gallery:,} items, {scores.distance}",
        ["measure", "mean", "95% interval", "chance"],
        rows,
        f"Means over queries, with bootstrap intervals. {MEANINGS} "
        f"{scores.queries_without_relevant:,} queries have no relevant item and are left out.",
    )
    return [measures, _class_table(scores)]


def _class_table(scores: Scores, of: str = "") -> Table:
    ordered = sorted(scores.per_class.items(), key=lambda item: item[1])
    shown = ordered if len(ordered) <= 10 else [*ordered[:5], *ordered[-5:]]
    return Table(
        f"{of}map@all by class, {'all' if len(ordered) <= 10 else 'the five worst and best'} "
        f"of {len(ordered)}",
        ["class", "map@all", "chance"],
        [[name, f"{value:.4f}", number(scores.per_class_chance[name], 4)] for name, value in shown],
        "Mean over the queries of each class.",
    )


def _scored(scores: Scores, measure: str) -> str:
    if measure not in scores.mean:
        return "-"
    return with_interval(scores.mean[measure], *scores.interval[measure], 4, 3)


def union(keys: Iterable[Iterable[Any]]) -> list[Any]:
    """All keys in the order in which they come first: what one lacks another may have."""
    return list(dict.fromkeys(name for some in keys for name in some))


def retrieval_table(results: Evaluation) -> Table:
    retrieval = results.retrieval
    assert retrieval is not None
    ways = {name: one for name, one in retrieval._asdict().items() if one is not None}
    ks = union(one.recall for one in ways.values())
    rows = [
        [DIRECTIONS[name], *(percent_interval(one.recall.get(k)) for k in ks)]
        for name, one in ways.items()
    ]
    return Table(
        f"Instance retrieval among {results.pairs:,} items, %",
        ["latent and direction", *(f"Recall@{k}" for k in ks)],
        [*rows, *_chance_rows(retrieval.shared_x_to_y.chance, retrieval.shared_y_to_x.chance, ks)],
        "Share of queries whose own partner is among the K nearest items of the other domain "
        "(squared Euclidean distance of posterior means), with its 95% Wilson interval. Shared "
        f"latents should find it; exclusive latents must stay at chance. {_repeated(results)}"
        f"Active: {_active(results)}.{_chosen(results)}",
    )


def degraded_table(clean: Retrieval | None, copies: Retrieval) -> Table:
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
