import numpy as np
import pytest

from iiae.errors import RunError
from iiae.files.optional import read_if_there, read_npz


def test_a_file_that_is_not_there_is_none_and_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    assert read_if_there(path, read_npz) is None
    np.savez(path, a=np.arange(3), b=np.array("text"))
    arrays = read_if_there(path, read_npz)
    assert arrays["a"].tolist() == [0, 1, 2] and str(arrays["b"]) == "text"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(RunError, match=r"a\.npz: damaged: .*; delete it"):
        read_if_there(path, read_npz, "; delete it")
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(RunError, match="damaged"):
        read_if_there(path, read_npz)
