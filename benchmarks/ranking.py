"""Time and memory of the category-retrieval evaluator at the size of Sketchy-Extended.

python benchmarks/ranking.py [--queries 14421] [--items 14626] [--size 64]
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from iiae.metrics.ranking import ranking_values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=14_421)
    parser.add_argument("--items", type=int, default=14_626)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--classes", type=int, default=25)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(arguments.classes, arguments.size))
    labels = [rng.integers(arguments.classes, size=n) for n in (arguments.queries, arguments.items)]
    query, gallery = (
        (centres[of] + 2 * rng.normal(size=(len(of), arguments.size))).astype(np.float32)
        for of in labels
    )
    started = time.perf_counter()
    values = ranking_values(query, gallery, labels[0], labels[1])
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{arguments.queries:,} queries x {arguments.items:,} items of {arguments.size}: "
        f"{seconds:.1f} s, peak {peak:.2f} GiB, map@all {np.nanmean(values['map@all']):.3f}"
    )


if __name__ == "__main__":
    main()
