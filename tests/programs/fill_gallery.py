"""Fills a gallery until a limit on the size of files is met, as on a full disk."""

import resource
import signal
import sys

import numpy as np

from iiae.errors import GalleryError
from iiae.search.gallery import Gallery
from iiae.search.items import GalleryInfo, Items

gallery = Gallery.create(sys.argv[1], GalleryInfo("a", "y", "euclidean", 4, 2))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
for k in range(1, 20):
    n = 400 * k
    v = np.random.default_rng(k).normal(size=(n, 4)).astype(np.float32)
    names = [f"/c/{k}/{i}" for i in range(n)]
    try:
        gallery.put(Items(names, names, [None] * n, v, v[:, :2], [{}] * n))
    except GalleryError as error:
        print(k, error)
        break
