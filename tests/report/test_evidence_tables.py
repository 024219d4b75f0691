from iiae.metrics.information import Information
from iiae.report.evidence_tables import evidence_tables
from iiae.results import Evidence, Gain, Gains, NullCopy, NullRuns
from results_made import leakage, matrix

NOTHING = Evidence(100, None, None, {}, {}, {}, {}, None)
KNOWN = Information(1.0, 0.9, 1.1, "estimate", False, 100)


def test_what_was_not_measured_has_no_table():
    assert evidence_tables(NOTHING) == []


def test_the_notes_of_probes_stand_once():
    read = matrix({"digit": "z_s"}, digit={"z_s": 0.9})
    probes, leaks = dict.fromkeys(("means", "samples"), read), {"means": leakage(0.2, 0.4)}
    _, first, second = evidence_tables(NOTHING._replace(probes=probes, leakage=leaks))
    assert first.note.startswith("R2 or accuracy")
    assert second.note == "Probes and notes as above."


def test_refusals_of_one_reason_share_a_letter_and_values_out_of_range_are_marked():
    few = dict.fromkeys(("gaussian", "ksg", "infonce", "club"), "too few pairs")
    pairs = {"z_x and z_s": {**few, "ksg": KNOWN, "club": "too wide", "hsic": "too few pairs"}}
    (table,) = evidence_tables(NOTHING._replace(dependence=pairs))
    assert [row[1] for row in table.rows] == [
        "refused (a)",
        "1.000 [0.900, 1.100] †",
        "refused (a)",
        "refused (b)",
        "refused (a)",
    ]
    assert "(a) too few pairs. (b) too wide." in table.note


def test_a_collapsed_latent_adds_nothing():
    gain = Gain(0.5, 0.1, 0.05, 0.15, null_high=0.01, p_value=0.05, possible=0.4)
    (table,) = evidence_tables(NOTHING._replace(gains={"means": Gains(gain, None, gain, None)}))
    assert table.rows[0][1:] == ["0.100 [0.050, 0.150]", "25", "0.010", "0.050", "0.500"]
    assert table.rows[1][1:] == ["collapsed", "-", "-", "-", "-"]


def test_trainings_on_shuffled_pairs_stand_beside_the_real_one():
    shuffled = [NullCopy(0.1, 0.02, 0.0), NullCopy(0.3, 0.04, 0.0)]
    runs = NullRuns(5, NullCopy(2.0, 0.9, 1.0), shuffled)
    (table,) = evidence_tables(NOTHING._replace(null=runs))
    assert table.title.startswith("Trained anew for 5 epochs")
    assert table.rows[0][1:] == ["2.000", "0.100", "0.300", "1.800", "0.333"]
