"""Results as if they had been measured."""

from __future__ import annotations

from iiae.metrics.leakage import Leakage
from iiae.metrics.probe_matrix import Cell, ProbeMatrix
from iiae.metrics.ranking import Scores
from iiae.metrics.readings import Reading
from iiae.metrics.retrieval import InstanceRetrieval, Interval
from iiae.report.result_tables import result_tables
from iiae.report.table import Table
from iiae.results import Evaluation, ItemCounts, Nats, Readability, Retrieval


def recalls(rates: dict[int, float], chance: dict[int, float]) -> InstanceRetrieval:
    recall = {k: Interval(rate, rate - 0.01, rate + 0.01) for k, rate in rates.items()}
    return InstanceRetrieval(recall, chance, 100, 100)


def scores(**measures: tuple[float, float]) -> Scores:
    """From mean and chance of each measure."""
    return Scores(
        mean={name: mean for name, (mean, _) in measures.items()},
        interval={name: (mean - 0.01, mean + 0.01) for name, (mean, _) in measures.items()},
        chance={name: chance for name, (_, chance) in measures.items()},
        per_class={"cat": 0.4, "dog": 0.2},
        per_class_chance={"cat": 0.1, "dog": 0.3},
        queries=30,
        queries_without_relevant=0,
        gallery=20,
        distance="cosine",
    )


def cell(score: float | None) -> Cell:
    """A linear reading; of a collapsed latent without a score."""
    if score is None:
        return Cell(None, None)
    return Cell(Reading(score, score - 0.01, score + 0.01, 0.1, 0.12), None)


def matrix(home: dict[str, str], **rows: dict[str, float | None]) -> ProbeMatrix:
    """From scores by factor and latent."""
    cells = {name: {z: cell(score) for z, score in row.items()} for name, row in rows.items()}
    measure = {name: "accuracy" if name == "digit" else "R2" for name in rows}
    return ProbeMatrix(cells, home, measure, (), 100)


def leakage(value: float | None, colour: float, collapsed: tuple[str, ...] = ()) -> Leakage:
    return Leakage(value, {"digit": 0.0, "colour": colour}, 0.9, collapsed)


def evaluation(pairs: int, retrieval: Retrieval, readability: Readability) -> Evaluation:
    return Evaluation(
        split="test",
        pairs=pairs,
        items={"x": ItemCounts(pairs, 0), "y": ItemCounts(pairs, 0)},
        retrieval=retrieval,
        categories=None,
        nats=Nats(*[1.0] * 9),
        absolute_error={"x": 0.1, "y": 0.2},
        readability=readability,
        translation=None,
        active_dimensions=8,
        shared_dimensions=8,
        largest_nats=0.95,
        active_nats=0.1,
        tasks={},
    )


def rates(**chance: float) -> InstanceRetrieval:
    guesses = {int(k[1:]): c for k, c in chance.items()}
    return recalls(dict.fromkeys(guesses, 0.5), guesses)


CHANCE = rates(k1=0.025, k5=0.125)
READ = matrix({"digit": "z_s"}, digit={"z_s given x": 0.9, "z_x": 0.2})
RESULTS = evaluation(
    40,
    Retrieval(CHANCE, CHANCE, CHANCE, CHANCE, None, None),
    Readability({"means": READ}, {}),
)


def tables(results: Evaluation = RESULTS) -> list[Table]:
    made = result_tables(results)
    for table in made:
        assert all(len(row) == len(table.columns) for row in table.rows), table.title
    return made
