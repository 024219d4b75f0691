"""A run in four sentences: its scores beside those of chance, and what mends the failures.

Each sentence is marked *pass* or *fail*, or *unknown* if nothing was measured or the measure means
nothing: a latent that holds nothing leaks nothing either.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from iiae.metrics.ranking import Scores
from iiae.metrics.retrieval import InstanceRetrieval, guessed
from iiae.report.table import number, percent, with_interval
from iiae.results import (
    Estimate,
    Evaluation,
    Evidence,
    Gain,
    Gains,
    Matching,
    Results,
    load_results,
)
from iiae.types import DOMAINS, Domain
from iiae.wording import either

Mark = Literal["pass", "fail", "unknown"]
SURE = 0.05  # p-value from which on guessing or shuffled pairs are as good
NOTABLE = 0.1  # `Gains.leaks` from which on one counts
ALIKE = 0.1  # of the error of a draw: draws that differ less are alike
VIEW = "active means"  # of the latents
WAYS = ("x_to_y", "y_to_x")


class Verdict(NamedTuple):
    """One sentence of four: what is claimed, whether it holds, by which numbers.

    `remedy` is the setting that usually mends a failure; None if nothing failed.
    """

    claim: str
    mark: Mark
    sentence: str
    remedy: str | None = None


def verdict(results: Results) -> list[Verdict]:
    """The four sentences, in the order in which a run goes wrong.

    Args:
        results: Of a run; sections that were not measured leave their sentence unknown.
    """
    return [_partners(results), _only_shared(results), _only_exclusive(results), _styles(results)]


def run_verdict(folder: Path, **measured: Evaluation | Evidence) -> list[Verdict]:
    """`verdict` from a run's stored results, with some sections replaced by fresh measurements."""
    return verdict(load_results(folder)._replace(**measured))


def as_text(verdicts: Iterable[Verdict]) -> str:
    """A line a sentence, and below a failed one what usually mends it."""
    lines: list[str] = []
    for one in verdicts:
        lines.append(f"{one.mark.upper():<7} {one.claim}: {one.sentence}")
        if one.remedy:
            lines.append(f"{'':<8}what usually mends it: {one.remedy}")
    return "\n".join(lines)


def _partners(results: Results) -> Verdict:
    claim = "finds partners"
    test, evidence = results.test or results.validation, results.evidence
    matching = evidence and evidence.matching
    if not test and not matching:
        means = either("iiae evaluate", "run.evaluate()")
        return Verdict(claim, "unknown", f"Not measured: {means} looks for partners.")
    held, parts = True, []
    for text, above in _rates(test) if test else ():
        parts.append(text)
        held = held and above
    if matching:
        parts.append(_matched(matching))
        held = held and matching.p_value < SURE and matching.excess > 0
    if null := evidence and evidence.null:
        p_value = null.p_values.nats
        parts.append(
            f"trained for {null.epochs} epochs, {number(null.real.nats, 2)} nats against "
            f"{number(null.real.nats - null.excess.nats, 2)} on shuffled pairs (p {p_value:.3g})"
        )
        held = held and null.excess.nats > 0
    mark, remedy = ("pass", None) if held else ("fail", _train_more(results))
    return Verdict(claim, mark, f"{'; '.join(parts)}.", remedy)


def _rates(test: Evaluation) -> list[tuple[str, bool]]:
    """Per direction: a phrase, and whether guessing would hardly reach the rate."""
    rates: list[tuple[str, bool]] = []
    for way in WAYS:
        name = way.replace("_", " ")
        one = _of_way(test, way)
        if isinstance(one, Scores):
            mean, (low, high) = one.mean["map@all"], one.interval["map@all"]
            chance = one.chance["map@all"]
            text = f"{name} mAP {with_interval(mean, low, high, 3)}, guessing {chance:.3f}"
            rates.append((text, low > chance))
        elif one:
            rate, chance = one.recall[1], one.chance[1]
            interval = f"{percent(rate.rate)}% [{percent(rate.low)}, {percent(rate.high)}]"
            text = f"{name} the partner comes first in {interval}, guessing {100 * chance:.3g}%"
            hits = round(rate.rate * test.pairs)
            rates.append((text, guessed(hits, test.pairs, chance) < SURE))
    return rates


