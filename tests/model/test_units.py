"""Units of columns: learned from training rows, stored, undone."""

import numpy as np
import pytest
import torch

import iiae
from iiae.data.arrays import ArrayPairs
from iiae.data.base import Splits
from iiae.data.suggest import suggest_settings_for
from iiae.distributions import Poisson, ScaledNormal
from iiae.errors import SettingsError
from iiae.model.units import CountUnits, StandardUnits
from iiae.settings import make_settings
from iiae.types import Context


def test_a_rescaled_likelihood_is_the_density_of_the_data():
    units = StandardUnits(3)
    rows = torch.randn(50, 3) * torch.tensor([2.0, 0.1, 0.0]) + torch.tensor([5.0, -1.0, 4.0])
    units.learn([(rows[:20], Context()), (rows[20:], Context())])
    inner = ScaledNormal(torch.zeros(50, 3), torch.zeros(3))
    outer = units.likelihood(inner)
    torch.testing.assert_close(outer.mean, rows.mean(0).expand(50, 3))
    normal = torch.distributions.Normal(rows.mean(0)[:2], rows.std(0, correction=0)[:2])
    constant = torch.distributions.Normal(0.0, 1.0).log_prob(torch.tensor(0.0))
    expected = normal.log_prob(rows[:, :2]).sum(1) + constant
    torch.testing.assert_close(outer.log_prob(rows), expected, rtol=1e-4, atol=1e-4)


def test_a_value_far_away_counts_as_ten_deviations_away():
    units = StandardUnits(1)
    units.learn([(torch.tensor([[0.0], [2.0]]), Context())])
    assert units(torch.tensor([[1e9], [-1e9], [1.5]])).flatten().tolist() == [10, -10, 0.5]


def columns(rows=120):
    """Two domains of one cause, in units of all sizes; the last column of x is constant."""
    generator = np.random.default_rng(0)
    cause = generator.normal(size=(rows, 2))
    noise = generator.normal(size=(rows, 6)) * 0.1
    x = np.concatenate([cause, cause @ [[1.0], [1.0]]], 1) + noise[:, :3]
    y = cause @ [[1.0, 0, 1], [0, 1, 1]] + noise[:, 3:]
    x = np.concatenate([x * [1e4, 1, 1e-3] + [7e4, 0, 3], np.full((rows, 1), 5.0)], 1)
    return x, y * [100.0, 1, 0.01] - [0, 50, 0]


def test_translations_come_back_in_the_units_of_the_data(tmp_path):
    x, y = columns()
    run = iiae.fit(x, y, epochs=60, learning_rate=3e-3, progress=False, standardise=True)
    made = run.translate(x, to="y")
    correlations = [np.corrcoef(made[:, j], y[:, j])[0, 1] for j in range(3)]
    assert min(correlations) > 0.8
    assert np.allclose(made.mean(0), y.mean(0), atol=0.5 * y.std(0))
    assert np.allclose(run.translate(y, to="x")[:, 3], 5.0)
    again = iiae.load(run.save(tmp_path / "run"))
    assert np.array_equal(again.translate(x, to="y"), made)


def test_units_of_vectors_make_no_difference():
    x, y = columns(60)
    settings = suggest_settings_for(((4,), (3,)))
    settings["model"]["standardise"] = True
    settings["training"]["epochs"] = 2

    def fitted(x, y):
        parts = [ArrayPairs(x[some], y[some]) for some in np.split(np.arange(60), [40, 50])]
        run = iiae.fit(make_settings(settings), data=Splits(*parts), progress=False)
        return run.embed(x=x).shared

    np.testing.assert_allclose(fitted(x, y), fitted(x * 8, y / 4), rtol=1e-3, atol=1e-3)


def test_images_have_units_already():
    images = np.zeros((9, 1, 16, 16))
    with pytest.raises(SettingsError, match=r"model.standardise is for vectors"):
        iiae.fit(images, images, progress=False, standardise=True)


COUNTS = torch.tensor([[0.0, 3.0, 0.0], [2.0, 5.0, 0.0], [10.0, 1.0, 0.0]])


def test_means_of_counts_begin_at_those_of_the_training_rows_and_stay_counts():
    units = CountUnits(3)
    units.learn([(COUNTS[:1], Context()), (COUNTS[1:], Context())])
    likelihood = units.likelihood(Poisson(torch.zeros(2, 3)))
    expected = torch.tensor([4.0, 3.0, 0.5 / 3])
    torch.testing.assert_close(likelihood.mean, expected.expand(2, 3))
    seen = units(COUNTS)
    torch.testing.assert_close(seen.mean(0), torch.zeros(3))
    assert (seen[:, 2] == 0).all()


@pytest.mark.parametrize("size", ["given", "observed"])
def test_means_of_counts_are_in_proportion_to_the_library_size(size):
    units = CountUnits(3, size)
    given = Context(torch.tensor([3.0, 7.0, 11.0]))
    units.learn([(COUNTS, given)])
    assert units.median_size == 7
    raw = Poisson(torch.zeros(3, 3))
    known = units.known(COUNTS, given)
    middle = units.likelihood(raw).mean  # of the median size
    torch.testing.assert_close(
        units.likelihood(raw, known).mean, middle * torch.tensor([[3 / 7], [1.0], [11 / 7]])
    )
