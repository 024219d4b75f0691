"""Results as tables of text, for the terminal and the report alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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

HUGE = 1e9  # written with an exponent from here on

MEANINGS = (
    "Chance: what rankings drawn at random reach in each measure. map@K_by_k divides by K, by_hits "
    "by the relevant items among the first K, by_possible by the smaller of K and all relevant "
    "items; map@all_voc interpolates precision."
)


def number(value: float | None, digits: int) -> str:
    """A number with so many decimals; a dash if there is none, or none that is finite."""
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if abs(value) < HUGE else f"{value:.2e}"


def with_interval(
    value: float | None, low: float | None, high: float | None, digits: int, ends: int | None = None
) -> str:
    """A number to `digits` decimals and its interval to `ends`; dashes for what is missing."""
    if value is None:
        return "-"
    ends = digits if ends is None else ends
    known = low is not None and high is not None
    interval = f"{number(low, ends)}, {number(high, ends)}" if known else "-"
    return f"{number(value, digits)} [{interval}]"


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
    tables += [_task(name, found) for name, found in metrics.get("tasks", {}).items()]
    return [*tables, _nats(metrics)]


def _task(name: str, found: Any) -> Table:
    """What a task of the user's own returned, as it is."""
    values = found if isinstance(found, Mapping) else {"value": found}
    rows = [
        [str(key), number(value, 4) if isinstance(value, float) else str(value)]
        for key, value in values.items()
    ]
    return Table(name, ["measure", "value"], rows, "A measure of your own (evaluation.tasks).")


def category_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """The tables of zero-shot retrieval: each direction and latent, then the classes."""
    found = metrics["categories"]
    ways = {name: one for name, one in found.items() if isinstance(one, Mapping)}
    chances = {name: ways[f"shared_{name}"]["chance"] for name in ("x_to_y", "y_to_x")}
    rows = [
        [
            measure,
            *(_scored(one, measure) for one in ways.values()),
            *(number(one.get(measure), 4) for one in chances.values()),
        ]
        for measure in _union(one["mean"] for one in ways.values())
    ]
    guesses = [f"chance, {name.replace('_', ' ')}" for name in chances]
    shared = found["shared_x_to_y"]
    return [
        Table(
            f"Category retrieval, {found['classes']} classes, split {found['split']}: "
            f"{shared['queries']:,} x, {shared['gallery']:,} y",
            ["measure", *(DIRECTIONS[name] for name in ways), *guesses],
            rows,
            "Cosine distance of posterior means; the gallery is every item of the other domain. "
            f"{MEANINGS} Bootstrap intervals over queries. Exclusive latents should stay at "
            "chance. A dash: the gallery has fewer items than the cut-off.",
        ),
        _class_table(shared, f"{DIRECTIONS['shared_x_to_y']}: "),
    ]


def domains_by_view(found: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Domain probes by view; of means alone where they were measured before there were views."""
    return {"means": found} if found and "linear" in found else found or {}


def largest(values: Mapping[str, float | None]) -> str:
    """Name of the largest value; one that is missing counts as the smallest."""
    return max(values, key=lambda name: (values[name] is not None, values[name] or 0.0))


def best_reading(cell: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The better of the probes of one factor from one latent; None where that is collapsed."""
    readings = [r for r in cell.values() if r and r["score"] is not None]
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
        [
            name,
            f"{value:.4f}",
            "[{:.4f}, {:.4f}]".format(*found["interval"][name]),
            number(found["chance"][name], 4),
        ]
        for name, value in found["mean"].items()
    ]
    left_out = found["queries_without_relevant"]
    measures = Table(
        f"{found['queries']:,} queries over {found['gallery']:,} items, {found['distance']}",
        ["measure", "mean", "95% interval", "chance"],
        rows,
        f"Means over queries, with bootstrap intervals. {MEANINGS} {left_out:,} queries have no "
        "relevant item and are left out.",
    )
    return [measures, _class_table(found)]


def _class_table(found: Mapping[str, Any], of: str = "") -> Table:
    ordered = sorted(found["per_class"].items(), key=lambda item: item[1])
    shown = ordered if len(ordered) <= 10 else [*ordered[:5], *ordered[-5:]]
    return Table(
        f"{of}map@all by class, {'all' if len(ordered) <= 10 else 'the five worst and best'} "
        f"of {len(ordered)}",
        ["class", "map@all", "chance"],
        [
            [name, f"{value:.4f}", number(found["per_class_chance"][name], 4)]
            for name, value in shown
        ],
        "Mean over the queries of each class.",
    )


def _scored(found: Mapping[str, Any], measure: str) -> str:
    if measure not in found["mean"]:
        return "-"
    low, high = found["interval"][measure]
    return with_interval(found["mean"][measure], low, high, 4, 3)


def _union(keys: Iterable[Iterable[str]]) -> list[str]:
    """All keys in the order in which they come first: what one lacks another may have."""
    return list(dict.fromkeys(name for some in keys for name in some))


def _retrieval(metrics: Mapping[str, Any]) -> Table:
    found = metrics["retrieval"]
    ks = _union(found.values())
    rows = [
        [DIRECTIONS[name], *(percent_interval(recalls[k]) if k in recalls else "-" for k in ks)]
        for name, recalls in found.items()
    ]
    return Table(
        f"Instance retrieval among {metrics['pairs']:,} items, %",
        ["latent and direction", *(f"Recall@{k.removeprefix('recall@')}" for k in ks)],
        [*rows, *_chance_rows(found, ks)],
        "Share of queries whose own partner is among the K nearest items of the other domain "
        "(squared Euclidean distance of posterior means), with its 95% Wilson interval. Shared "
        f"latents should find it; exclusive latents must stay at chance. {_repeated(metrics)}"
        f"Active: {_active(metrics)}.",
    )


