import numpy as np
import pytest
from sklearn.linear_model import Ridge

from iiae.metrics.probes import STRENGTHS, held_out_ridge, standardised, widened

rng = np.random.default_rng(0)
FEATURES = rng.normal(size=(200, 3))
TARGETS = np.stack([FEATURES @ [1.0, -2.0, 0.5] + rng.normal(size=200), rng.normal(size=200)], 1)
FOLD = np.arange(200) % 4


@pytest.mark.parametrize("features", [FEATURES, rng.normal(size=(200, 300))], ids=["few", "wide"])
def test_held_out_ridge_is_scikit_learns_with_the_strength_chosen_on_a_fifth(features):
    predicted = held_out_ridge(features, TARGETS, FOLD)
    for held in range(4):
        rest = np.flatnonzero(held != FOLD)
        fifth = np.arange(len(rest)) % 5 == 0
        choose, fit = rest[fifth], rest[~fifth]
        for column in range(2):
            y = TARGETS[:, column]
            errors = [
                np.square(
                    Ridge(s * len(fit) / 1000).fit(features[fit], y[fit]).predict(features[choose])
                    - y[choose]
                ).sum()
                for s in STRENGTHS
            ]
            best = Ridge(STRENGTHS[np.argmin(errors)] * len(rest) / 1000)
            expected = best.fit(features[rest], y[rest]).predict(features[held == FOLD])
            assert predicted[held == FOLD, column] == pytest.approx(expected)


def test_no_target_of_a_held_out_sample_reaches_its_prediction():
    changed = TARGETS.copy()
    changed[FOLD == 0] += 100
    predicted = [held_out_ridge(FEATURES, t, FOLD)[FOLD == 0] for t in (TARGETS, changed)]
    assert np.array_equal(*predicted)


def test_wide_features_have_unit_variance_and_repeat_for_a_seed():
    wide = widened(standardised(FEATURES), 0)
    assert wide.std(0) == pytest.approx(1)
    assert np.array_equal(wide, widened(standardised(FEATURES), 0))
