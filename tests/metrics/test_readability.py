import sys

import numpy as np
import pytest

from iiae.errors import MissingExtra
from iiae.metrics.readability import chance_accuracy, readable_class, readable_linearly

rng = np.random.default_rng(0)
LATENT = rng.normal(size=(600, 5))


def test_a_linear_factor_is_read_without_error():
    assert readable_linearly(LATENT, LATENT @ rng.normal(size=(5, 3))) > 0.999


def test_noise_bounds_what_can_be_read():
    factor = LATENT[:, :1] + rng.normal(size=(600, 1))
    assert readable_linearly(LATENT, factor) == pytest.approx(0.5, abs=0.08)


def test_an_independent_factor_is_not_read():
    assert -0.05 < readable_linearly(LATENT, rng.normal(size=(600, 3))) < 0.02


def test_more_dimensions_than_samples_do_not_invent_a_reading():
    assert readable_linearly(rng.normal(size=(100, 400)), rng.normal(size=(100, 2))) < 0.05


def test_a_class_is_read_from_where_it_is_and_not_elsewhere():
    label = (LATENT[:, 0] > 0).astype(int)
    assert readable_class(LATENT, label) > 0.95
    assert readable_class(LATENT[:, 1:], label) == pytest.approx(chance_accuracy(label), abs=0.06)


def test_chance_is_the_most_common_label():
    assert chance_accuracy(np.array([0, 0, 0, 1])) == 0.75


def test_no_dimensions_read_as_chance():
    none = LATENT[:, :0]
    label = np.array([0, 1] * 300)
    assert readable_linearly(none, LATENT[:, :1]) == 0
    assert readable_class(none, label) == 0.5


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(MissingExtra, match=r"pip install 'iiae\[sklearn\]'"):
        readable_linearly(LATENT, LATENT)
