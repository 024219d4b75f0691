"""Results as tables of text, for the terminal and the report alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Table(NamedTuple):
    """A titled table, and a note that says how to read it."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str


DIRECTIONS = {
    "shared_x_to_y": "shared, x to y",
    "shared_y_to_x": "shared, y to x",
    "active_x_to_y": "shared (active), x to y",
    "active_y_to_x": "shared (active), y to x",
    "exclusive_x_to_y": "exclusive, x to y",
    "exclusive_y_to_x": "exclusive, y to x",
}

TERMS = {
    "nll_x": "-log p(x | z_s, z_x)",
    "nll_y": "-log p(y | z_s, z_y)",
    "kl_x": "KL[q(z_x|x) || p], at least I(X;Z_x)",
    "kl_y": "KL[q(z_y|y) || p], at least I(Y;Z_y)",
    "kl_s": "KL[q(z_s|x,y) || p], at least I(X,Y;Z_s)",
    "kl_s_x": "KL[q(z_s|x,y) || r_x], at least I(Y;Z_s|X)",
    "kl_s_y": "KL[q(z_s|x,y) || r_y], at least I(X;Z_s|Y)",
    "elbo": "ELBO",
    "information_bound": "information bound",
}


MEASURES = {
    "l1": "mean |difference|",
    "ssim": "SSIM",
    "perceptual": "perceptual distance",
}


def result_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """The tables of one evaluated set, a section of metrics.json."""
    tables = [_retrieval(metrics)] if metrics["retrieval"] else category_tables(metrics)
    if metrics["readability"]:
        tables.append(_readability(metrics))
    elif metrics["readability"] is None:
        note = "Not measured: probes need the extra 'sklearn': pip install 'iiae[sklearn]'"
        tables.append(Table("What can be read from which latent", [], [], note))
    if metrics.get("translation"):
        tables.append(_translation(metrics["translation"]))
    return [*tables, _nats(metrics)]


def category_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """The tables of zero-shot retrieval: each direction and latent, then the classes."""
    found = metrics["categories"]
    ways = {name: one for name, one in found.items() if isinstance(one, Mapping)}
    rows = [
        [
            measure,
            *(
                "{:.4f} [{:.3f}, {:.3f}]".format(one["mean"][measure], *one["interval"][measure])
                for one in ways.values()
            ),
        ]
        for measure in found["shared_x_to_y"]["mean"]
    ]
    columns = ["measure", *(DIRECTIONS[name] for name in ways)]
    shared = found["shared_x_to_y"]
    return [
        Table(
            f"Category retrieval, {found['classes']} classes, split {found['split']}: "
            f"{shared['queries']:,} x, {shared['gallery']:,} y",
            columns,
            rows,
            "Cosine distance of posterior means; the gallery is every item of the other domain. "
            f"Guessing reaches {found['chance']:.4f}, the mean share of relevant items. "
            "map@K_by_k divides by K, by_hits by the relevant items among the first K, by_possible "
            "by the smaller of K and all relevant items; map@all_voc interpolates precision. "
            "Bootstrap intervals over queries. Exclusive latents should stay at chance.",
        ),
        score_tables(shared)[1],
    ]


