import math

import pytest

from iiae.results import (
    Estimate,
    Readability,
    TranslationQuality,
)
from results_made import READ, RESULTS, matrix, tables


def test_a_collapsed_latent_is_a_dash_with_its_reason():
    ink = {"z_s given x": 0.5, "z_x": None}
    read = matrix({"digit": "z_s", "ink": "z_x"}, digit={"z_s given x": 0.9, "z_x": None}, ink=ink)
    table = tables(RESULTS._replace(readability=Readability({"means": read}, {})))[1]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["z_s given x, means"] == ["0.900", "0.500"]
    assert rows["z_x, means"] == ["-", "-"]
    assert rows["chance"] == ["0.100", "0.100"]
    assert table.columns[1:] == ["digit (accuracy), of z_s", "ink (R2), of z_x"]
    assert "A dash: the latent is collapsed" in table.note
    assert "A dash" not in tables()[1].note


@pytest.mark.parametrize("probes", [{}, {"means": READ}])
def test_a_factor_that_cannot_be_read_is_named_with_its_reason(probes):
    read = Readability(probes, {"ink": "factor ink is constant"})
    assert "Not read: factor ink is constant." in tables(RESULTS._replace(readability=read))[1].note
    assert "Not read" not in tables()[1].note


def test_terms_that_are_not_finite_are_dashes_with_their_reason():
    table = tables(RESULTS._replace(nats=RESULTS.nats._replace(nll_x=math.nan)))[-1]
    assert table.rows[0][1] == "-"
    assert "A dash: not finite" in table.note


def test_one_pair_has_no_intervals_and_no_spread():
    one = Estimate(0.5, None, None)
    own, again = {"partner": one}, Estimate(1.0, 0.2, 1.0)
    quality = TranslationQuality(1, own, own, None, one, again, again, 1.0, None)
    both = {"to_x": quality, "to_y": quality._replace(perceptual=own)}
    rows = {row[0]: row[1:] for row in tables(RESULTS._replace(translation=both))[2].rows}
    assert rows["mean |difference|, z of the partner"] == ["0.5000 [-]", "0.5000 [-]"]
    assert rows["perceptual distance, z of the partner"] == ["-", "0.5000 [-]"]
    assert rows["source found again by guessing, rate"] == ["1.0000", "1.0000"]
    assert rows["distance of z_s from the source's (1: anyone's)"] == ["-", "-"]
