"""Evidence of disentanglement as tables, for the terminal and the report alike."""

from __future__ import annotations

import math
from collections.abc import Mapping

from iiae.metrics.independence import Dependence, ToldApart
from iiae.metrics.information import Information
from iiae.metrics.leakage import ProbeMatrix, Reading
from iiae.report.tables import Table, number, percent, with_interval
from iiae.results import (
    Axes,
    Bound,
    Evidence,
    Gains,
    InformationTerms,
    Matching,
    NullRuns,
    Origin,
)


def evidence_tables(found: Evidence) -> list[Table]:
    """The tables of one set."""
    tables: list[Table] = []
    if found.matching:
        tables.append(_matching(found.matching))
    if found.null:
        tables.append(_null(found.null))
    if found.gains:
        tables.append(_gains(found.gains))
    if found.leakage:
        tables.append(_leakage(found))
        for i, (kind, matrix) in enumerate(found.probes.items()):
            table = _probes(kind, matrix)
            tables.append(table if i == 0 else table._replace(note="Probes and notes as above."))
    if found.swap:
        tables.append(_swap(found.swap))
    if found.information:
        tables.append(_information(found.information))
    tables.append(_curves(found))
    if found.domains:
        tables.append(_domains(found.domains))
    tables.append(_dependence(found.dependence))
    if found.axes:
        tables.append(_axes(found.axes))
    return [table for table in tables if table.rows]


def _leakage(found: Evidence) -> Table:
    rows = []
    for kind, leak in found.leakage.items():
        gone = ", ".join(leak.collapsed)
        most, value = max(leak.by_factor.items(), key=lambda item: item[1])
        rows.append(
            [
                kind,
                f"collapsed: {gone}" if gone else number(leak.value, 3),
                f"{most} ({number(value, 3)})",
                number(leak.at_home, 3),
            ]
        )
    return Table(
        f"Leakage, {found.pairs:,} pairs",
        ["latents", "leakage", "largest", "read at home"],
        rows,
        "One number for what is in the wrong place: the mean over factors of the most that any "
        "probe reads of it from a latent it does not belong to, 0 at chance, 1 without error. Read "
        "at home: the same from the latent it belongs to; a small leak means little where this "
        "is small too. A collapsed latent is reported as such and not scored.",
    )


def _probes(kind: str, matrix: ProbeMatrix) -> Table:
    rows = []
    for factor, blocks in matrix.cells.items():
        for probe in ("linear", "nonlinear"):
            each: list[Reading | None] = [getattr(cell, probe) for cell in blocks.values()]
            ends = [(one.chance, one.chance_high) for one in each if one]
            chance = ", ".join(number(max(end), 3) for end in zip(*ends, strict=True)) or "-"
            name = f"{factor} (of {matrix.home[factor]}), {probe}"
            rows.append([name, *map(_reading, each), chance])
    blocks = next(iter(matrix.cells.values()))
    return Table(
        f"What each latent predicts of each factor, by its {kind}",
        ["factor and probe", *blocks, "chance, its 95%"],
        rows,
        f"R2 or accuracy on held-out pairs ({matrix.samples:,} used, five folds) with 95% "
        "bootstrap intervals. Chance: the same probe on shuffled factors, mean and 95th "
        "percentile, and at least the best constant answer; of the latent where it is largest. z_s "
        "stands for r_x and r_y side by side. Means can show what samples do not: a dimension "
        "whose signal lies far below its noise still orders its means, and two readings of one "
        "such dimension show more than one does. Active means leave it out.",
    )


def _reading(found: Reading | None) -> str:
    return with_interval(*found[:3], 3) if found else "collapsed"


def _swap(found: Mapping[str, list[Origin]]) -> Table:
    rows = [
        [
            f"{factor} in {one.domain} ({one.measure})",
            "z_s" if one.right == "shared" else f"z_{one.domain}",
            number(one.from_shared, 3),
            number(one.from_exclusive, 3),
            number(one.real, 3),
        ]
        for factor, origins in found.items()
        for one in origins
    ]
    return Table(
        "Swaps: z_s of one pair decoded with the exclusive latent of another",
        ["factor", "should follow", "agrees with z_s's pair", "with the other", "reader at best"],
        rows,
        "A reader trained on real samples reads each factor off the decoded sample; the score is "
        "against the pair that gave z_s and against the one that gave the exclusive latent. "
        "Reader at best: its score on real samples.",
    )


