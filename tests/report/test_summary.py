import math

import pytest

from iiae.metrics.independence import DomainProbe
from iiae.metrics.information import Information
from iiae.report.summary import summarise
from iiae.results import (
    Bound,
    CategoryRetrieval,
    Evidence,
    InformationTerms,
    ItemCounts,
    Provenance,
    Readability,
    Results,
    Retrieval,
    SetSizes,
    SwapResult,
    Training,
)
from results_made import evaluation, leakage, matrix, recalls, scores

HOME = {"digit": "z_s", "colour": "z_x"}


def rate(value, chance=0.01):
    return recalls({1: value}, {1: chance})


LINEAR = matrix(
    HOME,
    digit={"z_s given x": 0.8, "z_s given y": 0.7, "z_x": 0.99},
    colour={"z_s given x": 0.0, "z_x": 0.7, "z_y": 0.0},
)
MATRIX = matrix(
    HOME,
    digit={"z_x": 0.1, "z_s": 0.9, "z_y": 0.1},
    colour={"z_x": 0.95, "z_s": 0.4, "z_y": 0.0},
)
TEST = evaluation(
    100,
    Retrieval(rate(0.98), rate(0.97), rate(0.98), rate(0.97), rate(0.01), rate(0.01)),
    Readability({"active means": LINEAR}, {}),
)
INFORMATION = Information(1.0, 0.9, 1.1, "estimate", True, 100)
EVIDENCE = Evidence(
    pairs=100,
    exclusive_x_to_y=None,
    exclusive_y_to_x=None,
    probes=dict.fromkeys(("means", "active means", "samples"), MATRIX),
    leakage={
        "means": leakage(0.2, 0.4),
        "active means": leakage(0.0, 0.0),
        "samples": leakage(0.0, 0.0),
    },
    domains={"means": DomainProbe(0.6, 0.1, 0.7, 0.01, 100)},
    dependence={"z_x and z_s": {"ksg": "ksg needs more samples", "gaussian": INFORMATION}},
    axes=None,
    swap={"digit": [SwapResult("x", "accuracy", "shared", 0.9, 0.1, 0.95)]},
)
MADE = Provenance("iiae train", None, "3.11", {}, "a machine")
TRAINING = Training(3, "32", 2, 2, 1.0, 9.0, 50.0, SetSizes(200, 40, 100), 10, 8, 8, {}, MADE)
RESULTS = Results(TRAINING, TEST, None, EVIDENCE)


def summary(test=TEST, evidence=EVIDENCE):
    results = RESULTS._replace(test=test, evidence=evidence)
    return {part.heading: " ".join(part.sentences) for part in summarise(results)}


def test_every_part_says_what_was_measured():
    statements = summary()
    assert list(statements) == ["What is shared", "What is exclusive", "What leaked", "How sure"]
    assert (
        "is its true partner in 98.00% of cases (95% CI 97.00 to 99.00"
        in statements["What is shared"]
    )
    assert "z_s predicts the digit: accuracy 0.900" in statements["What is shared"]
    assert "z_x predicts the colour: R2 0.950" in statements["What is exclusive"]
    assert "no better than guessing" in statements["What is exclusive"]
    assert "most of all the colour, 0.40, from z_s" in statements["What leaked"]
    assert (
        "By active means: 0.000 of 1 on average over factors; below 0.02"
        in statements["What leaked"]
    )
    assert "Posterior means leak more than samples" in statements["What leaked"]
    assert "guesses the domain from z_s right 70% of the time" in statements["How sure"]
    assert "was not estimated by ksg;" in statements["How sure"]
    assert "This is one run, of seed 3: they do not show" in statements["How sure"]


def test_classes_are_told_beside_what_guessing_reaches():
    each = (scores(**{"map@all": (mean, 0.457)}) for mean in (0.399, 0.6, 0.46))
    x, y, own = each
    classes = CategoryRetrieval("unseen", 3, x, y, None, own)
    statements = summary(TEST._replace(retrieval=None, categories=classes))
    shared = statements["What is shared"]
    assert "mAP 0.399 [0.389, 0.409] of 1, worse than guessing (0.457)" in shared
    assert "mAP 0.600 [0.590, 0.610] of 1, better than guessing (0.457)" in shared
    assert "mAP 0.460 [0.450, 0.470] of 1, no better than" in statements["What is exclusive"]
    assert "Intervals are 95% and over the queries" in statements["How sure"]


def test_equal_items_and_one_pair_are_told():
    retrieval = TEST.retrieval._replace(shared_y_to_x=rate(1.0, chance=1.0))
    items = {"x": ItemCounts(100, 0), "y": ItemCounts(20, 100)}
    shared = summary(TEST._replace(items=items, retrieval=retrieval))["What is shared"]
    assert "the nearest y of 20 that differ is" in shared
    assert "Given y, nothing can be missed: every x is a right answer" in shared


def test_values_that_are_missing_are_left_out():
    nothing = matrix(HOME, digit={"z_s": math.nan, "z_x": 0.1}, colour={"z_s": 0.1, "z_x": None})
    bounds = InformationTerms(
        100, *[Bound(math.nan, math.nan, math.nan)] * len(InformationTerms._fields[1:])
    )
    evidence = EVIDENCE._replace(
        probes=dict.fromkeys(EVIDENCE.probes, nothing), information=bounds,
        swap={"digit": [SwapResult("x", "R2", "shared", math.nan, 0.1, 0.9)]},
    )  # fmt: skip
    statements = summary(evidence=evidence)
    assert "predicts the" not in statements["What is shared"] + statements["What is exclusive"]
    assert "x and y share" not in statements["What is shared"]
    assert "z_s holds at most - nats" in statements["What leaked"]
    assert "wrong latent" not in statements["What leaked"]


def test_without_evidence_the_linear_readings_stand_in():
    statements = summary(evidence=None)
    assert "z_s predicts the digit: accuracy 0.800" in statements["What is shared"]
    assert "z_x predicts the colour: R2 0.700" in statements["What is exclusive"]
    assert "Not measured yet" in statements["What leaked"]
    assert summarise(Results()) == []


@pytest.mark.parametrize(
    ("test", "evidence", "heading", "text"),
    [
        (TEST, EVIDENCE._replace(leakage={"means": leakage(None, 0.0, ("z_y",))}),
         "How sure", "z_y is collapsed"),
        (TEST._replace(retrieval=TEST.retrieval._replace(exclusive_x_to_y=rate(0.4))), EVIDENCE,
         "What is exclusive", "more often than by guessing (1%)"),
        (TEST, EVIDENCE._replace(swap={"digit": [SwapResult("x", "R2", "shared", 0.9, 0.95, 1.0)]}),
         "What leaked", "the digit in x follows the wrong latent"),
        (TEST._replace(largest_nats=0.03), EVIDENCE,
         "What is shared", "No dimension of z_s holds anything"),
        (TEST, EVIDENCE._replace(domains={}), "How sure", "Intervals are 95%"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(test, evidence, heading, text):
    assert text in summary(test, evidence)[heading]
