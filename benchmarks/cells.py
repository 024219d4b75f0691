"""Time of an epoch and memory as the number of cells grows, from a sparse .h5ad made here.

    OMP_NUM_THREADS=1 python benchmarks/cells.py [--cells 12500 25000 50000]

RNA counts of 4,000 genes, about a tenth of them above 0, as log1p in X, and 100 proteins in
`obsm`. Suggested settings. Each size is measured in a process of its own: CPU seconds of an epoch,
those of all else (reading the file, suggesting settings, what follows training), and the peak of
what the process has allocated, beside the arrays of the file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

import iiae
from growth import Peak

GENES, PROTEINS, CAUSES, BLOCK = 4000, 100, 10, 2500


class Cost(NamedTuple):
    """CPU seconds of an epoch and of the rest; MiB at the peak, and of the file's arrays."""

    cells: int
    epoch: float
    rest: float
    peak: float
    arrays: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[12_500, 25_000, 50_000])
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure)))
        return
    print("| cells | CPU s an epoch | ms a cell | CPU s besides | peak MiB | MiB of the arrays |")
    print("|---|---|---|---|---|---|")
    for cells in given.cells:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "cells.h5ad")
            write(file, cells)
            words = [sys.executable, __file__, "--measure", file]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
        cost = Cost(*json.loads(done.stdout.splitlines()[-1]))
        print(
            f"| {cost.cells:,} | {cost.epoch:.1f} | {1000 * cost.epoch / cost.cells:.2f} "
            f"| {cost.rest:.1f} | {cost.peak:.0f} | {cost.arrays:.0f} |",
            flush=True,
        )


def write(path: Path, cells: int) -> None:
    """Cells of ten hidden causes, five of which both assays read."""
    fixed, rng = np.random.default_rng(0), np.random.default_rng(1)
    genes, proteins = (fixed.normal(size=(CAUSES, n)) * 0.5 for n in (GENES, PROTEINS))
    base = fixed.normal(-3, 1, GENES)
    rna: list[sp.csr_matrix] = []
    panel = np.zeros((cells, PROTEINS), np.float32)
    for start in range(0, cells, BLOCK):
        causes = rng.normal(size=(min(BLOCK, cells - start), CAUSES))
        counts = rng.poisson(np.exp(base + causes @ genes))
        rna.append(sp.csr_matrix(np.log1p(counts), dtype=np.float32))
        causes[:, CAUSES // 2 :] = rng.normal(size=(len(causes), CAUSES // 2))
        panel[start : start + BLOCK] = np.log1p(rng.poisson(np.exp(2 + causes @ proteins)))
    names = [f"cell{i}" for i in range(cells)]
    made = anndata.AnnData(sp.vstack(rna, "csr"), pd.DataFrame(index=names))
    made.var_names = [f"gene{i}" for i in range(GENES)]
    columns = [f"protein{i}" for i in range(PROTEINS)]
    made.obsm["protein"] = pd.DataFrame(panel, index=names, columns=columns)
    made.write_h5ad(path)


def measure(path: Path) -> Cost:
    """Of `fit` as a user calls it, with one epoch and with two: the difference is an epoch."""
    held = anndata.read_h5ad(path)
    cells, arrays = held.n_obs, held.X.nnz * 8 + held.n_obs * (4 + 4 * PROTEINS)
    del held
    spent: list[float] = []
    warm = np.random.default_rng(0).normal(size=(60, 3))
    iiae.fit(warm, warm, epochs=1, progress=False)  # imports and caches
    with Peak() as peak:
        for epochs in (1, 2):
            began = time.process_time()
            iiae.fit(path, x="X", y="obsm:protein", epochs=epochs, progress=False)
            spent.append(time.process_time() - began)
    epoch = spent[1] - spent[0]
    return Cost(cells, epoch, spent[0] - epoch, peak.mebibytes, arrays / 2**20)


if __name__ == "__main__":
    main()
