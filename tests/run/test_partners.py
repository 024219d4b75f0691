import numpy as np
import pytest

import iiae
from iiae.errors import DataError, SettingsError
from iiae.files.matrices import Matrix
from iiae.run.partners import laid_together

X, Y = Matrix(np.arange(8).reshape(4, 2), place="x"), Matrix(np.arange(6.0)[:, None], place="y")


def test_partners_share_a_row_and_the_rest_follows():
    x, y = laid_together(X, Y, [(2, 5), (0, 1), (0, 2)])
    none = np.nan
    np.testing.assert_array_equal(x.values[:, 0], [4, 0, 0, 2, 6, none, none, none])
    np.testing.assert_array_equal(y.values[:, 0], [5, 1, 2, none, none, 0, 3, 4])
    assert x.values.dtype == np.float64 and (x.place, y.place) == ("x", "y")


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([(0, 6)], "pair 0 names row 6 of y, which has rows 0 to 5"),
        ([(0, 0), (-1, 0)], "pair 1 names row -1 of x, which has rows 0 to 3"),
        ([(0.5, 1)], r"given float64 of shape \(1, 2\)"),
        ([1, 2], r"given int64 of shape \(2,\)"),
    ],
)
def test_wrong_pairs_are_named(pairs, message):
    with pytest.raises(DataError, match=message):
        laid_together(X, Y, pairs)


def test_images_are_refused():
    with pytest.raises(DataError, match="x must be dense vectors"):
        laid_together(Matrix(np.zeros((2, 1, 16, 16)), place="x"), Y, [(0, 0)])


def test_what_does_not_go_with_pairs_of_rows_is_refused():
    x = np.zeros((3, 2))
    with pytest.raises(SettingsError, match="covariates and sizes are of pairs"):
        iiae.fit(x, x, pairs=[(0, 0)], sizes={"x": np.ones(3)})
    with pytest.raises(SettingsError, match="x and y are files"):
        iiae.fit("a.npy", "b.npy", pairs=np.zeros((1, 2), int))
    assert laid_together(X, Y, np.array([(2, 5)], np.uint64))[0].values[0, 0] == 4


def test_a_handful_of_pairs_and_the_rest_are_trained_on(caplog):
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(300, 3))
    x, y = shared @ rng.normal(size=(3, 6)), shared @ rng.normal(size=(3, 5))
    order = rng.permutation(300)
    pairs = np.stack([order[:60], np.arange(60)], 1)  # row i of y belongs to row order[i] of x
    with caplog.at_level("INFO", "iiae"):
        run = iiae.fit(x, y[order], pairs=pairs, epochs=40, progress=False)
    assert run.settings.data.name == "arrays"
    kept = len(run.data.test) + len(run.data.validation) + len(run.data.train)
    assert kept == 60 and len(run.data.train.sides) > 500
    found = run.evaluate(x=x[order[60:]], y=y[order[60:]]).retrieval
    assert found.shared_x_to_y.recall[1].rate > 10 / 240
