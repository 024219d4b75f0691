"""Items of a gallery, as if they had been encoded."""

import numpy as np

from iiae.search.items import GalleryInfo, Items

INFO = GalleryInfo("a" * 64, "y", "euclidean", 4, 2)


def items(count, start=0, seed=0, **metadata):
    rng = np.random.default_rng(seed)
    names = [f"/c/{'ab'[i % 2]}/{i}.png" for i in range(start, start + count)]
    return Items(
        names,
        [f"{seed}-{i}" for i in range(start, start + count)],
        ["ab"[i % 2] for i in range(start, start + count)],
        rng.normal(size=(count, 4)).astype(np.float32),
        rng.normal(size=(count, 2)).astype(np.float32),
        [{k: v(i) for k, v in metadata.items()} for i in range(start, start + count)],
    )
