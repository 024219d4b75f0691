import numpy as np
import pytest

from studies_world import CLASSES, write_features


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A folder, entered, with features of `split.txt` taught apart, and semantics."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "split.txt").write_text("\n".join(CLASSES[::6]))
    words = write_features(tmp_path / "apart-split.txt.npz", "apart")
    above = np.arange(24)[:, None] % np.arange(2, 7) == 0
    np.savez(
        "semantics.npz", classes=np.array(CLASSES), word_vectors=words,
        ancestors=above, path_to_ancestors=0.5 * above + 0.1,
    )  # fmt: skip
    return tmp_path
