import numpy as np

from helpers import small_settings, write_images
from iiae.settings import dump_settings


def test_features_are_trained_from_arrays_and_translated(tmp_path, iiae):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x[:, :4] * 2)
    code, _, err = iiae(
        "train", "--x", tmp_path / "x.npy", "--y", tmp_path / "y.npy", "--set",
        "training.epochs=1", "--set", "training.batch=16", "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, err
    code, _, err = iiae(
        "translate", tmp_path / "run", tmp_path / "x.npy", "--to", "y", "--out", tmp_path / "t.npy"
    )
    assert code == 0, err
    assert np.load(tmp_path / "t.npy").shape == (80, 4)
    code, _, err = iiae(
        "train", "--x", tmp_path / "x.npy", "--y", tmp_path / "y.npy", "--out", tmp_path / "run"
    )
    assert code == 2
    assert "with --resume and --set training.epochs=N, or replace it with --overwrite" in err
    code, _, err = iiae(
        "translate", tmp_path / "run", tmp_path / "y.npy", "--to", "y", "--out", tmp_path / "t.npy"
    )
    assert code == 2
    assert "has shape (80, 4); the model takes rows of 6 values" in err


def test_columns_of_a_table_of_pairs_are_named(tmp_path, iiae):
    names = [f"{i}.png" for i in range(30)]
    write_images(tmp_path / "left", names, 0)
    write_images(tmp_path / "right", names, 1)
    rows = [f"left/{name},right/{name}" for name in names]
    (tmp_path / "pairs.csv").write_text("\n".join(["sketch,photo", *rows]) + "\n")
    small = ["data.size=16", "model.width=4", "training.epochs=1", "training.batch=10"]
    code, _, err = iiae(
        "train", "--pairs", tmp_path / "pairs.csv", "--x", "sketch", "--y", "photo",
        *(part for one in small for part in ("--set", one)), "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, err
    code, _, err = iiae("train", "--pairs", tmp_path / "pairs.csv", "--y", "drawing")
    assert code == 2
    assert "has no column x, only sketch, photo; name yours with --x and --y" in err


def test_a_data_set_is_named_without_a_file_and_the_next_step_is_quoted(tmp_path, iiae):
    code, _, err = iiae(
        "train", "--set", "data.name=digits-cdcb", "--set", "data.size=16", "--set",
        "model.width=4", "--set", "training.epochs=1", "--out", tmp_path / "a run",
    )  # fmt: skip
    assert code == 0, err
    assert f"next: iiae evaluate '{tmp_path}/a run'" in err


def test_a_run_is_resumed_without_its_file(tmp_path, iiae):
    (tmp_path / "s.toml").write_text(dump_settings(small_settings()))
    assert iiae("train", tmp_path / "s.toml", "--out", tmp_path / "run")[0] == 0
    code, _, err = iiae(
        "train", "--resume", "--out", tmp_path / "run", "--set", "training.epochs=3"
    )
    assert code == 0, err
    assert "epoch 3/3" in err
