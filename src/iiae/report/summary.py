"""A run in plain words: what is shared, what is exclusive, what leaked, how sure that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from iiae.report.tables import (
    best_reading,
    domains_by_view,
    largest,
    none_active,
    number,
    percent_interval,
    with_interval,
)

WAYS = (("shared_x_to_y", "x", "y"), ("shared_y_to_x", "y", "x"))  # direction, query, gallery
VIEW = "active means"  # of the evidence, where there is one
NOTABLE = 0.02  # leakage from which on it is named


class Statement(NamedTuple):
    """A heading and sentences."""

    heading: str
    sentences: list[str]


def summarise(metrics: Mapping[str, Any]) -> list[Statement]:
    """What metrics.json says, section by section; nothing where nothing was measured."""
    test, evidence = metrics.get("test"), metrics.get("evidence")
    if test is None:
        return []
    parts = {
        "What is shared": [
            *_partners(test),
            *_classes(test),
            *_idle(test),
            *_readings(test, evidence, ("z_s",)),
            *_common(evidence),
        ],
        "What is exclusive": [
            *_readings(test, evidence, ("z_x", "z_y")),
            *_apart(test),
            *_classes_apart(test),
        ],
        "What leaked": [*_leaks(evidence), *_nats(evidence)],
        "How sure": [*_doubts(evidence), *_scope(metrics, test)],
    }
    return [Statement(heading, said) for heading, said in parts.items() if said]


def _partners(test: Mapping[str, Any]) -> Iterator[str]:
    found = test["retrieval"]
    if not found:
        return
    for name, given, sought in WAYS:
        one = found[name]["recall@1"]
        count = test.get("items", {}).get(sought, {}).get("different", test["pairs"])
        among = f"{count:,}" if count == test["pairs"] else f"{count:,} that differ"
        if one["chance"] >= 1:
            yield f"From {given} alone nothing can be missed: every {sought} is a right answer."
            continue
        yield (
            f"From {given} alone, z_s finds its own {sought} among {among} in "
            f"{percent_interval(one)}% of cases; guessing would in {_guess(one)}."
        )


def _classes(test: Mapping[str, Any]) -> Iterator[str]:
    found = test.get("categories")
    if not found:
        return
    for name, given, sought in WAYS:
        scored = _ranked(found[name])
        yield f"From {given} alone, z_s ranks the {sought} of its class with {scored}."


def _classes_apart(test: Mapping[str, Any]) -> Iterator[str]:
    found = test.get("categories") or {}
    if "exclusive_x_to_y" in found:
        scored = _ranked(found["exclusive_x_to_y"])
        yield f"By z_x and z_y, an x ranks the y of its class with {scored}."


def _ranked(found: Mapping[str, Any]) -> str:
    mean, (low, high), chance = (found[k]["map@all"] for k in ("mean", "interval", "chance"))
    below, above = high < chance, low > chance
    judged = "worse than" if below else "better than" if above else "no better than"
    return f"mAP {mean:.3f} [{low:.3f}, {high:.3f}] of 1, {judged} guessing ({chance:.3f})"


def _idle(test: Mapping[str, Any]) -> Iterator[str]:
    if "largest_signal_share" in test and none_active(test):
        yield (
            "No dimension of z_s carries signal above its noise: the largest signal share is "
            f"{number(test['largest_signal_share'], 2)}."
        )


def _common(evidence: Mapping[str, Any] | None) -> Iterator[str]:
    found = (evidence or {}).get("information")
    if found and (found["interaction_lower"]["value"] or 0) > 0:
        yield f"x and y share at least {found['interaction_lower']['value']:.1f} nats."


def _apart(test: Mapping[str, Any]) -> Iterator[str]:
    found = test["retrieval"] or {}
    if "exclusive_x_to_y" not in found:
        return
    ways = [found[name]["recall@1"] for name in ("exclusive_x_to_y", "exclusive_y_to_x")]
    guessing = all(one["low"] <= one["chance"] <= one["high"] for one in ways)
    yield (
        f"By z_x and z_y partners are found in {percent_interval(ways[0])}% and "
        f"{percent_interval(ways[1])}% of cases, "
        f"{'no better than' if guessing else 'which is not what'} guessing "
        f"({' and '.join(dict.fromkeys(map(_guess, ways)))}){'' if guessing else ' gives'}."
    )


def _guess(found: Mapping[str, float]) -> str:
    return f"{100 * found['chance']:.3g}%"


def _readings(
    test: Mapping[str, Any], evidence: Mapping[str, Any] | None, latents: tuple[str, ...]
) -> Iterator[str]:
    """Each factor as it is read where it belongs."""
    measures = {row["factor"]: row for row in test["readability"] or ()}
    if evidence and evidence["probes"]:
        view, matrix = _view(evidence["probes"])
        for factor, home in matrix["home"].items():
            best = best_reading(matrix["cells"][factor][home])
            if home not in latents or best is None:
                continue
            measure = measures.get(factor, {}).get("measure", "score")
            yield (
                f"{home} tells the {factor}: {measure} "
                f"{with_interval(best['score'], best['low'], best['high'], 3)} of 1, guessing "
                f"{max(best['chance'] or 0, 0):.2f} (by its {view})."
            )
        return
    for factor, row in measures.items():
        own = {k: v for k, v in row["scores"].items() if k.startswith(row["belongs_to"])}
        best = own[largest(own)] if own else None
        if row["belongs_to"] in latents and best is not None:
            yield (
                f"{row['belongs_to']} tells the {factor}: {row['measure']} {best:.3f} of 1, "
                f"guessing {row['chance']:.2f}."
            )


def _leaks(evidence: Mapping[str, Any] | None) -> Iterator[str]:
    if evidence is None:
        yield "Not measured yet: iiae disentangle reads every factor from every latent."
        return
    for view, leak in evidence["leakage"].items():
        if leak["value"] is None:
            continue  # said under How sure
        worst = largest(leak["by_factor"])
        value = leak["by_factor"][worst] or 0.0
        most = f"most of all the {worst}, {value:.2f}, from {_source(evidence, view, worst)}"
        yield (
            f"By {view}: {leak['value']:.3f} of 1 on average over factors; "
            f"{most if value >= NOTABLE else 'nothing to speak of'}."
        )
    values = {view: leak["value"] for view, leak in evidence["leakage"].items()}
    means, samples = values.get("means"), values.get("samples")
    if means is not None and samples is not None and means > 1.5 * samples + NOTABLE:
        yield (
            "Means show more than samples: part of it is order far below the noise, which use of "
            "the active dimensions avoids."
        )
    for origins in (evidence.get("swap") or {}).items():
        yield from _misled(*origins)


def _source(evidence: Mapping[str, Any], view: str, factor: str) -> str:
    """The latent that tells most of a factor of another one."""
    matrix = evidence["probes"][view]
    home, cells = matrix["home"][factor], matrix["cells"][factor]
    foreign = {latent: cell for latent, cell in cells.items() if latent != home}

    def score(latent: str) -> float:
        best = best_reading(foreign[latent])
        return best["score"] if best else 0.0

    return max(foreign, key=score)


def _misled(factor: str, origins: list[Mapping[str, Any]]) -> Iterator[str]:
    for one in origins:
        right, wrong = one["from_shared"], one["from_exclusive"]
        if one["right"] == "exclusive":
            right, wrong = wrong, right
        if right is not None and wrong is not None and right < wrong:
            yield f"After a swap, the {factor} in {one['domain']} follows the wrong latent."


def _nats(evidence: Mapping[str, Any] | None) -> Iterator[str]:
    found = (evidence or {}).get("information")
    if found:
        yield (
            f"z_s holds at most {number(found['only_x']['value'], 2)} nats that only x says and "
            f"{number(found['only_y']['value'], 2)} that only y says; z_x and z_y hold at most "
            f"{number(found['exclusive_x']['value'], 1)} and "
            f"{number(found['exclusive_y']['value'], 1)}."
        )


def _doubts(evidence: Mapping[str, Any] | None) -> Iterator[str]:
    if evidence is None:
        return
    gone = {name for leak in evidence["leakage"].values() for name in leak["collapsed"]}
    for name in sorted(gone):
        yield f"{name} is collapsed, the same for every pair: that it leaks nothing is no merit."
    for view, one in domains_by_view(evidence["domains"]).items():
        accuracy = max(one["linear"], one["nonlinear"])
        if accuracy > 0.55:
            yield (
                f"By {view}, z_s given x is told from z_s given y in {100 * accuracy:.0f}% of "
                "cases (guessing 50%): it knows its domain."
            )
    refused = {
        e for pair in evidence["dependence"].values() for e, v in pair.items() if isinstance(v, str)
    }
    if refused:
        yield (
            f"Mutual information was not estimated by {', '.join(sorted(refused))}; the reasons "
            "are with the table of dependence."
        )


def _scope(metrics: Mapping[str, Any], test: Mapping[str, Any]) -> Iterator[str]:
    seed = metrics.get("training", {}).get("seed")
    over = f"{test['pairs']:,} held-out pairs" if test["retrieval"] else "queries"
    yield (
        f"Intervals are 95% and over the {over}. This is one run"
        f"{'' if seed is None else f', of seed {seed}'}: they do not say what another seed would "
        "give. That a probe reads nothing does not prove that nothing is there."
    )


def _view(probes: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    view = VIEW if VIEW in probes else next(iter(probes))
    return view, probes[view]
