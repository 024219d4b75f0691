import copy

import pytest

from iiae.report.summary import summarise


def rate(value, chance=0.01):
    return {
        "recall@1": {"rate": value, "low": value - 0.01, "high": value + 0.01, "chance": chance}
    }


def cell(score):
    one = {"score": score, "low": score - 0.01, "high": score + 0.01, "chance": 0.1}
    return {"linear": {**one, "chance_high": 0.12}, "nonlinear": None}


def leak(value, colour):
    return {"value": value, "by_factor": {"digit": 0.0, "colour": colour}, "at_home": 0.9,
            "collapsed": []}  # fmt: skip


METRICS = {
    "training": {"seed": 3},
    "test": {
        "pairs": 100,
        "retrieval": {
            "shared_x_to_y": rate(0.98), "shared_y_to_x": rate(0.97),
            "exclusive_x_to_y": rate(0.01), "exclusive_y_to_x": rate(0.01),
        },
        "readability": [
            {"factor": "digit", "measure": "accuracy", "belongs_to": "z_s", "chance": 0.1,
             "scores": {"z_s given x, mean": 0.8, "z_x, mean": 0.99}},
            {"factor": "colour", "measure": "R2", "belongs_to": "z_x", "chance": 0.0,
             "scores": {"z_x, mean": 0.7, "z_y, mean": 0.0}},
        ],
    },
    "evidence": {
        "probes": {
            view: {
                "home": {"digit": "z_s", "colour": "z_x"},
                "cells": {
                    "digit": {"z_x": cell(0.1), "z_s": cell(0.9), "z_y": cell(0.1)},
                    "colour": {"z_x": cell(0.95), "z_s": cell(0.4), "z_y": cell(0.0)},
                },
            }
            for view in ("means", "active means", "samples")
        },
        "leakage": {"means": leak(0.2, 0.4), "active means": leak(0.0, 0.0),
                    "samples": leak(0.0, 0.0)},
        "domains": {"means": {"linear": 0.6, "nonlinear": 0.7}},
        "dependence": {"z_x and z_s": {"ksg": "ksg needs more samples", "gaussian": {"value": 1}}},
        "swap": {"digit": [{"domain": "x", "right": "shared", "from_shared": 0.9,
                            "from_exclusive": 0.1}]},
    },
}  # fmt: skip


def said(metrics):
    return {part.heading: " ".join(part.sentences) for part in summarise(metrics)}


def test_every_part_says_what_was_measured():
    found = said(METRICS)
    assert list(found) == ["What is shared", "What is exclusive", "What leaked", "How sure"]
    assert "finds its own y among 100 in 98.00 [97.00, 99.00]% of cases" in found["What is shared"]
    assert "z_s tells the digit: accuracy 0.900" in found["What is shared"]
    assert "z_x tells the colour: R2 0.950" in found["What is exclusive"]
    assert "no better than guessing" in found["What is exclusive"]
    assert "most of all the colour, 0.40, from z_s" in found["What leaked"]
    assert "By active means: 0.000 of 1 on average over factors; nothing" in found["What leaked"]
    assert "Means show more than samples" in found["What leaked"]
    assert "told from z_s given y in 70% of cases" in found["How sure"]
    assert "was not estimated by ksg;" in found["How sure"]
    assert "of seed 3" in found["How sure"]


def scores(mean, chance):
    return {
        "mean": {"map@all": mean},
        "interval": {"map@all": [mean - 0.01, mean + 0.01]},
        "chance": {"map@all": chance},
    }


def test_classes_are_told_beside_what_guessing_reaches():
    metrics = copy.deepcopy(METRICS)
    metrics["test"] |= {
        "retrieval": None,
        "categories": {
            "split": "unseen", "classes": 3, "shared_x_to_y": scores(0.399, 0.457),
            "shared_y_to_x": scores(0.6, 0.457), "exclusive_x_to_y": scores(0.46, 0.457),
        },
    }  # fmt: skip
    found = said(metrics)
    shared = found["What is shared"]
    assert "mAP 0.399 [0.389, 0.409] of 1, worse than guessing (0.457)" in shared
    assert "mAP 0.600 [0.590, 0.610] of 1, better than guessing (0.457)" in shared
    assert "mAP 0.460 [0.450, 0.470] of 1, no better than" in found["What is exclusive"]
    assert "Intervals are 95% and over the queries" in found["How sure"]


def test_equal_items_and_one_pair_are_told():
    metrics = copy.deepcopy(METRICS)
    metrics["test"]["items"] = {"y": {"different": 20, "repeated": 100}}
    metrics["test"]["retrieval"]["shared_y_to_x"] = rate(1.0, chance=1.0)
    shared = said(metrics)["What is shared"]
    assert "its own y among 20 that differ" in shared
    assert "From y alone nothing can be missed: every x is a right answer" in shared


def test_values_that_are_missing_are_left_out():
    metrics = copy.deepcopy(METRICS)
    evidence = metrics["evidence"]
    evidence["probes"]["active means"]["cells"]["digit"]["z_s"]["linear"]["score"] = None
    evidence["swap"]["digit"][0]["from_shared"] = None
    evidence["leakage"]["means"]["by_factor"] = {"digit": None, "colour": None}
    bound = {"value": None, "low": None, "high": None}
    names = ("interaction_lower", "only_x", "only_y", "exclusive_x", "exclusive_y")
    evidence["information"] = dict.fromkeys(names, bound)
    found = said(metrics)
    assert "tells the digit" not in found["What is shared"]
    assert "z_s holds at most - nats" in found["What leaked"]
    del metrics["evidence"]
    metrics["test"]["readability"][0]["scores"] = {"z_s given x, mean": None}
    assert "tells the digit" not in said(metrics)["What is shared"]


def test_without_evidence_the_linear_readings_stand_in():
    found = said({k: v for k, v in METRICS.items() if k != "evidence"})
    assert "z_s tells the digit: accuracy 0.800" in found["What is shared"]
    assert "Not measured yet" in found["What leaked"]
    assert summarise({}) == []


@pytest.mark.parametrize(
    ("change", "heading", "text"),
    [
        (lambda m: m["evidence"]["leakage"].update(
            means={**leak(None, 0.0), "collapsed": ["z_y"]}), "How sure", "z_y is collapsed"),
        (lambda m: m["test"]["retrieval"].update(exclusive_x_to_y=rate(0.4)),
         "What is exclusive", "which is not what guessing (1%) gives"),
        (lambda m: m["evidence"]["swap"]["digit"][0].update(from_exclusive=0.95),
         "What leaked", "the digit in x follows the wrong latent"),
        (lambda m: m["evidence"].update(domains={"linear": 0.58, "nonlinear": 0.5}),
         "How sure", "By means, z_s given x is told from z_s given y in 58%"),
        (lambda m: m["evidence"].update(domains=None), "How sure", "Intervals are 95%"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(change, heading, text):
    metrics = copy.deepcopy(METRICS)
    change(metrics)
    assert text in said(metrics)[heading]
