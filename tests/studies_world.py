"""Features of classes that are easy to tell, linear in their words, another map per domain."""

import numpy as np

CLASSES, ITEMS, SIZES = [f"c{i:02d}" for i in range(24)], 6, (20, 16)


def write_features(path, protocol, sizes=SIZES, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(CLASSES)), ITEMS)
    words = rng.normal(size=(len(CLASSES), 8))
    arrays = {"protocol": np.array([protocol])} if protocol else {}
    for domain, size, name in zip(("sketch", "photo"), sizes, ("{}-1.png", "{}.jpg"), strict=True):
        features = words[labels] @ rng.normal(size=(8, size))
        arrays[f"{domain}_features"] = features + 0.3 * rng.normal(size=features.shape)
        arrays[f"{domain}_classes"] = np.array(CLASSES)[labels]
        arrays[f"{domain}_paths"] = np.array([name.format(i) for i in range(len(labels))])
    np.savez(path, **arrays)
    return words
