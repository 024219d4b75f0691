import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.special import digamma

from iiae.errors import DataError, MissingExtra
from iiae.metrics.information import (
    RANGES,
    canonical_maps,
    gaussian_information,
    ksg_information,
    normal_scores,
)


def normal_blocks(size, nats, samples, seed=0):
    rng = np.random.default_rng(seed)
    shared = math.sqrt(1 - math.exp(-2 * nats / size))
    a = rng.normal(size=(samples, size))
    return a, shared * a + math.sqrt(1 - shared**2) * rng.normal(size=(samples, size))


def tolerance(nats):
    return max(0.1 * nats, 0.05)


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 64])
@pytest.mark.parametrize("nats", [0, 0.25, 1, 3])
def test_gaussian_is_right_on_normal_blocks(size, nats):
    estimate = gaussian_information(*normal_blocks(size, nats, 4000))
    assert estimate.value == pytest.approx(nats, abs=tolerance(nats))
    assert estimate.kind == "estimate" and estimate.in_range


@pytest.mark.parametrize("size", RANGES["ksg"])
@pytest.mark.parametrize("share", [0, 0.3, 0.7])
def test_ksg_is_right_on_normal_blocks_in_its_range(size, share):
    nats = share * RANGES["ksg"][size].top
    estimate = ksg_information(*normal_blocks(size, nats, 4000))
    assert estimate.value == pytest.approx(nats, abs=tolerance(nats))
    assert estimate.in_range


def test_ksg_sees_dependence_without_correlation():
    rng = np.random.default_rng(1)
    a, b = normal_blocks(1, 1, 4000)
    signs = rng.choice([-1, 1], size=b.shape)
    assert ksg_information(np.abs(a), b * signs).value > 0.3
    assert abs(gaussian_information(np.abs(a), b * signs).value) < 0.01


def test_ksg_of_uniform_noise_on_a_uniform_is_its_closed_form():
    # I(u; u + v) of two uniforms on [0, 1] is h(sum) - h(v) = 1/2
    rng = np.random.default_rng(0)
    u, v = rng.uniform(size=(2, 4000, 1))
    assert ksg_information(u, u + v).value == pytest.approx(0.5, abs=0.05)


def test_ksg_equals_its_definition_as_slow_loops():
    a, b = normal_blocks(2, 0.5, 4000)
    # normal scores and canonical coordinates are the documented first step
    maps = canonical_maps(normal_scores(a), normal_scores(b))
    left, right = normal_scores(a) @ maps.a, normal_scores(b) @ maps.b
    apart = [cdist(z, z, "chebyshev") for z in (left, right)]
    total = 0.0
    for i in range(4000):
        both = np.maximum(apart[0][i], apart[1][i])
        radius = np.sort(np.delete(both, i))[2]
        near = [int((np.delete(d[i], i) < radius).sum()) for d in apart]
        total += digamma(3) + digamma(4000) - sum(digamma(n + 1) for n in near)
    assert ksg_information(a, b).value == pytest.approx(total / 4000, abs=1e-9)


def test_gaussian_is_half_the_log_of_one_less_the_squared_correlation():
    a, b = normal_blocks(1, 0.5, 100_000)
    rho = np.corrcoef(a[:, 0], b[:, 0])[0, 1]
    assert gaussian_information(a, b).value == pytest.approx(-0.5 * math.log(1 - rho**2), abs=1e-4)


def test_gaussian_is_zero_on_average_where_there_is_no_information():
    estimates = [gaussian_information(*normal_blocks(16, 0, 4000, seed)) for seed in range(20)]
    # without the correction the mean would be 256 / 8000
    assert np.mean([f.value for f in estimates]) == pytest.approx(0, abs=0.003)


def test_gaussian_p_values_are_uniform_without_information_and_tiny_with():
    null = [gaussian_information(*normal_blocks(2, 0, 4000, s)).p_value for s in range(60)]
    assert 0.35 < np.mean(null) < 0.65
    assert gaussian_information(*normal_blocks(2, 0.05, 4000)).p_value < 1e-6


