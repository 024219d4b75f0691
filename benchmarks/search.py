"""A gallery of a million vectors: time to build, a query's time, recall@10 against exact, memory.

    python benchmarks/search.py [--items 1000000] [--size 64] [--centres 1000] [--folder DIR]

Vectors are a mixture of normals, as latents of many kinds of things are; `--centres 1` gives one
normal, the hardest case for an index.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from iiae.search.gallery import Gallery
from iiae.search.items import GalleryInfo, Items

PART = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--centres", type=int, default=1000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measure(Path(folder), arguments)


def measure(folder: Path, arguments: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    n, size = arguments.items, arguments.size
    centres = rng.normal(size=(arguments.centres, size))

    def draw(count: int) -> np.ndarray:
        of = rng.integers(len(centres), size=count)
        return (centres[of] + 0.7 * rng.normal(size=(count, size))).astype(np.float32)

    gallery = Gallery.create(folder / "g", GalleryInfo("m", "y", "euclidean", size, 8))
    queries = draw(arguments.queries)
    best = [np.zeros((0, 2))] * len(queries)  # (squared distance, index), by plain NumPy
    adding = 0.0
    for start in range(0, n, PART):
        vectors = draw(min(PART, n - start))
        for i, d in enumerate(distances(queries, vectors)):
            near = d.argpartition(10)[:10]
            best[i] = np.vstack([best[i], np.column_stack([d[near], near + start])])
            best[i] = best[i][best[i][:, 0].argsort()[:10]]
        names = [str(i) for i in range(start, start + len(vectors))]
        rows = Items(names, names, [None] * len(names), vectors, vectors[:, :8], [{}] * len(names))
        started = time.perf_counter()
        gallery.put(rows)
        adding += time.perf_counter() - started
    exact = [{str(int(k)) for k in found[:, 1]} for found in best]
    print(f"{n:,} x {size} added in {adding:.1f} s ({n / adding:,.0f}/s)")
    report("before the index", gallery, queries[:20], exact[:20])
    started = time.perf_counter()
    line = gallery.tidy()
    print(f"tidied in {time.perf_counter() - started:.1f} s: {line}")
    report("after", gallery, queries, exact)
    started = time.perf_counter()
    gallery.search(queries[:32])
    print(f"32 queries at once: {1e3 * (time.perf_counter() - started):.1f} ms")
    disk = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GiB; on disk {disk:.0f} MiB")


def distances(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return (vectors**2).sum(1) - 2 * queries @ vectors.T


def report(name: str, gallery: Gallery, queries: np.ndarray, exact: list[set[str]]) -> None:
    gallery.search(queries[:1])
    times, hits, method = [], 0, ""
    for query, expected in zip(queries, exact, strict=True):
        started = time.perf_counter()
        found = gallery.search(query[None])
        times.append(1e3 * (time.perf_counter() - started))
        hits += len(expected & {hit.path for hit in found.hits[0]})
        method = found.method
    ms = np.percentile(times, [50, 95])
    print(
        f"{name} ({method}): {ms[0]:.2f} ms a query at the median, {ms[1]:.2f} at the 95th "
        f"percentile; recall@10 {hits / 10 / len(queries):.3f}"
    )


if __name__ == "__main__":
    main()
