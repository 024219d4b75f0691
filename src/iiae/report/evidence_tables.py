"""Evidence of disentanglement as tables, for the terminal and the report alike."""

from __future__ import annotations

import math
from collections.abc import Mapping

from iiae.metrics.independence import Dependence, DomainProbe
from iiae.metrics.information import Information
from iiae.report.factor_tables import axis_table, leakage_table, probe_table, swap_table
from iiae.report.table import Table, number, percent, with_interval
from iiae.results import (
    Bound,
    Evidence,
    Gains,
    InformationTerms,
    Matching,
    NullRuns,
)


def evidence_tables(evidence: Evidence) -> list[Table]:
    """The tables of one set."""
    tables: list[Table] = []
    if evidence.matching:
        tables.append(_matching(evidence.matching))
    if evidence.null:
        tables.append(_null(evidence.null))
    if evidence.gains:
        tables.append(_gains(evidence.gains))
    if evidence.leakage:
        tables.append(leakage_table(evidence))
        for i, (kind, matrix) in enumerate(evidence.probes.items()):
            table = probe_table(kind, matrix)
            tables.append(table if i == 0 else table._replace(note="Probes and notes as above."))
    if evidence.swap:
        tables.append(swap_table(evidence.swap))
    if evidence.information:
        tables.append(_information(evidence.information))
    tables.append(_curves(evidence))
    if evidence.domains:
        tables.append(_domains(evidence.domains))
    if evidence.dependence:
        tables.append(_dependence(evidence.dependence))
    if evidence.axes:
        tables.append(axis_table(evidence.axes))
    return [table for table in tables if table.rows]


def _matching(matching: Matching) -> Table:
    nats, most = with_interval(*matching.nats, digits=3), number(matching.most, 3)
    recall = [percent(matching.recall), percent(matching.null_recall)]
    return Table(
        f"Do held-out partners match? {matching.pairs:,} pairs, {matching.permutations} shufflings",
        ["measure", "partners", "shuffled", "their 95%", "at most"],
        [
            [
                "nats, a lower bound of I(X;Y)",
                nats,
                *_both(matching.null, matching.null_high),
                most,
            ],
            ["partner comes first, %", *recall, "-", "100.00"],
        ],
        f"p {matching.p_value:.3g}: the share of shufflings whose mean score is as high. Nats tell "
        "which of the items is the partner, by the closed-form mutual information of z_s given x "
        "and given y; so many pairs cannot show more than the last column.",
    )


def _both(*values: float) -> list[str]:
    return [number(value, 3) for value in values]


def _null(runs: NullRuns) -> Table:
    names = {
        "nats": "nats, as above",
        "recall": "partner comes first, rate",
        "interaction": "I(X;Y;Z_s), nats, at least",
    }
    rows = []
    for name, text in names.items():
        null = [getattr(one, name) for one in runs.shuffled]
        values = (getattr(runs.real, name), min(null), max(null), getattr(runs.excess, name))
        rows.append([text, *_both(*values), f"{getattr(runs.p_values, name):.3g}"])
    return Table(
        f"Trained anew for {runs.epochs} epochs: the pairs as they are, and "
        f"{len(runs.shuffled)} times with shuffled partners",
        ["measure", "as they are", "shuffled: least", "most", "beyond their mean", "p"],
        rows,
        "All these trainings are of the same length, shorter than the run's own. p: the share of "
        "all of them that reach as much; with k shufflings at least 1 / (k + 1).",
    )


GAINS = {
    "shared_in_z_x": "shared in z_x: y from z_x",
    "shared_in_z_y": "shared in z_y: x from z_y",
    "exclusive_in_z_s_x": "only x's in z_s: x from z_s given x, beyond z_s given y",
    "exclusive_in_z_s_y": "only y's in z_s: y from z_s given y, beyond z_s given x",
}


def _gains(views: Mapping[str, Gains]) -> Table:
    rows = []
    for view, gains in views.items():
        for name, text in GAINS.items():
            one = getattr(gains, name)
            cells = ["collapsed", "-", "-", "-", "-"]
            if one:
                gain = with_interval(one.gain, one.low, one.high, 3)
                cells = [gain, f"{100 * one.share:.0f}"]
                cells += _both(one.null_high, one.p_value, one.without)
            rows.append([f"{text} ({view})", *cells])
    return Table(
        "Leakage without known factors",
        [
            "what, by which view",
            "gain in R2",
            "% of possible",
            "95% of shuffled",
            "p",
            "R2 without",
        ],
        rows,
        "What a latent adds to a linear prediction of a domain on held-out pairs, of all the "
        "variance of the domain's leading components, and of what z_s and the exclusive latent "
        "add together. Where nothing leaked it adds nothing. What means show and samples do not "
        "lies below the noise of the posterior. z_s given x may also gain because y shows the same "
        "content less clearly.",
    )