def test_gaussian_intervals_hold_the_truth_nineteen_times_in_twenty():
    estimates = [gaussian_information(*normal_blocks(4, 1, 4000, seed)) for seed in range(60)]
    assert sum(f.low <= 1 <= f.high for f in estimates) >= 53


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_gaussian_does_not_change_with_the_coordinates(seed, scale):
    rng = np.random.default_rng(seed)
    a, b = normal_blocks(3, 1, 4000)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0] * np.array([1, scale, 1 / scale])
    moved = gaussian_information(a @ turn + 7, b)
    assert moved.value == pytest.approx(gaussian_information(a, b).value, abs=1e-6)


@pytest.mark.parametrize("estimator", [gaussian_information, ksg_information])
def test_information_is_the_same_both_ways(estimator):
    a, b = normal_blocks(2, 0.5, 4000)
    assert estimator(a, b[:, :1]).value == pytest.approx(estimator(b[:, :1], a).value, abs=1e-9)


def test_ksg_does_not_change_when_a_latent_is_cubed_or_exponentiated():
    a, b = normal_blocks(2, 0.5, 4000)
    assert ksg_information(a**3, np.exp(b)).value == pytest.approx(ksg_information(a, b).value)


@pytest.mark.parametrize("estimator", [gaussian_information, ksg_information])
def test_a_constant_dimension_or_a_copy_adds_nothing(estimator):
    a, b = normal_blocks(2, 0.5, 4000)
    padded = np.hstack([a, np.full((4000, 1), 3.0)])
    assert estimator(padded, b).value == pytest.approx(estimator(a, b).value)
    copied = np.hstack([a, a[:, :1]])
    assert estimator(copied, b).value == pytest.approx(estimator(a, b).value, abs=1e-6)


@pytest.mark.parametrize(
    ("estimator", "size", "nats"),
    [(gaussian_information, 2, 6), (ksg_information, 1, 6), (ksg_information, 4, 3)],
)
def test_more_information_than_was_measured_is_marked(estimator, size, nats):
    assert not estimator(*normal_blocks(size, nats, 4000)).in_range


def test_a_block_and_itself_is_more_than_was_measured_and_finite():
    a, _ = normal_blocks(2, 0, 4000)
    estimate = gaussian_information(a, a)
    assert math.isfinite(estimate.value) and not estimate.in_range


def test_more_dimensions_than_were_measured_are_refused_with_the_range():
    with pytest.raises(DataError, match=r"ksg was measured on up to \d dimensions .* one has 5"):
        ksg_information(*normal_blocks(5, 0, 4000))
    with pytest.raises(DataError, match="gaussian was measured on up to 64 dimensions"):
        gaussian_information(*normal_blocks(65, 0, 4000))


def test_fewer_samples_than_were_measured_are_refused_with_the_range():
    for estimator in (gaussian_information, ksg_information):
        with pytest.raises(
            DataError, match="measured on 4000 samples or more at 1 dimensions and there are 3999"
        ):
            estimator(*normal_blocks(1, 0, 3999))


def test_wrong_input_is_named():
    a, b = normal_blocks(2, 0, 4000)
    with pytest.raises(DataError, match="a has 3999 samples and b 4000"):
        gaussian_information(a[1:], b)
    with pytest.raises(DataError, match="b has values that are not finite"):
        gaussian_information(a, np.where(b > 3, np.nan, b))
    with pytest.raises(DataError, match="a is collapsed: none of its 2 dimensions varies"):
        gaussian_information(np.ones_like(a), b)
    with pytest.raises(DataError, match="ksg is for continuous data"):
        ksg_information(np.sign(a), np.sign(b))
    with pytest.raises(DataError, match="k is 0"):
        ksg_information(a, b, k=0)


def test_single_precision_gives_the_same_answer():
    a, b = normal_blocks(2, 1, 4000)
    single = gaussian_information(a.astype(np.float32), b.astype(np.float32))
    assert single.value == pytest.approx(gaussian_information(a, b).value, abs=1e-4)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(MissingExtra, match=r"pip install 'iiae\[sklearn\]'"):
        gaussian_information(*normal_blocks(1, 0, 4000))
