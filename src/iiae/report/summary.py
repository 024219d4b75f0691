"""A run in plain words: what is shared, what is exclusive, what leaked, how sure that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from iiae.metrics.probe_matrix import ProbeMatrix
from iiae.metrics.ranking import Scores
from iiae.metrics.retrieval import guessed
from iiae.report.table import number, percent, percent_interval, with_interval
from iiae.results import CategoryRetrieval, Evaluation, Evidence, Results, Retrieval, SwapResult
from iiae.types import Domain

WAYS: tuple[tuple[Domain, Domain], ...] = (("x", "y"), ("y", "x"))  # query, gallery
VIEW = "active means"  # the preferred view, if evidence has it
NOTABLE = 0.02  # leakage from which on it is named


class Statement(NamedTuple):
    """A heading and sentences."""

    heading: str
    sentences: list[str]


def summarise(results: Results) -> list[Statement]:
    """What was measured, section by section; a section without measurements is left out."""
    test, evidence = results.test, results.evidence
    if test is None:
        return []
    parts = {
        "What is shared": [
            *(_partners(test, test.retrieval) if test.retrieval else ()),
            *(_classes(test.categories) if test.categories else ()),
            *_idle(test),
            *_readings(test, evidence, ("z_s",)),
            *_common(evidence),
        ],
        "What is exclusive": [
            *_readings(test, evidence, ("z_x", "z_y")),
            *(_apart(test.retrieval, test.pairs) if test.retrieval else ()),
            *(_classes_apart(test.categories) if test.categories else ()),
        ],
        "What leaked": [*_leaks(evidence), *_nats(evidence)],
        "How sure": [*_doubts(evidence), *_scope(results, test)],
    }
    return [Statement(heading, sentences) for heading, sentences in parts.items() if sentences]


def _partners(test: Evaluation, retrieval: Retrieval) -> Iterator[str]:
    shared = (
        retrieval.chosen_x_to_y or retrieval.shared_x_to_y,
        retrieval.chosen_y_to_x or retrieval.shared_y_to_x,
    )
    for (given, sought), one in zip(WAYS, shared, strict=True):
        count = test.items[sought].different
        among = f"{count:,} candidates" if count == test.pairs else f"{count:,} that differ"
        if one.chance[1] >= 1:
            yield f"Given {given}, nothing can be missed: every {sought} is a right answer."
            continue
        found_first = one.recall[1]
        yield (
            f"Given {given}, the nearest {sought} of {among} is its true partner in "
            f"{percent(found_first.rate)}% of cases (95% CI {percent(found_first.low)} to "
            f"{percent(found_first.high)}; chance {_guess(one.chance[1])})."
        )
    if retrieval.chosen_x_to_y:
        yield "z_s is compared as the run chose on validation pairs; tables have other distances."


def _classes(categories: CategoryRetrieval) -> Iterator[str]:
    shared = (categories.shared_x_to_y, categories.shared_y_to_x)
    for (given, sought), one in zip(WAYS, shared, strict=True):
        yield f"Given {given}, z_s ranks the {sought} of its class with {_ranked(one)}."


def _classes_apart(categories: CategoryRetrieval) -> Iterator[str]:
    if categories.exclusive_x_to_y:
        scored = _ranked(categories.exclusive_x_to_y)
        yield f"By z_x and z_y, the y of the class of x are ranked with {scored}."


def _ranked(scores: Scores) -> str:
    mean, chance = scores.mean["map@all"], scores.chance["map@all"]
    low, high = scores.interval["map@all"]
    below, above = high < chance, low > chance
    judged = "worse than" if below else "better than" if above else "no better than"
    return f"mAP {mean:.3f} [{low:.3f}, {high:.3f}] of 1, {judged} guessing ({chance:.3f})"


def _idle(test: Evaluation) -> Iterator[str]:
    if test.none_active:
        yield (
            "No dimension of z_s holds anything: the most nats of any are "
            f"{number(test.largest_nats, 2)}."
        )


def _common(evidence: Evidence | None) -> Iterator[str]:
    information = evidence and evidence.information
    if information and information.interaction_lower.value > 0:
        yield f"x and y share at least {information.interaction_lower.value:.1f} nats."


def _apart(retrieval: Retrieval, pairs: int) -> Iterator[str]:
    if retrieval.exclusive_x_to_y is None or retrieval.exclusive_y_to_x is None:
        return
    ways = (retrieval.exclusive_x_to_y, retrieval.exclusive_y_to_x)
    likely = [guessed(round(w.recall[1].rate * pairs), pairs, w.chance[1]) for w in ways]
    guessing = min(likely) >= 0.025  # of two tests
    guesses = " and ".join(dict.fromkeys(_guess(one.chance[1]) for one in ways))
    yield (
        f"By z_x and z_y partners come first in {percent_interval(ways[0].recall[1])}% and "
        f"{percent_interval(ways[1].recall[1])}% of cases, "
        f"{'no better than' if guessing else 'more often than by'} guessing ({guesses})."
    )


def _guess(chance: float) -> str:
    return f"{100 * chance:.3g}%"


def _readings(test: Evaluation, evidence: Evidence | None, latents: Sequence[str]) -> Iterator[str]:
    """How well the home latent predicts each factor: by both probes, or else the linear one."""
    probes = (evidence and evidence.probes) or test.readability.probes
    if not probes:
        return
    view, matrix = _view(probes)
    for factor, home in matrix.home.items():
        own = [cell.best for cell in matrix.sides(factor)[0].values() if cell.best]
        if home in latents and own:
            best = max(own, key=lambda one: one.score)
            verb = "predicts" if best.low > best.chance else "hardly tells"
            yield (
                f"{home} {verb} the {factor}: {matrix.measure[factor]} "
                f"{with_interval(*best[:3], 3)} of 1, chance {max(best.chance, 0):.2f} (by its "
                f"{view})."
            )


def _leaks(evidence: Evidence | None) -> Iterator[str]:
    if evidence is None:
        yield "Not measured yet: iiae disentangle reads every factor from every latent."
        return
    for view, leak in evidence.leakage.items():
        if leak.value is None:
            continue  # stands under How sure
        worst, value = max(leak.by_factor.items(), key=lambda item: item[1])
        source = _source(evidence.probes[view], worst)
        most = f"most of all the {worst}, {value:.2f}, from {source}"
        yield (
            f"By {view}: {leak.value:.3f} of 1 on average over factors; "
            f"{most if value >= NOTABLE else f'below {NOTABLE} for every factor'}."
        )
    values = {view: leak.value for view, leak in evidence.leakage.items()}
    means, samples = values.get("means"), values.get("samples")
    if means is not None and samples is not None and means > 1.5 * samples + NOTABLE:
        yield (
            "Posterior means leak more than samples do: some dimensions carry a signal weaker than "
            "their own noise. Using only active dimensions avoids this."
        )
    for origins in (evidence.swap or {}).items():
        yield from _misled(*origins)


def _source(matrix: ProbeMatrix, factor: str) -> str:
    """The latent that predicts best a factor of another one."""
    foreign = matrix.sides(factor)[1]
    return max(foreign, key=lambda latent: foreign[latent].above_chance)


def _misled(factor: str, origins: list[SwapResult]) -> Iterator[str]:
    for one in origins:
        right, wrong = one.from_shared, one.from_exclusive
        if one.right == "exclusive":
            right, wrong = wrong, right
        if right < wrong:
            yield f"After a swap, the {factor} in {one.domain} follows the wrong latent."


def _nats(evidence: Evidence | None) -> Iterator[str]:
    information = evidence and evidence.information
    if information:
        yield (
            f"z_s holds at most {number(information.only_x.value, 2)} nats that only x holds and "
            f"{number(information.only_y.value, 2)} that only y holds; z_x and z_y hold at most "
            f"{number(information.exclusive_x.value, 1)} and "
            f"{number(information.exclusive_y.value, 1)}."
        )


def _doubts(evidence: Evidence | None) -> Iterator[str]:
    if evidence is None:
        return
    gone = {name for leak in evidence.leakage.values() for name in leak.collapsed}
    for name in sorted(gone):
        yield (
            f"{name} is collapsed, the same for every pair: it holds nothing, so zero leakage "
            "means nothing."
        )
    for view, one in evidence.domains.items():
        accuracy = max(one.linear, one.nonlinear)
        if accuracy > 0.55:
            yield (
                f"By {view}, a probe guesses the domain from z_s right {100 * accuracy:.0f}% of "
                "the time (chance 50%): z_s still carries its domain."
            )
    refused = {
        e for pair in evidence.dependence.values() for e, v in pair.items() if isinstance(v, str)
    }
    if refused:
        yield (
            f"Mutual information was not estimated by {', '.join(sorted(refused))}; the reasons "
            "are with the table of dependence."
        )


def _scope(results: Results, test: Evaluation) -> Iterator[str]:
    over = f"{test.pairs:,} held-out pairs" if test.retrieval else "queries"
    of = f", of seed {results.training.seed}" if results.training else ""
    yield (
        f"Intervals are 95% and over the {over}. This is one run{of}: they do not "
        "show how far another seed would differ. A probe that predicts nothing does not prove "
        "that nothing is there."
    )


def _view(probes: Mapping[str, ProbeMatrix]) -> tuple[str, ProbeMatrix]:
    view = VIEW if VIEW in probes else next(iter(probes))
    return view, probes[view]
