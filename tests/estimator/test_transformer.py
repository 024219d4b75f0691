import importlib.util
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import iiae
from iiae.errors import DataError, MissingExtra, RunError, SettingsError
from iiae.estimator import IIAETransformer
from iiae.inference.embed import embed_files
from iiae.model.columns import BLOCKS
from iiae.run_folder import COMPARISON, ESTIMATOR, load_run

# Checks of scikit-learn that do not run, and why. All others pass.
LEFT_OUT = {
    "check_array_api_input": "needs SCIPY_ARRAY_API set before SciPy is imported; torch computes",
}


def quick(**parameters):
    return IIAETransformer(
        **{"shared": 4, "exclusive": 2, "width": 8, "epochs": 2, "batch": 20, "random_state": 0}
        | parameters
    )


@pytest.fixture(scope="module")
def views():
    """Two views of three common causes, in units far apart, a constant feature in each."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(240, 3))
    x = np.c_[common @ rng.normal(size=(3, 6)) * 1000 + 5e4, rng.normal(size=240), np.ones(240)]
    y = np.c_[common @ rng.normal(size=(3, 5)) * 1e-3, rng.normal(size=240), np.full(240, 0.1)]
    return x, y


@pytest.fixture(scope="module")
def fitted(views):
    return quick().fit(*views)


def test_checks_of_scikit_learn_pass():
    results = check_estimator(quick(epochs=1), on_fail=None, on_skip=None)
    assert {r["check_name"] for r in results if r["status"] != "passed"} == LEFT_OUT.keys()
    assert len(results) > 40


def test_partners_are_found_in_views_of_any_unit(views):
    model = quick(epochs=60, shared=8, width=32, tau=50.0, weight=50.0).fit(
        views[0][:180], views[1][:180]
    )
    assert model.score(views[0][180:], views[1][180:]) > 0.3  # guessing reaches 0.017
    translated = model.translate(views[0][180:], to="y")
    truth = views[1][180:, :5]
    assert ((translated[:, :5] - truth) ** 2).mean() < 0.5 * truth.var()
    assert translated[:, 6] == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("block", BLOCKS)
def test_names_are_those_of_the_columns(views, fitted, block):
    fitted = copy(fitted).set_params(block=block)
    out = fitted.transform(views[0])
    names = list(fitted.get_feature_names_out())
    assert out.shape == (240, len(names))
    assert fitted.transform_y(views[1]).shape == out.shape
    expected = {"shared": 4, "active": int(fitted.model_.active.sum()), "exclusive": 2, "both": 6}
    assert len(names) == expected[block]
    assert names[:1] in ([], ["z_s0"], ["z_x0"]) or block == "active"


def test_columns_are_posterior_means_of_standardised_rows(views, fitted):
    x = (views[0] - views[0].mean(0)) / np.where(views[0].std(0) == 0, 1, views[0].std(0))
    with torch.no_grad():
        expected = fitted.model_.encode_x(torch.from_numpy(x.astype(np.float32))).shared.mean
    np.testing.assert_allclose(fitted.transform(views[0]), expected, rtol=1e-4, atol=1e-5)


def test_a_reference_gives_the_exclusive_latent(views, fitted):
    one = fitted.translate(views[1][:5], to="x", like=views[0][:1])
    same = fitted.translate(views[1][:5], to="x", like=np.repeat(views[0][:1], 5, 0))
    np.testing.assert_allclose(one, same, rtol=1e-6)
    assert not np.allclose(one, fitted.translate(views[1][:5], to="x"), rtol=1e-6)
    with pytest.raises(DataError, match="5 samples to translate and 2 references"):
        fitted.translate(views[1][:5], to="x", like=views[0][:2])


def test_set_output_makes_a_frame(views, fitted):
    pandas = pytest.importorskip("pandas")
    frame = clone(fitted).set_output(transform="pandas").fit(*views).transform(views[0])
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == ["z_s0", "z_s1", "z_s2", "z_s3"]


def test_a_grid_is_searched_over_a_pipeline(views):
    pipeline = make_pipeline(PCA(5), quick())
    search = GridSearchCV(pipeline, {"iiaetransformer__shared": [1, 4]}, cv=2).fit(*views)
    assert search.best_params_["iiaetransformer__shared"] in (1, 4)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.transform(views[0]).shape[0] == 240


def test_a_seed_gives_the_same_columns_and_torch_s_generator_is_left_alone(views, fitted):
    state = torch.get_rng_state()
    again = quick().fit(*views)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(again.transform(views[0]), fitted.transform(views[0]))


def test_saved_without_pickles_it_answers_the_same(views, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(views[0], columns=[f"f{i}" for i in range(8)])
    model = quick(block="both").fit(frame, views[1])
    model.save(tmp_path / "run")
    assert {p.suffix for p in (tmp_path / "run").iterdir()} <= {
        ".toml", ".safetensors", ".json", ".csv",
    }  # fmt: skip
    loaded = IIAETransformer.load(tmp_path / "run")
    assert loaded.get_params() == model.get_params()
    assert list(loaded.feature_names_in_) == list(frame.columns)
    for way in ("transform", "translate"):
        assert np.array_equal(getattr(loaded, way)(frame), getattr(model, way)(frame))
    assert np.array_equal(loaded.transform_y(views[1]), model.transform_y(views[1]))
    assert (loaded.history_, loaded.metrics_) == (model.history_, model.metrics_)
    assert load_run(tmp_path / "run").shapes == ((8,), (7,))


def test_what_cannot_be_saved_or_loaded_is_said(views, fitted, tmp_path, caplog):
    with pytest.raises(SettingsError, match="random_state is a generator"):
        quick(random_state=np.random.RandomState(0)).fit(*views).save(tmp_path / "a")
    fitted.save(tmp_path / "b")
    with pytest.raises(RunError, match="holds a run already"):
        fitted.save(tmp_path / "b")
    iiae.load(tmp_path / "b")
    assert "whose model takes standardised rows" in caplog.text
    caplog.clear()
    np.save(tmp_path / "x.npy", np.asarray(views[0], dtype=np.float32))
    embed_files(tmp_path / "b", tmp_path / "x.npy", tmp_path / "z.npz", "x")
    assert "whose model takes standardised rows" in caplog.text
    (tmp_path / "b" / COMPARISON).touch()  # of a run that was there before
    fitted.save(tmp_path / "b", overwrite=True)
    again = iiae.load(tmp_path / "b").save(tmp_path / "c")
    assert (again / ESTIMATOR).is_file()  # its model takes standardised rows wherever it lies
    iiae.fit(*views, epochs=1, progress=False).save(again, overwrite=True)
    assert not (again / ESTIMATOR).exists()
    assert not (tmp_path / "b" / COMPARISON).exists()
    (tmp_path / "b" / ESTIMATOR).write_text(json.dumps({"parameters": {"depth": 3}}))
    with pytest.raises(RunError, match=r"estimator.json: damaged"):
        IIAETransformer.load(tmp_path / "b")
    (tmp_path / "b" / ESTIMATOR).unlink()
    with pytest.raises(RunError, match=r"has no estimator.json; IIAETransformer.save writes it"):
        IIAETransformer.load(tmp_path / "b")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"block": "z"}, "block = 'z': must be one of shared, active, exclusive, both"),
        ({"validation": 1.0}, r"validation = 1.0: must be above 0 and below 1"),
        ({"shared": 0}, "model.shared = 0: input should be greater"),
    ],
)
def test_parameters_out_of_range_are_named(views, parameters, message):
    with pytest.raises(SettingsError, match=message):
        quick(**parameters).fit(*views)


def test_rows_that_do_not_fit_are_refused(views, fitted):
    with pytest.raises(ValueError, match="Y has 8 features; it was fitted with 7"):
        fitted.transform_y(views[0])
    with pytest.raises(ValueError, match="Y has 8 features; it was fitted with 7"):
        fitted.score(views[0], views[0])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        fitted.score(views[0], views[1][:10])
    with pytest.raises(ValueError, match="n_samples=2: at least 3 pairs"):
        quick().fit(views[0][:2], views[1][:2])
    with pytest.raises(SettingsError, match="to = 'z': must be 'x' or 'y'"):
        fitted.translate(views[0], to="z")


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "iiae.estimator")
    with pytest.raises(MissingExtra, match=r"pip install 'iiae\[sklearn\]'"):
        importlib.import_module("iiae.estimator")


@pytest.mark.data
def test_digits_in_two_views_are_matched_and_clustered_better_than_by_cca(real_data):
    path = Path(__file__).parents[2] / "benchmarks" / "two_views.py"
    spec = importlib.util.spec_from_file_location("two_views", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.compare(real_data / "tabular" / "mfeat", ("fac", "fou"), seed=0)
    ours, cca = np.array(found["IIAETransformer"]), np.array(found["CCA, cosine"])
    assert (ours[:2] > cca[:2]).all()
    assert ours[2] > found["standardised features"][2]


def test_columns_of_y_are_known_by_name_as_those_of_x_are(views, tmp_path):
    pandas = pytest.importorskip("pandas")
    x, y = (pandas.DataFrame(v).add_prefix(name) for v, name in zip(views, "xy", strict=True))
    model = quick(epochs=1).fit(x, y)
    assert list(model.feature_names_y_) == list(y.columns)
    model.save(tmp_path / "run")
    other = y[y.columns[::-1]]
    for one in (model, IIAETransformer.load(tmp_path / "run")):
        for call in (
            lambda one=one: one.transform_y(other),
            lambda one=one: one.score(x, other),
            lambda one=one: one.translate(other, to="x"),
            lambda one=one: one.translate(x, to="y", like=other),
        ):
            with pytest.raises(
                ValueError, match="Y are in another order than those that `fit` was"
            ):
                call()
        with pytest.raises(ValueError, match="Y are not those that `fit` was given: y0, y1"):
            one.transform_y(y.add_prefix("z"))
        with pytest.warns(UserWarning, match="Y has no names, but IIAETransformer was fitted with"):
            assert np.array_equal(one.transform_y(views[1]), one.transform_y(y))
    again = model.fit(*views)
    assert not hasattr(again, "feature_names_y_")
    with pytest.warns(UserWarning, match="Y has names, but IIAETransformer was fitted without"):
        again.transform_y(y)


def test_threads_that_fit_get_what_each_gets_alone(views):
    alone = {seed: quick(random_state=seed).fit(*views).transform(views[0]) for seed in (0, 1)}
    with ThreadPoolExecutor(3) as pool:
        models = pool.map(lambda seed: quick(random_state=seed).fit(*views), [0, 1, 0])
        for seed, model in zip([0, 1, 0], models, strict=True):
            assert np.array_equal(model.transform(views[0]), alone[seed])


def test_sparse_tables_and_counts_are_taken_as_dense_ones(views, fitted):
    x, y = views
    again = quick().fit(csr_array(x), csr_array(y))
    assert np.array_equal(again.transform(csr_array(x)), fitted.transform(x))
    assert np.array_equal(again.transform_y(csr_array(y)), fitted.transform_y(y))
    assert again.score(csr_array(x), csr_array(y)) == fitted.score(x, y)
    counts = np.random.default_rng(0).poisson(2, (40, 3))
    assert quick().fit(csr_array(counts), counts).transform(counts).shape == (40, 4)


def test_sizes_are_integers_of_any_kind_and_are_saved(views, tmp_path):
    sizes = {"exclusive": (np.int64(2), 3), "shared": np.int32(4), "epochs": np.int64(1)}
    model = quick(**sizes, beta=np.float32(0.2), random_state=np.int64(0)).fit(*views)
    model.save(tmp_path / "run")
    loaded = IIAETransformer.load(tmp_path / "run")
    assert loaded.get_params() == model.get_params()
    search = GridSearchCV(quick(epochs=1), {"exclusive": np.arange(2, 4)}, cv=2)
    assert search.set_params(error_score="raise").fit(*views).best_params_["exclusive"] in (2, 3)


def test_values_too_large_to_be_standardised_are_refused(views, fitted):
    x = views[0].copy()
    x[3, 2] = 1e200
    with pytest.raises(DataError, match="X: values of column 2 are too large"):
        quick().fit(x, views[1])
    with pytest.raises(DataError, match="X: values too large to be standardised in row 3"):
        fitted.transform(x)


def test_a_constant_feature_does_not_count_in_new_rows(views, fitted):
    x = views[0].copy()
    x[:, 7] = 1e6
    assert np.array_equal(fitted.transform(x), fitted.transform(views[0]))
