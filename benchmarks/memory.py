"""Peak memory and time of instance retrieval at full size.

    python benchmarks/memory.py [--items 10000] [--size 8192]

10,000 queries over 10,000 items with the published map z_s, 8 x 8 x 128 = 8,192 values.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch

from iiae.metrics.retrieval import instance_retrieval


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=8_192)
    arguments = parser.parse_args()
    query = torch.randn(arguments.items, arguments.size)
    gallery = torch.randn(arguments.items, arguments.size)
    gallery += query
    started = time.perf_counter()
    found = instance_retrieval(query, gallery)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    arrays = 2 * query.numel() * 4 / 2**30
    print(
        f"{arguments.items:,} x {arguments.items:,} items of {arguments.size:,} values: "
        f"{seconds:.1f} s, peak {peak:.2f} GiB of which the two arrays are {arrays:.2f} GiB; "
        f"Recall@1 {100 * found.recall[1].rate:.2f}"
    )


if __name__ == "__main__":
    main()