INTERVALS = {
    "I(X;Z_x): what z_x says of x": ("exclusive_x_lower", "exclusive_x"),
    "I(Y;Z_y): what z_y says of y": ("exclusive_y_lower", "exclusive_y"),
    "I(X,Y;Z_s): what z_s says of both": ("joint_lower", "interaction_upper"),
    "I(X;Z_s given Y): only x's, yet in z_s": (None, "only_x"),
    "I(Y;Z_s given X): only y's, yet in z_s": (None, "only_y"),
    "I(X;Y;Z_s): what x and y share in z_s": ("interaction_lower", "interaction_upper"),
    "the same, if z_s is as fitted": ("interaction_estimate", "interaction_upper"),
}


def _information(terms: InformationTerms) -> Table:
    rows = []
    for text, ends in INTERVALS.items():
        bounds = [getattr(terms, name) if name else Bound(0.0, 0.0, 0.0) for name in ends]
        cells = [
            with_interval(bound.value, bound.low, bound.high, 2) if name else "0.00"
            for name, bound in zip(ends, bounds, strict=True)
        ]
        rows.append([text, *cells])
    return Table(
        "Information in the latents, nats",
        ["quantity", "at least", "at most"],
        rows,
        "Bounds with 95% bootstrap intervals over pairs. What is at least I(X;Y;Z_s) is at least "
        "I(X;Y) too. Without an assumption no lower bound exceeds the logarithm of the number of "
        f"pairs, here {math.log(terms.pairs):.2f}: where one comes near, the truth may be far "
        "above. docs/disentanglement.md has the inequalities.",
    )


def _curves(evidence: Evidence) -> Table:
    rows = []
    for way, curve in (
        ("x to y", evidence.exclusive_x_to_y),
        ("y to x", evidence.exclusive_y_to_x),
    ):
        if curve is None:
            continue
        half = min(curve.recall, key=lambda k: abs(k - evidence.pairs / 2))
        cells = [
            f"{percent(curve.recall[k])} (chance {percent(curve.chance[k])})" for k in (1, half)
        ]
        rows.append([f"exclusive {way}", *cells, f"{curve.area:+.4f}"])
    return Table(
        "Exclusive retrieval over the whole curve, %",
        ["direction", "Recall@1", "Recall@N/2", "area above chance"],
        rows,
        "Recall@K of the partner by exclusive means for K from 1 to N. The area is 0 where it "
        "guesses, 1 where every partner comes first: a latent can be at chance for K = 1 and "
        "still know something, which the area shows.",
    )


def _domains(views: Mapping[str, DomainProbe]) -> Table:
    rows = [
        [f"{view}, {kind}", percent(accuracy), f"{p_value:.3g}"]
        for view, one in views.items()
        for kind, accuracy, p_value in (
            ("linear", one.linear, one.linear_p_value),
            ("nonlinear", one.nonlinear, one.nonlinear_p_value),
        )
    ]
    return Table(
        "Can z_s given x be told from z_s given y?",
        ["z_s and classifier", "accuracy, %", "p of guessing"],
        rows,
        "A classifier two-sample test, held out by pair; 50% is guessing. Above it, z_s still "
        "knows which domain it was read from.",
    )


ESTIMATORS = {
    "gaussian": "Gaussian (64 components)",
    "ksg": "KSG (2 components)",
    "infonce": "InfoNCE, lower bound (8)",
    "club": "CLUB (8)",
    "hsic": "HSIC, p of independence",
}


def _dependence(pairs: Mapping[str, Mapping[str, Information | Dependence | str]]) -> Table:
    refused: dict[str, str] = {}  # a letter by reason

    def cell(one: Information | Dependence | str) -> str:
        if isinstance(one, str):
            return f"refused ({refused.setdefault(one, chr(ord('a') + len(refused)))})"
        if isinstance(one, Dependence):
            return number(one.p_value, 3)
        return with_interval(*one[:3], 3) + ("" if one.in_range else " †")

    rows = [
        [text, *(cell(pair[estimator]) for pair in pairs.values())]
        for estimator, text in ESTIMATORS.items()
    ]
    reasons = "".join(f" ({letter}) {reason}." for reason, letter in refused.items())
    return Table(
        "Dependence between latents, nats",
        ["estimator", *pairs],
        rows,
        "Mutual information of leading principal components of means, with 95% intervals; † marks "
        "a value outside the range in which the estimator was validated, and where samples or "
        f"dimensions are outside it, the estimator refuses.{reasons} docs/disentanglement.md has "
        "the ranges.",
    )
