import math

import pytest

from iiae.metrics.probe_matrix import Cell, ProbeMatrix
from iiae.metrics.readings import Reading
from iiae.report.verdict import Verdict, as_text, verdict
from iiae.results import (
    Bound,
    Estimate,
    Evidence,
    Gain,
    Gains,
    Matching,
    NullCopy,
    NullRuns,
    Provenance,
    Readability,
    Results,
    Retrieval,
    SetSizes,
    Style,
    Training,
)
from results_made import evaluation, recalls

NONE = Gain(0.0, 0.001, -0.01, 0.01, 0.01, 0.4, 0.4)
SHARED = Gain(0.0, 0.2, 0.1, 0.3, 0.01, 0.048, 0.4)
SMALL = Gain(0.0, 0.03, 0.02, 0.04, 0.002, 0.048, 0.4)
MADE = Provenance("iiae train", None, "3", {}, "1 thread")


def rate(value):
    return recalls({1: value}, {1: 0.01})


def partners_found(value=0.9, chosen=None):
    ways = Retrieval(*(rate(value) for _ in range(4)), None, None)
    if chosen:
        ways = ways._replace(chosen_x_to_y=rate(chosen), chosen_y_to_x=rate(chosen))
    return evaluation(100, ways, Readability({}, {}))


def proved(p_value=0.001, nats=2.0, gains=(NONE,) * 4, between=0.3, null=None):
    evidence = Evidence(100, None, None, {}, {}, {}, {}, None)
    style = Style(Estimate(between, between, between), Estimate(0.3, 0.3, 0.3))
    bound = Bound(nats, nats - 0.1, nats + 0.1)
    return evidence._replace(
        matching=Matching(100, bound, 0.01, 0.03, math.log(100), 0.5, 0.01, p_value, 999),
        gains={"means": Gains(*(SHARED,) * 4), "active means": Gains(*gains)},
        styles={"x": style, "y": style},
        null=null,
    )


def marks(**sections):
    return [one.mark for one in verdict(Results(**sections))]


def training(epochs, kept):
    return Training(
        0, "32", epochs, kept, 1.0, 1.0, 1.0, SetSizes(1, 1, 1), 1, 1, 1, {}, MADE
    )  # fmt: skip


def test_a_good_run_passes_with_numbers_and_without_remedies():
    verdicts = verdict(Results(test=partners_found(), evidence=proved()))
    assert [one.mark for one in verdicts] == ["pass"] * 4
    assert not any(one.remedy for one in verdicts)
    assert "90.00%" in verdicts[0].sentence
    assert "guessing 1%" in verdicts[0].sentence
    assert "2.00 [1.90, 2.10] of 4.61 nats" in verdicts[0].sentence
    assert "p 0.001" in verdicts[0].sentence


def test_as_text_a_failure_is_followed_by_what_mends_it():
    lines = as_text([Verdict("a", "fail", "So.", "Do this."), Verdict("b", "pass", "Well.")])
    assert lines == "FAIL    a: So.\n        what usually mends it: Do this.\nPASS    b: Well."


def test_what_was_not_measured_is_unknown():
    assert marks() == ["unknown"] * 4
    assert marks(test=partners_found()) == ["pass", "unknown", "unknown", "unknown"]
    assert marks(evidence=proved())[0] == "pass"


@pytest.mark.parametrize(
    ("sections", "failed"),
    [
        ({"test": partners_found(0.01)}, 0),
        ({"test": partners_found(0.9, chosen=0.01)}, 0),
        ({"evidence": proved(p_value=0.3, nats=0.0)}, 0),
        ({"evidence": proved(gains=(NONE, NONE, SHARED, NONE))}, 1),
        ({"evidence": proved(gains=(NONE, NONE, NONE, SHARED))}, 1),
        ({"evidence": proved(gains=(SHARED, NONE, NONE, NONE))}, 2),
        ({"evidence": proved(gains=(NONE, SHARED, NONE, NONE))}, 2),
        ({"evidence": proved(between=0.001)}, 3),
    ],
)
def test_each_failure_is_marked_alone_and_has_a_setting_that_mends_it(sections, failed):
    verdicts = verdict(Results(**sections))
    assert [i for i, one in enumerate(verdicts) if one.mark == "fail"] == [failed]
    assert any(name in verdicts[failed].remedy for name in ("objective.", "model.", "training."))


def test_a_gain_that_is_small_or_unsure_fails_nothing():
    unsure = SHARED._replace(p_value=0.2)
    assert marks(evidence=proved(gains=(SMALL, unsure, SMALL, unsure))) == ["pass"] * 4


def test_a_latent_that_holds_nothing_is_not_praised():
    verdicts = verdict(Results(evidence=proved(gains=(None, NONE, NONE, NONE))))
    assert verdicts[2].mark == "unknown"
    assert "z_x holds nothing" in verdicts[2].sentence


def test_a_run_that_was_still_improving_is_told_to_train_longer():
    sections = {"test": partners_found(0.01)}
    still = verdict(Results(training=training(2, 2), **sections))[0]
    done = verdict(Results(training=training(9, 4), **sections))[0]
    assert "training.epochs" in still.remedy
    assert "training.epochs" not in done.remedy


def test_shuffled_copies_that_are_as_good_fail_the_run():
    worse, better = NullCopy(0.1, 0.1, 0.1), NullCopy(0.9, 0.9, 0.9)
    held = NullRuns(3, better, [worse, worse])
    assert marks(evidence=proved(null=held))[0] == "pass"
    verdicts = verdict(Results(evidence=proved(null=NullRuns(3, worse, [better, better]))))[0]
    assert verdicts.mark == "fail"
    assert "0.10 nats against 0.90 on shuffled pairs (p 1)" in verdicts.sentence


def test_three_of_forty_partners_may_be_guessed_and_five_may_not():
    def partners(hits):
        found = recalls({1: hits / 40}, {1: 1 / 40})
        ways = Retrieval(found, found, found, found, None, None)
        return marks(test=evaluation(40, ways, Readability({}, {})))[0]

    assert [partners(hits) for hits in (1, 3, 5)] == ["fail", "fail", "pass"]


def test_where_nothing_could_be_found_or_a_probe_finds_more_nothing_is_praised():
    idle = NONE._replace(possible=-0.1)
    assert marks(evidence=proved(gains=(idle, NONE, NONE, NONE)))[2] == "unknown"

    def read(score, home="z_s"):
        reading = Reading(score, score - 0.05, score + 0.05, 0.3, 0.35)
        cells = {"type": {"z_s": Cell(reading, None), "z_y": Cell(reading, None)}}
        probes = {"means": ProbeMatrix(cells, {"type": home}, {"type": "accuracy"}, (), 100)}
        return verdict(Results(evidence=proved()._replace(probes=probes)))[2]

    told = read(0.6)
    assert told.mark == "unknown"
    assert "a probe reads the type from z_y (accuracy 0.600 [0.550, 0.650], chance 0.300)" in (
        told.sentence
    )
    assert read(0.38).mark == "pass"  # little above chance
    assert read(0.6, home="z_y").mark == "pass"