def domains_by_view(found: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Domain probes by view; of means alone where they were measured before there were views."""
    return {"means": found} if found and "linear" in found else found or {}


def best_reading(cell: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The better of the probes of one factor from one latent; None where that is collapsed."""
    readings = (reading for reading in cell.values() if reading)
    return max(readings, key=lambda reading: reading["score"], default=None)


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


def score_tables(found: Mapping[str, Any]) -> list[Table]:
    """The tables of category retrieval: `iiae.metrics.ranking.Scores` as plain values."""
    rows = [
        [name, f"{value:.4f}", "[{:.4f}, {:.4f}]".format(*found["interval"][name])]
        for name, value in found["mean"].items()
    ]
    left_out = found["queries_without_relevant"]
    measures = Table(
        f"{found['queries']:,} queries over {found['gallery']:,} items, {found['distance']}",
        ["measure", "mean", "95% interval"],
        rows,
        "Means over queries, with bootstrap intervals. map@K_by_k divides by K, by_hits by the "
        "relevant items among the first K, by_possible by the smaller of K and all relevant items; "
        "map@all_voc interpolates precision. "
        f"{left_out} queries have no relevant item and are left out.",
    )
    ordered = sorted(found["per_class"].items(), key=lambda item: item[1])
    shown = ordered if len(ordered) <= 10 else [*ordered[:5], *ordered[-5:]]
    classes = Table(
        f"map@all by class, {'all' if len(ordered) <= 10 else 'the five worst and best'} "
        f"of {len(ordered)}",
        ["class", "map@all"],
        [[name, f"{value:.4f}"] for name, value in shown],
        "Mean over the queries of each class.",
    )
    return [measures, classes]


def _retrieval(metrics: Mapping[str, Any]) -> Table:
    found = metrics["retrieval"]
    ks = list(next(iter(found.values())))
    rows: list[list[str]] = []
    for name, recalls in found.items():
        rows.append([DIRECTIONS[name], *map(percent_interval, recalls.values())])
    chance = [_percent(found["shared_x_to_y"][k]["chance"]) for k in ks]
    rows.append(["chance", *chance])
    return Table(
        f"Instance retrieval among {metrics['pairs']:,} items, %",
        ["latent and direction", *(f"Recall@{k.removeprefix('recall@')}" for k in ks)],
        rows,
        "Share of queries whose own partner is among the K nearest items of the other domain "
        "(squared Euclidean distance of posterior means), with its 95% Wilson interval. Shared "
        "latents should find it; exclusive latents must stay at chance. "
        f"Active: {_active(metrics)}.",
    )


def _active(metrics: Mapping[str, Any]) -> str:
    kept, all_of_them = metrics["active_dimensions"], metrics["shared_dimensions"]
    only = f"only the {kept} of {all_of_them} dimensions of z_s whose signal exceeds their noise"
    return only if kept < all_of_them else f"all {kept} dimensions of z_s; none was left out"


def _readability(metrics: Mapping[str, Any]) -> Table:
    factors = metrics["readability"]
    rows = [
        [latent, *(f"{factor['scores'][latent]:.3f}" for factor in factors)]
        for latent in factors[0]["scores"]
    ]
    return Table(
        "What can be read linearly from which latent",
        ["latent", *(f"{f['factor']} ({f['measure']}), of {f['belongs_to']}" for f in factors)],
        [*rows, ["chance", *(f"{factor['chance']:.3f}" for factor in factors)]],
        "R2 (1 is perfect, 0 or below is no better than the mean) or accuracy of a ridge "
        "probe on held-out pairs, five folds. A factor should be read from its own latent alone. "
        "A mean can show what a sample does not: a dimension whose signal lies far below its "
        "noise still orders its means; the active dimensions leave such ones out.",
    )


def _translation(found: Mapping[str, Any]) -> Table:
    first = next(iter(found.values()))
    rows: list[list[str]] = []
    for measure in ("l1", "ssim", "perceptual"):
        for source in first[measure] or ():
            cells = [_estimate(one[measure][source]) for one in found.values()]
            rows.append([f"{MEASURES[measure]}, z of the {source}", *cells])
    rows.append(["difference between draws", *(_estimate(f["diversity"]) for f in found.values())])
    kept = [_estimate(f["content_recall"]) for f in found.values()]
    rows.append(["source found again from its translation, rate", *kept])
    far = [f"{f['content_distance']:.4f}" for f in found.values()]
    rows.append(["distance of z_s from the source's (1: anyone's)", *far])
    return Table(
        f"Translations of {first['pairs']:,} pairs",
        ["measure", *(name.replace("_", " ") for name in found)],
        rows,
        "Means over pairs with 95% intervals; values lie in [-1, 1]. Against the true partner, "
        "with the exclusive latent of that partner, of the prior mean or drawn from the prior; "
        "SSIM is 1 for equal images. Draws should differ in what is exclusive; z_s read back from "
        "a translation with a drawn exclusive latent should still be that of its source.",
    )


def _estimate(found: Mapping[str, float]) -> str:
    return f"{found['mean']:.4f} [{found['low']:.4f}, {found['high']:.4f}]"


def _nats(metrics: Mapping[str, Any]) -> Table:
    nats = metrics["nats"]
    rows = [[text, f"{nats[name]:.2f}"] for name, text in TERMS.items()]
    rows += [
        [f"mean |{side} - {side}'| of an element", f"{metrics['absolute_error'][side]:.4f}"]
        for side in "xy"
    ]
    return Table(
        "Terms of the objective, nats a pair",
        ["term", "value"],
        rows,
        "Means over the set. KL terms bound from above what a latent holds; the information "
        "bound is up to the entropies of the data.",
    )


def percent_interval(found: Mapping[str, float]) -> str:
    """A rate in %, with its interval in brackets."""
    return f"{_percent(found['rate'])} [{_percent(found['low'])}, {_percent(found['high'])}]"


def _percent(rate: float) -> str:
    return f"{100 * rate:.2f}"
