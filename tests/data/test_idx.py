import gzip
import struct

import numpy as np
import pytest

from iiae.data.idx import read_idx
from iiae.errors import DataError


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_array_is_read(tmp_path, pack):
    (tmp_path / "a").write_bytes(pack(idx(ARRAY)))
    assert np.array_equal(read_idx(tmp_path / "a"), ARRAY)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(idx(ARRAY), mtime=0)[:-12], "damaged or cut off"),
        (idx(ARRAY)[:-1], "holds 23 bytes where its header says 24"),
        (idx(ARRAY)[:9], "cut off in its header"),
        (b"\x89PNG....", "not an IDX file"),
        (b"", "not an IDX file"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, message):
    path = tmp_path / "train-images"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_idx(path)
    assert str(path) in str(error.value)