def _of_way(test: Evaluation, way: str) -> InstanceRetrieval | Scores | None:
    """Retrieval of a direction as the run compares z_s: as chosen, if it chose."""
    if test.categories:
        return getattr(test.categories, f"shared_{way}")
    if test.retrieval:
        chosen = getattr(test.retrieval, f"chosen_{way}")
        return chosen or getattr(test.retrieval, f"shared_{way}")
    return None


def _matched(matching: Matching) -> str:
    nats = with_interval(*matching.nats, 2)
    return (
        f"z_s gives {nats} of {matching.most:.2f} nats of which item it is, shuffled pairs "
        f"{number(matching.null, 2)} (p {matching.p_value:.3g})"
    )


def _train_more(results: Results) -> str:
    training = results.training
    if training and training.kept_epoch >= training.epochs:
        return (
            f"The last of {training.epochs} epochs was the best one: train longer "
            "(training.epochs)."
        )
    return (
        "Give more pairs (of synthetic ones 2,000 instead of 300: Recall@1 from 11% to 67%), or "
        "more weight to the shared latent (objective.lam 0 to 0.3: from 0.2% to 4.3% with 300) and "
        "to the data (objective.x.weight, objective.y.weight)."
    )


def _only_shared(results: Results) -> Verdict:
    claim = "nothing exclusive in z_s"
    gains = _gains(results)
    if gains is None:
        return Verdict(claim, "unknown", f"Not measured: {_measuring()} does.")
    each = {
        "exclusive_in_z_s_x": "z_s given x adds {} to the R2 of x",
        "exclusive_in_z_s_y": "z_s given y adds {} to the R2 of y",
    }
    leaks = _leaks(claim, gains, each, "beyond what the other domain's z_s predicts")
    information = results.evidence and results.evidence.information
    if information:
        nats = f"{information.only_x.value:.2f} nats that only x holds"
        nats += f" and {information.only_y.value:.2f} that only y holds"
        leaks = leaks._replace(sentence=f"{leaks.sentence} z_s holds at most {nats}.")
    remedy = (
        "A larger objective.inter makes z_s the dearer place: from 1 to 3 leaks of 0.07 to 0.39 on "
        "four sets became 0.02 to 0.21, and Recall@1 fell by 0 to 8 points. A larger "
        "objective.lam (0.1 to 1) lowered all of them at hardly any cost. If z_x and z_y have "
        "less room than their domains have content of their own, a larger model.exclusive helps "
        "most: from 2 to 8 0.31 became 0.00 on coloured digits."
    )
    return leaks._replace(remedy=remedy if leaks.mark == "fail" else None)


def _only_exclusive(results: Results) -> Verdict:
    claim = "nothing shared in z_x, z_y"
    gains = _gains(results)
    if gains is None:
        return Verdict(claim, "unknown", f"Not measured: {_measuring()} does.")
    each = {
        "shared_in_z_x": "z_x tells {} of the variance of y",
        "shared_in_z_y": "z_y tells {} of the variance of x",
    }
    leaks = _leaks(claim, gains, each, "where it should tell nothing")
    if leaks.mark == "pass" and (told := _read_elsewhere(results.evidence)):
        leaks = leaks._replace(mark="unknown", sentence=f"{leaks.sentence} But {told}.")
    remedy = (
        "A smaller model.exclusive leaves no room for it: from 8 to 2 leaks of 0.12 to 0.88 on "
        "five sets became 0.00 to 0.36; below what a domain has of its own, z_s takes that up. "
        "objective.exclusive above 1 makes z_x and z_y dearer."
    )
    return leaks._replace(remedy=remedy if leaks.mark == "fail" else None)


