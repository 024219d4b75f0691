"""What `test_gallery.py` kills: a process that fills a gallery and says what it has done."""

from __future__ import annotations

from multiprocessing.connection import Connection

import numpy as np

from iiae.search.gallery import Gallery
from iiae.search.items import GalleryInfo, Items


def write(where: str, start: int, reports: Connection) -> None:
    """Puts twenty rows called `start`, then of the next number, and deletes some, to no end."""
    gallery = Gallery.find(where) or Gallery.create(where, GalleryInfo("a", "y", "euclidean", 4, 2))
    reports.send(("open", start))
    for k in range(start, start + 1000):
        paths = [f"/c/{k}/{i}" for i in range(20)]
        v = np.full((20, 4), k, np.float32)
        gallery.put(Items(paths, [str(k)] * 20, [None] * 20, v, v[:, :2], [{"k": k}] * 20))
        reports.send(("put", k))
        if k % 3 == 2:
            gallery.delete([f"/c/{k - 1}"])
            reports.send(("delete", k - 1))
        if k % 7 == 6:
            gallery.tidy()
