"""The IDX array format of the original MNIST files."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from iiae.errors import DataError


def read_idx(path: Path) -> np.ndarray:
    """The unsigned-byte array in an IDX file, gzip-compressed or not.

    Raises:
        DataError: The file is damaged, cut off, or not an IDX file of bytes.
    """
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: damaged or cut off: {error}; fetch it again") from error
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise DataError(f"{path}: not an IDX file of unsigned bytes")
    axes = data[3]
    head = 4 + 4 * axes
    if len(data) < head:
        raise DataError(f"{path}: cut off in its header; fetch it again")
    shape = struct.unpack(f">{axes}I", data[4:head])
    expected = int(np.prod(shape, dtype=np.int64))
    if len(data) - head != expected:
        raise DataError(
            f"{path}: holds {len(data) - head:,} bytes where its header says {expected:,}; "
            "fetch it again"
        )
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)
