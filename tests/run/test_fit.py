from pathlib import Path

import numpy as np
import pytest

import iiae
from helpers import small_settings
from iiae.errors import DataError, RunError, SettingsError
from iiae.run.arguments import override_texts
from iiae.settings import dump_settings


def test_a_settings_file_or_settings_name_their_own_data(tmp_path):
    (tmp_path / "s.toml").write_text(dump_settings(small_settings()))
    by_path = iiae.fit(str(tmp_path / "s.toml"), epochs=1, progress=False)
    by_value = iiae.fit(small_settings(), epochs=1, progress=False)
    x = np.zeros((1, 32))
    np.testing.assert_array_equal(by_path.embed(x=x).shared, by_value.embed(x=x).shared)


def test_settings_may_be_given_by_section():
    run = iiae.fit(
        *np.random.default_rng(0).normal(size=(2, 60, 3)),
        settings={"training": {"epochs": 1}, "objective": {"x": {"kind": "laplace", "weight": 2}}},
        progress=False,
    )
    assert run.settings.training.epochs == 1
    assert run.settings.objective.x.kind == "laplace"
    assert run.settings.objective.y.kind == "normal"


def test_settings_may_be_numbers_of_numpy_and_paths():
    given = {"training.seed": np.int64(3), "training.learning_rate": np.float32(0.5)}
    assert override_texts(given) == ["training.seed=3", "training.learning_rate=0.5"]
    (text,) = override_texts({"model.exclusive": (np.int64(3), 4)})
    assert "".join(text.split()) == "model.exclusive=[3,4,]"
    assert override_texts({"data.root": Path("a")}) == ['data.root="a"']


def test_batch_and_seed_are_those_of_training():
    x = np.random.default_rng(0).normal(size=(100, 3))
    run = iiae.fit(x, x, epochs=1, batch=16, seed=3, progress=False)
    assert (run.settings.training.batch, run.settings.training.seed) == (16, 3)
    assert (run.settings.data.seed, run.settings.evaluation.seed) == (0, 0)


def test_a_setting_that_is_no_setting_is_named():
    x = np.random.default_rng(0).normal(size=(100, 3))
    with pytest.raises(SettingsError, match="factors = a ndarray: a setting is a number"):
        iiae.fit(x, x, factors=x, progress=False)


def test_none_turns_off_what_is_off_by_default():
    given = {"training.patience": None, "training.epochs": None, "data.limit": 3}
    assert override_texts(given) == ["training.patience=none", "data.limit=3"]
    x = np.random.default_rng(0).normal(size=(100, 3))
    run = iiae.fit(x, x, epochs=1, progress=False)
    assert run.settings.training.patience
    run = iiae.fit(x, x, epochs=1, patience=None, progress=False)
    assert run.settings.training.patience is None


def test_a_section_that_is_given_a_value_and_a_split_that_is_none_are_told_as_python_takes_them():
    x = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(SettingsError, match=r"training = 5: training is a section"):
        iiae.fit(x, x, settings={"training": 5}, epochs=1, progress=False)
    run = iiae.fit(x, x, epochs=1, progress=False)
    with pytest.raises(SettingsError, match="split=tset: must be test or validation"):
        run.evaluate("tset")
    with pytest.raises(RunError, match=r"resume=True and settings=.*, or replace it with overwr"):
        iiae.fit(x, x, run.folder, epochs=1, progress=False)
    with pytest.raises(SettingsError, match="files of both, or samples in memory of both"):
        iiae.fit("x.npy", x)


def test_a_run_on_samples_in_memory_is_measured_again_with_them(tmp_path):
    rng = np.random.default_rng(0)
    x, y, batch = rng.normal(size=(200, 4)), rng.normal(size=(200, 3)), rng.integers(0, 2, 200)
    known = {"batch": batch}
    before = iiae.fit(x, y, tmp_path / "run", covariates=known, epochs=1, progress=False)
    evaluation = before.evaluate()
    with pytest.raises(DataError, match=r"again: iiae.load\(folder, x, y, covariates=...\)"):
        iiae.load(tmp_path / "run").evidence()
    again = iiae.load(tmp_path / "run", x, y, covariates=known)
    assert again.evaluate() == evaluation and again.evidence().pairs == evaluation.pairs
    with pytest.raises(DataError, match="covariates given: none; the model takes batch"):
        iiae.load(tmp_path / "run", x, y).evaluate()
    with pytest.raises(SettingsError, match="give x and y"):
        iiae.load(tmp_path / "run", x)
    with pytest.raises(SettingsError, match="a run knows its files itself"):
        iiae.load(tmp_path / "run", "x.npy", "y.npy")
