"""A run in four sentences: what it reached, beside what chance reaches, and what mends the rest.

Each sentence is marked *pass* or *fail*, or *unknown* where nothing was measured or where the
measure says nothing: of a latent that holds nothing, that it leaks nothing is no merit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from iiae.metrics.ranking import Scores
from iiae.metrics.retrieval import InstanceRetrieval
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

Mark = Literal["pass", "fail", "unknown"]
SURE = 0.05  # p-value from which on shuffled pairs are as good
NOTABLE = 0.02  # R2 from which on a gain counts
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
    """`verdict` by what is stored with a run and, by section, what was measured just now."""
    return verdict(load_results(folder)._replace(**measured))


def _partners(results: Results) -> Verdict:
    claim = "finds partners"
    test, evidence = results.test or results.validation, results.evidence
    matching = evidence and evidence.matching
    if not test and not matching:
        return Verdict(claim, "unknown", "Not measured: iiae evaluate looks for partners.")
    held, said = True, []
    for text, low, chance in _rates(test) if test else ():
        said.append(text)
        held = held and low > chance
    if matching:
        said.append(_matched(matching))
        held = held and matching.p_value < SURE and matching.excess > 0
    if null := evidence and evidence.null:
        p_value = null.p_values.nats
        said.append(
            f"trained for {null.epochs} epochs, {number(null.real.nats, 2)} nats against "
            f"{number(null.real.nats - null.excess.nats, 2)} on shuffled pairs (p {p_value:.3g})"
        )
        held = held and null.excess.nats > 0
    mark, remedy = ("pass", None) if held else ("fail", _train_more(results))
    return Verdict(claim, mark, f"{'; '.join(said)}.", remedy)


def _rates(test: Evaluation) -> list[tuple[str, float, float]]:
    """In each direction: words, the low end of the rate, and what guessing reaches."""
    found: list[tuple[str, float, float]] = []
    for way in WAYS:
        name = way.replace("_", " ")
        one = _of_way(test, way)
        if isinstance(one, Scores):
            mean, (low, high) = one.mean["map@all"], one.interval["map@all"]
            chance = one.chance["map@all"]
            text = f"{name} mAP {with_interval(mean, low, high, 3)}, guessing {chance:.3f}"
            found.append((text, low, chance))
        elif one:
            rate, chance = one.recall[1], one.chance[1]
            interval = f"{percent(rate.rate)}% [{percent(rate.low)}, {percent(rate.high)}]"
            text = f"{name} the partner comes first in {interval}, guessing {100 * chance:.3g}%"
            found.append((text, rate.low, chance))
    return found


def _of_way(test: Evaluation, way: str) -> InstanceRetrieval | Scores | None:
    """Retrieval of a direction as the run compares z_s: as chosen, if it chose."""
    if test.categories:
        return getattr(test.categories, f"shared_{way}")
    if test.retrieval:
        chosen = getattr(test.retrieval, f"chosen_{way}")
        return chosen or getattr(test.retrieval, f"shared_{way}")
    return None


def _matched(found: Matching) -> str:
    nats = with_interval(*found.nats, 2)
    return (
        f"z_s tells {nats} of {found.most:.2f} nats of which item it is, shuffled pairs "
        f"{number(found.null, 2)} (p {found.p_value:.3g})"
    )


def _train_more(results: Results) -> str:
    training = results.training
    if training and training.kept_epoch >= training.epochs:
        return (
            f"The last of {training.epochs} epochs was the best one: train longer "
            "(training.epochs)."
        )
    return (
        "Give more pairs, or more weight to the shared latent (objective.lam) and to the data "
        "(objective.x.weight, objective.y.weight)."
    )


def _only_shared(results: Results) -> Verdict:
    claim = "nothing exclusive in z_s"
    gains = _gains(results)
    if gains is None:
        return Verdict(claim, "unknown", "Not measured: iiae disentangle does.")
    each = {
        "x": ("z_s given x", "x", gains.exclusive_in_z_s_x),
        "y": ("z_s given y", "y", gains.exclusive_in_z_s_y),
    }
    found = _leaks(claim, list(each.values()), "beyond what the other domain's z_s tells")
    information = results.evidence and results.evidence.information
    if information:
        nats = f"{information.only_x.value:.2f} nats that only x says"
        nats += f" and {information.only_y.value:.2f} that only y says"
        found = found._replace(sentence=f"{found.sentence} z_s holds at most {nats}.")
    remedy = (
        "A larger objective.inter (2 or 3) makes z_s the dearer place, a smaller model.shared "
        "leaves less room."
    )
    return found._replace(remedy=remedy if found.mark == "fail" else None)


def _only_exclusive(results: Results) -> Verdict:
    claim = "nothing shared in z_x, z_y"
    gains = _gains(results)
    if gains is None:
        return Verdict(claim, "unknown", "Not measured: iiae disentangle does.")
    each = [("z_x", "y", gains.shared_in_z_x), ("z_y", "x", gains.shared_in_z_y)]
    found = _leaks(claim, each, "beyond z_s")
    remedy = (
        "A smaller model.exclusive leaves no room for it, objective.exclusive above 1 makes "
        "z_x and z_y dearer."
    )
    return found._replace(remedy=remedy if found.mark == "fail" else None)


def _gains(results: Results) -> Gains | None:
    by_view = (results.evidence and results.evidence.gains) or {}
    return by_view.get(VIEW) or next(iter(by_view.values()), None)


def _leaks(claim: str, each: list[tuple[str, str, Gain | None]], beyond: str) -> Verdict:
    """Fails if a gain is both sure and notable; unknown if a latent holds nothing."""
    said = [
        f"{latent} holds nothing"
        if one is None
        else f"{latent} adds {with_interval(one.gain, one.low, one.high, 3)} to the R2 of {target}"
        f" (shuffled up to {number(one.null_high, 3)}, p {one.p_value:.3g})"
        for latent, target, one in each
    ]
    known = [one for _, _, one in each if one]
    leaking = any(one.gain >= NOTABLE and one.low > 0 and one.p_value < SURE for one in known)
    mark: Mark = "fail" if leaking else "pass" if len(known) == len(each) else "unknown"
    return Verdict(claim, mark, f"{'; '.join(said)}, {beyond}.")


def _styles(results: Results) -> Verdict:
    claim = "styles differ"
    ratios = _ratios(results)
    if not ratios:
        return Verdict(claim, "unknown", "Not measured: iiae disentangle draws exclusive latents.")
    said = [
        f"draws of {to} differ by {with_interval(ratio, low, high, 2)} of a draw's error"
        for to, (ratio, low, high) in ratios.items()
    ]
    alike = any(ratio < ALIKE for ratio, _, _ in ratios.values())
    remedy = (
        "A larger weight of the data (objective.x.weight, objective.y.weight) or of "
        "model.exclusive lets z_x and z_y hold it; where a domain has no style of its own, draws "
        "should be alike."
    )
    text = f"{'; '.join(said)} (0: all alike, 1: as a right model's)."
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
    found: dict[Domain, tuple[float, float | None, float | None]] = {}
    for to, (between, error) in pairs.items():
        if error.mean > 0:
            mean, low, high = (None if end is None else end / error.mean for end in between)
            found[to] = (mean or 0.0, low, high)
    return found