def _matching(found: Matching) -> Table:
    nats, most = with_interval(*found.nats, digits=3), number(found.most, 3)
    recall = [percent(found.recall), percent(found.null_recall)]
    return Table(
        f"Do held-out partners match? {found.pairs:,} pairs, {found.permutations} shufflings",
        ["measure", "partners", "shuffled", "their 95%", "at most"],
        [
            ["nats, a lower bound of I(X;Y)", nats, *_both(found.null, found.null_high), most],
            ["partner comes first, %", *recall, "-", "100.00"],
        ],
        f"p {found.p_value:.3g}: the share of shufflings whose mean score is as high. Nats tell "
        "which of the items is the partner, by the closed-form mutual information of z_s given x "
        "and given y; so many pairs cannot show more than the last column.",
    )


def _both(*values: float) -> list[str]:
    return [number(value, 3) for value in values]


def _null(found: NullRuns) -> Table:
    names = {
        "nats": "nats, as above",
        "recall": "partner comes first, rate",
        "interaction": "I(X;Y;Z_s), nats, at least",
    }
    rows = []
    for name, text in names.items():
        null = [getattr(one, name) for one in found.shuffled]
        values = (getattr(found.real, name), min(null), max(null), getattr(found.excess, name))
        rows.append([text, *_both(*values), f"{getattr(found.p_values, name):.3g}"])
    return Table(
        f"Trained anew for {found.epochs} epochs: the pairs as they are, and "
        f"{len(found.shuffled)} times with shuffled partners",
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


def _gains(found: Mapping[str, Gains]) -> Table:
    rows = []
    for view, gains in found.items():
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


def _information(found: InformationTerms) -> Table:
    rows = []
    for text, ends in INTERVALS.items():
        bounds = [getattr(found, name) if name else Bound(0.0, 0.0, 0.0) for name in ends]
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
        f"pairs, here {math.log(found.pairs):.2f}: where one comes near, the truth may be far "
        "above. docs/disentanglement.md has the inequalities.",
    )


def _curves(found: Evidence) -> Table:
    rows = []
    for way, curve in (("x to y", found.exclusive_x_to_y), ("y to x", found.exclusive_y_to_x)):
        if curve is None:
            continue
        half = min(curve.recall, key=lambda k: abs(k - found.pairs / 2))
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


def _domains(found: Mapping[str, ToldApart]) -> Table:
    rows = [
        [f"{view}, {kind}", percent(accuracy), f"{p_value:.3g}"]
        for view, one in found.items()
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


def _dependence(found: Mapping[str, Mapping[str, Information | Dependence | str]]) -> Table:
    names = {
        "gaussian": "Gaussian (64 components)",
        "ksg": "KSG (2 components)",
        "infonce": "InfoNCE, lower bound (8)",
        "club": "CLUB (8)",
        "hsic": "HSIC, p of independence",
    }
    refused: dict[str, str] = {}  # a letter by reason

    def cell(one: Information | Dependence | str) -> str:
        if isinstance(one, str):
            return f"refused ({refused.setdefault(one, chr(ord('a') + len(refused)))})"
        if isinstance(one, Dependence):
            return number(one.p_value, 3)
        return with_interval(*one[:3], 3) + ("" if one.in_range else " †")

    rows = [
        [text, *(cell(pair[estimator]) for pair in found.values())]
        for estimator, text in names.items()
    ]
    reasons = "".join(f" ({letter}) {reason}." for reason, letter in refused.items())
    return Table(
        "Dependence between latents, nats",
        ["estimator", *found],
        rows,
        "Mutual information of leading principal components of means, with 95% intervals; † marks "
        "a value outside the range in which the estimator was validated, and where samples or "
        f"dimensions are outside it, the estimator refuses.{reasons} docs/disentanglement.md has "
        "the ranges.",
    )


def _axes(found: Axes) -> Table:
    both = zip(found.dci._fields, found.dci_by_block, found.dci, strict=True)
    rows = [[f"DCI {name}", number(block, 3), number(one, 3)] for name, block, one in both]
    rows += [
        [name, number(gaps.block, 3), number(gaps.dimension, 3)]
        for name, gaps in (("MIG", found.mig), ("SAP", found.sap))
    ]
    return Table(
        "Axis scores",
        ["score", "by block", "by dimension"],
        rows,
        "1 is best. DCI (Eastwood and Williams 2018), MIG (Chen et al. 2018) and SAP (Kumar et al. "
        "2018), with whole latents as the units, and with single dimensions. This model asks for "
        "separate blocks, not for one factor a dimension: the first column is the one to judge by.",
    )