def _chance_rows(found: Mapping[str, Any], ks: Sequence[str]) -> list[list[str]]:
    """One row, or one each way where equal items make them differ."""
    ways = ("x_to_y", "y_to_x")
    first, second = ([_chance(found[f"shared_{way}"], k) for k in ks] for way in ways)
    if first == second:
        return [["chance", *first]]
    return [["chance, x to y", *first], ["chance, y to x", *second]]


def _chance(recalls: Mapping[str, Any], k: str) -> str:
    return percent(recalls[k]["chance"]) if k in recalls else "-"


def _repeated(metrics: Mapping[str, Any]) -> str:
    """A sentence for each domain with equal items."""
    sentences = [
        f"{count['repeated']:,} of {metrics['pairs']:,} {domain} are equal to another; equal ones "
        f"count as one answer ({count['different']:,} differ), and as queries they share their "
        "partners. "
        for domain, count in metrics["items"].items()
        if count["repeated"]
    ]
    return "".join(sentences)


def _active(metrics: Mapping[str, Any]) -> str:
    kept, all_of_them = metrics["active_dimensions"], metrics["shared_dimensions"]
    if kept < all_of_them:
        return (
            f"only the {kept} of {all_of_them} dimensions of z_s whose signal exceeds their noise"
        )
    if none_active(metrics):
        return (
            f"all {kept} dimensions of z_s, because none is active here: the largest signal share "
            f"is {number(metrics['largest_signal_share'], 2)}, and active are those above "
            f"{metrics['active_threshold']}"
        )
    return f"all {kept} dimensions of z_s; none was left out"


def none_active(metrics: Mapping[str, Any]) -> bool:
    """Whether all dimensions of z_s count as active only because none of them is."""
    share = metrics["largest_signal_share"]
    all_kept = metrics["active_dimensions"] == metrics["shared_dimensions"]
    return all_kept and share is not None and share <= metrics["active_threshold"]


def _readability(metrics: Mapping[str, Any]) -> Table:
    factors = metrics["readability"]
    rows = [
        [latent, *(number(factor["scores"].get(latent), 3) for factor in factors)]
        for latent in _union(factor["scores"] for factor in factors)
    ]
    missing = any(score is None for factor in factors for score in factor["scores"].values())
    return Table(
        "What can be read linearly from which latent",
        ["latent", *(f"{f['factor']} ({f['measure']}), of {f['belongs_to']}" for f in factors)],
        [*rows, ["chance", *(number(factor["chance"], 3) for factor in factors)]],
        "R2 (1 is perfect, 0 or below is no better than the mean) or accuracy of a ridge "
        "probe on held-out pairs, five folds. A factor should be read from its own latent alone. "
        "A mean can show what a sample does not: a dimension whose signal lies far below its "
        "noise still orders its means; the active dimensions leave such ones out."
        + (
            " A dash: the factor is the same in all pairs, or the pairs are fewer than folds."
            if missing
            else ""
        ),
    )


def _translation(found: Mapping[str, Any]) -> Table:
    rows: list[list[str]] = []
    for measure, text in MEASURES.items():
        known = [one[measure] or {} for one in found.values()]
        rows += [
            [f"{text}, z of the {source}", *(_estimate(one.get(source)) for one in known)]
            for source in _union(known)
        ]
    rows.append(["difference between draws", *(_estimate(f["diversity"]) for f in found.values())])
    kept = [_estimate(f["content_recall"]) for f in found.values()]
    rows.append(["source found again from its translation, rate", *kept])
    guessed = [number(f["content_chance"], 4) for f in found.values()]
    rows.append(["source found again by guessing, rate", *guessed])
    far = [number(f["content_distance"], 4) for f in found.values()]
    rows.append(["distance of z_s from the source's (1: anyone's)", *far])
    pairs = max(one["pairs"] for one in found.values())
    return Table(
        f"Translations of {pairs:,} pairs",
        ["measure", *(name.replace("_", " ") for name in found)],
        rows,
        "Means over pairs with 95% intervals; values lie in [-1, 1]. Against the true partner, "
        "with the exclusive latent of that partner, of the prior mean or drawn from the prior; "
        "SSIM is 1 for equal images. Draws should differ in what is exclusive; z_s read back from "
        "a translation with a drawn exclusive latent should still be that of its source.",
    )


def _estimate(found: Mapping[str, float | None] | None) -> str:
    return with_interval(found["mean"], found["low"], found["high"], 4) if found else "-"


def _nats(metrics: Mapping[str, Any]) -> Table:
    nats = metrics["nats"]
    rows = [[text, number(nats[name], 2)] for name, text in TERMS.items()]
    rows += [
        [f"mean |{side} - {side}'| of an element", number(metrics["absolute_error"][side], 4)]
        for side in "xy"
    ]
    lost = " A dash: not finite, as a pair lies far outside the range of the training pairs."
    return Table(
        "Terms of the objective, nats a pair",
        ["term", "value"],
        rows,
        "Means over the set. KL terms bound from above what a latent holds; the information "
        "bound is up to the entropies of the data."
        + (lost if any(row[1] == "-" for row in rows) else ""),
    )


def percent_interval(found: Mapping[str, float]) -> str:
    """A rate in %, with its interval in brackets."""
    return f"{percent(found['rate'])} [{percent(found['low'])}, {percent(found['high'])}]"


def percent(rate: float) -> str:
    """A rate in %."""
    return f"{100 * rate:.2f}"
