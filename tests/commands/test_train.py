import numpy as np

from helpers import small_settings
from iiae.settings import dump_settings


def test_features_are_trained_from_arrays_and_translated(tmp_path, run_iiae):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x[:, :4] * 2)
    done = run_iiae(
        "train", "--x", tmp_path / "x.npy", "--y", tmp_path / "y.npy", "--set",
        "training.epochs=1", "--set", "training.batch=16", "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = run_iiae(
        "translate", tmp_path / "run", tmp_path / "x.npy", "--to", "y", "--out", tmp_path / "t.npy"
    )
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "t.npy").shape == (80, 4)
    done = run_iiae(
        "translate", tmp_path / "run", tmp_path / "y.npy", "--to", "y", "--out", tmp_path / "t.npy"
    )
    assert done.returncode == 2
    assert "has 4 features; the model takes 6" in done.stderr


def test_a_run_is_resumed_without_its_file(tmp_path, run_iiae):
    (tmp_path / "s.toml").write_text(dump_settings(small_settings()))
    assert run_iiae("train", tmp_path / "s.toml", "--out", tmp_path / "run").returncode == 0
    done = run_iiae("train", "--resume", "--out", tmp_path / "run", "--set", "training.epochs=3")
    assert done.returncode == 0, done.stderr
    assert "epoch 3/3" in done.stderr