def _gains(results: Results) -> Gains | None:
    by_view = (results.evidence and results.evidence.gains) or {}
    return by_view.get(VIEW) or next(iter(by_view.values()), None)


def _leaks(claim: str, gains: Gains, each: dict[str, str], beyond: str) -> Verdict:
    """Fails if a leak is both sure and notable; unknown if a latent holds nothing, or if all
    latents together tell nothing either."""
    known = {name: getattr(gains, name) for name in each}
    sentences = [
        text.format(_amount(known[name])) if known[name] else f"{text.split()[0]} holds nothing"
        for name, text in each.items()
    ]
    leaking = any(
        one and gains.leaks[name] >= NOTABLE and one.low > 0 and one.p_value < SURE
        for name, one in known.items()
    )
    told = all(one and one.possible > 0 for one in known.values())  # else nothing could be found
    mark: Mark = "fail" if leaking else "pass" if told else "unknown"
    return Verdict(claim, mark, f"{'; '.join(sentences)}, {beyond}.")


def _amount(gain: Gain) -> str:
    return (
        f"{with_interval(gain.gain, gain.low, gain.high, 3)} (at most {number(gain.possible, 3)}, "
        f"shuffled {number(gain.null_high, 3)}, p {gain.p_value:.3g})"
    )


def _read_elsewhere(evidence: Evidence | None) -> str:
    """Which known factor of z_s a probe reads from z_x or z_y, surely and well, if any."""
    probes = (evidence and evidence.probes) or {}
    matrix = probes.get(VIEW) or next(iter(probes.values()), None)
    if matrix is None:
        return ""
    for factor in [name for name, home in matrix.home.items() if home == "z_s"]:
        for latent, cell in matrix.sides(factor)[1].items():
            best = cell.best
            if best and best.above_chance >= NOTABLE and best.low > best.chance:
                score = with_interval(best.score, best.low, best.high, 3)
                return (
                    f"a probe reads the {factor} from {latent} ({matrix.measure[factor]} {score}, "
                    f"chance {best.chance:.3f}), which z_s should hold alone, unless only one "
                    "domain shows it"
                )
    return ""


def _measuring() -> str:
    return either("iiae disentangle", "run.evidence()")


def _styles(results: Results) -> Verdict:
    claim = "styles differ"
    ratios = _ratios(results)
    if not ratios:
        return Verdict(claim, "unknown", f"Not measured: {_measuring()} draws exclusive latents.")
    parts = [
        f"draws of {to} differ by {with_interval(ratio, low, high, 2)} of a draw's error"
        for to, (ratio, low, high) in ratios.items()
    ]
    alike = any(ratio < ALIKE for ratio, _, _ in ratios.values())
    remedy = (
        "A larger weight of the data (objective.x.weight, objective.y.weight) or of "
        "model.exclusive lets z_x and z_y hold it; where a domain has no style of its own, draws "
        "should be alike."
    )
    text = f"{'; '.join(parts)} (0: all alike, 1: as a right model's)."
    return Verdict(claim, "fail" if alike else "pass", text, remedy if alike else None)


def _ratios(results: Results) -> dict[Domain, tuple[float, float | None, float | None]]:
    """Difference between draws over the error of a draw, with its interval, by domain."""
    test, evidence = results.test or results.validation, results.evidence
    pairs: dict[Domain, tuple[Estimate, Estimate]]
    pairs = {to: (s.between, s.error) for to, s in ((evidence and evidence.styles) or {}).items()}
    translated = (test and test.translation) or {}
    for to in DOMAINS:
        if to not in pairs and (one := translated.get(f"to_{to}")):
            pairs[to] = (one.diversity, one.l1["draw"])
    ratios: dict[Domain, tuple[float, float | None, float | None]] = {}
    for to, (between, error) in pairs.items():
        if error.mean > 0:
            mean, low, high = (None if end is None else end / error.mean for end in between)
            ratios[to] = (mean or 0.0, low, high)
    return ratios
