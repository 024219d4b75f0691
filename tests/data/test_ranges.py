import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers import small_settings
from iiae.data.arrays import ArrayPairs, split_rows
from iiae.data.base import ChosenPairs, Splits
from iiae.data.missing import drop_partners
from iiae.data.ranges import check_images, check_ranges, check_values, to_float32, warn_of_steps
from iiae.data.synthetic import SyntheticPairs
from iiae.errors import DataError
from iiae.files.matrices import Matrix
from iiae.settings import LikelihoodSettings, make_settings

rng = np.random.default_rng(0)


def likelihood(kind):
    return LikelihoodSettings.model_validate({"kind": kind})


def objective(x="laplace", y="laplace"):
    values = {"data": {"name": "own"}, "objective": {"x": {"kind": x}, "y": {"kind": y}}}
    return make_settings(values).objective


def splits(x, y, validation=None):
    train = ArrayPairs(x, y)
    return Splits(train, validation or train, train)


@given(st.floats(allow_nan=True, allow_infinity=True, width=64))
def test_a_number_is_narrowed_where_float32_holds_it(value):
    array = np.zeros((3, 2))
    array[1, 1] = value
    with np.errstate(over="ignore"):
        held = np.isfinite(np.float32(value))
    if held:
        assert to_float32(array, "a")[1, 1] == np.float32(value)
    else:
        why = "too large for float32" if np.isfinite(value) else "NaN or infinite values"
        with pytest.raises(DataError, match=f"a: .*{why}.* in row 1"):
            to_float32(array, "a")


def test_many_rows_that_cannot_be_narrowed_are_counted():
    with pytest.raises(DataError, match=r"in row 0, 1, 2, 3, 4 and 15 more"):
        to_float32(np.full((20, 2), np.nan), "a")


@pytest.mark.parametrize("array", [np.full((4, 2), 0.1), np.eye(4), np.arange(8).reshape(4, 2)])
def test_values_that_float32_tells_apart_are_not_warned_of(array, caplog):
    warn_of_steps(array, "a")
    warn_of_steps(array.astype(np.float16), "a")
    assert not caplog.text


def test_columns_that_are_large_beside_their_differences_are_named(caplog):
    array = rng.normal(size=(50, 4))
    array[:, 1] += 1e9
    array[:, 3] = 2**25 + np.arange(50) * 4  # whole numbers that float32 has
    warn_of_steps(array, "a.npy")
    assert "a.npy: float32 keeps the differences within column 1 in coarse steps" in caplog.text


@given(st.floats(-3, 3))
def test_images_are_in_the_range_of_the_decoders(value):
    images = torch.zeros(2, 1, 2, 2)
    images[1, 0, 0, 1] = value
    if abs(value) <= 1:
        check_images(images, "x")
    elif abs(value) > 1.01:
        with pytest.raises(DataError, match=r"x: images from .* are not in \[-1, 1\]"):
            check_images(images, "x")


@pytest.mark.parametrize(
    ("top", "fix"),
    [(255, "divide by 127.5 and subtract 1"), (65535, "divide by 32767.5"), (1e6, "black is -1")],
)
def test_images_in_another_range_are_refused_with_the_way_to_mend_them(top, fix):
    images = torch.linspace(0, top, 12).reshape(3, 1, 2, 2)
    with pytest.raises(DataError, match=f"images from 0 to .*{fix}"):
        check_images(images, "x")


@pytest.mark.parametrize(
    ("kind", "rows", "message"),
    [
        ("bernoulli", [[0.0, 1.0]], None),
        ("bernoulli", [[0.0, 1.5]], r"values from 0 to 1.5; bernoulli is of values in \[0, 1\]"),
        ("bernoulli", [[-1.0, 1.0]], r"\(value \+ 1\) / 2"),
        ("bernoulli", [[0.0, 255.0]], "value / 255"),
        ("categorical", [[0.0, 1.0], [0.25, 0.75]], None),
        ("categorical", [[1.0, 1.0]], "sums on axis 1 are up to 1 away from 1"),
        ("categorical", [[-0.5, 1.5]], "categorical is of values in"),
        ("normal", [[-1e9, 1e9]], None),
        ("laplace", [[0.0, float("inf")]], None),
    ],
)
def test_values_are_those_that_the_likelihood_is_of(kind, rows, message):
    values = torch.tensor(rows)
    if message is None:
        check_values(values, likelihood(kind), "x")
    else:
        with pytest.raises(DataError, match=f"x: .*{message}"):
            check_values(values, likelihood(kind), "x")


def test_pairs_are_checked_where_training_begins():
    bytes_ = rng.integers(0, 256, (300, 8, 8, 3)).astype(np.uint8)
    floats = rng.random((300, 3, 8, 8))
    check_ranges(objective(), splits(bytes_, floats))
    check_ranges(objective("laplace", "bernoulli"), splits(bytes_, floats))
    with pytest.raises(DataError, match=r"train x: values from -1 to 1; bernoulli"):
        check_ranges(objective("bernoulli"), splits(bytes_, floats))
    vectors = rng.random((300, 4))
    bad = np.concatenate([vectors, [[2, 0, 0, 0]]])
    check_ranges(objective("bernoulli", "normal"), splits(vectors, vectors))
    with pytest.raises(DataError, match="train x: values from"):
        check_ranges(objective("bernoulli", "normal"), splits(bad, bad))
    data = splits(vectors, vectors, ArrayPairs(bad, bad))
    with pytest.raises(DataError, match="validation x: values from"):
        check_ranges(objective("bernoulli", "normal"), data)


def test_sets_of_one_s_own_are_checked_too():
    class Own(SyntheticPairs):
        held = ()

    pairs = Own(500, seed=0)
    pairs.x = pairs.x.clone()
    check_ranges(small_settings().objective, Splits(pairs, pairs, pairs))
    pairs.x[:] = torch.nan
    for wrapped in (pairs, ChosenPairs(pairs, torch.arange(9)), drop_partners(pairs, 0.5, 0)):
        with pytest.raises(DataError, match="train x: holds NaN or infinite values"):
            check_ranges(small_settings().objective, Splits(wrapped, pairs, pairs))


def test_images_that_use_the_upper_half_of_the_range_are_warned_of(caplog):
    floats = rng.random((20, 1, 8, 8))
    check_ranges(objective(), splits(floats, 2 * floats - 1))
    assert "x: images from" in caplog.text
    assert "multiply by 2 and subtract 1" in caplog.text
    assert "y: images" not in caplog.text


@pytest.mark.parametrize("form", ["dense", "with gaps", "sparse"])
def test_a_value_that_is_no_count_is_named_by_its_row_in_the_data(form):
    x, y = rng.poisson(3, (100, 4)).astype(float), rng.normal(size=(100, 2))
    x[:, 0] += 1
    x[57, 3] = 0.5
    settings = make_settings({"data": {"name": "arrays"}}).data
    given = pytest.importorskip("scipy.sparse").csr_matrix(x) if form == "sparse" else x
    parts = split_rows(Matrix(given), Matrix(y), settings)
    if form == "with gaps":
        parts = parts._replace(train=drop_partners(parts.train, 0.2, 1))
    with pytest.raises(DataError, match=r"x: 0\.5 in row 57, column 3 is no count"):
        check_ranges(objective("poisson", "normal"), parts)
