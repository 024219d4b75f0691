"""What latents hold of known factors, as tables: probes, leakage, swaps and axis scores."""

from __future__ import annotations

from collections.abc import Mapping

from iiae.metrics.probe_matrix import ProbeMatrix
from iiae.metrics.readings import Reading
from iiae.report.table import Table, number, with_interval
from iiae.results import (
    Axes,
    Evidence,
    SwapResult,
)


def leakage_table(evidence: Evidence) -> Table:
    rows = []
    for kind, leak in evidence.leakage.items():
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
        f"Leakage, {evidence.pairs:,} pairs",
        ["latents", "leakage", "largest", "read at home"],
        rows,
        "One number for what is in the wrong place: the mean over factors of the most that any "
        "probe reads of it from a latent it does not belong to, 0 at chance, 1 without error. Read "
        "at home: the same from the latent it belongs to; a small leak means little where this "
        "is small too. A collapsed latent is reported as such and not scored.",
    )


def probe_table(kind: str, matrix: ProbeMatrix) -> Table:
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


def _reading(reading: Reading | None) -> str:
    return with_interval(*reading[:3], 3) if reading else "collapsed"


def swap_table(swaps: Mapping[str, list[SwapResult]]) -> Table:
    rows = [
        [
            f"{factor} in {one.domain} ({one.measure})",
            "z_s" if one.right == "shared" else f"z_{one.domain}",
            number(one.from_shared, 3),
            number(one.from_exclusive, 3),
            number(one.real, 3),
        ]
        for factor, origins in swaps.items()
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


def axis_table(axes: Axes) -> Table:
    both = zip(axes.dci._fields, axes.dci_by_block, axes.dci, strict=True)
    rows = [[f"DCI {name}", number(block, 3), number(one, 3)] for name, block, one in both]
    rows += [
        [name, number(gaps.block, 3), number(gaps.dimension, 3)]
        for name, gaps in (("MIG", axes.mig), ("SAP", axes.sap))
    ]
    return Table(
        "Axis scores",
        ["score", "by block", "by dimension"],
        rows,
        "1 is best. DCI (Eastwood and Williams 2018), MIG (Chen et al. 2018) and SAP (Kumar et al. "
        "2018), with whole latents as the units, and with single dimensions. This model asks for "
        "separate blocks, not for one factor a dimension: the first column is the one to judge by.",
    )
