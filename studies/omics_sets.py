"""Three sets of paired omics, with what is known of each cell or tumour."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from iiae.files.cells import Cells, find_place, open_cells, read_obs, read_place


class Lone(NamedTuple):
    """Samples of x whose partner was not measured, and labels of theirs."""

    x: np.ndarray
    labels: dict[str, np.ndarray]


class Omics(NamedTuple):
    """Both assays, a row a pair, and labels by name; counts, or values of another kind.

    Labels: `type` (empty where it is not known), `batch` and `phase` are categories, all others
    numbers.
    """

    x: np.ndarray
    y: np.ndarray
    labels: dict[str, np.ndarray]
    counts: bool
    lone: Lone | None = None


def pbmc(data: Path) -> Omics:
    """Counts of 4,000 variable genes and 14 proteins of 6,855 cells; 7 types."""
    with open_cells(data / "omics" / "pbmc10k_cite" / "pbmc10k_cite.h5mu") as cells:
        x, y = (_values(cells, place) for place in ("rna", "protein"))
        kind = read_obs(cells, None)["cell_type"].astype(str).to_numpy()
    return Omics(x, y, {"type": np.where(kind == "unknown", "", kind)}, counts=True)


def bmmc(data: Path) -> Omics:
    """Counts of 1,000 genes and 134 proteins of 600 cells in 2 batches; 41 types."""
    folder = data / "omics" / "bmmc_cite_starter"
    with open_cells(folder / "output_rna.h5ad") as cells:
        x, rna = _values(cells, "counts"), read_obs(cells, None)
    with open_cells(folder / "output_mod2.h5ad") as cells:
        y, panel = _values(cells, "counts"), read_obs(cells, None)
    assert rna.index.equals(panel.index)
    texts = {"type": "cell_type", "batch": "batch", "phase": "phase"}
    labels = {name: rna[column].astype(str).to_numpy() for name, column in texts.items()}
    labels["mitochondrial"] = rna["pct_counts_mt"].to_numpy(np.float64)
    labels["isotypes"] = np.log1p(panel["iso_count"].to_numpy(np.float64))
    return Omics(x, y, labels, counts=True)


def breast(data: Path) -> Omics:
    """mRNA and protein of 150 tumours, and mRNA of 70 more; 3 subtypes."""
    folder = data / "omics" / "breast_tcga"
    mrna, protein = (
        pd.read_csv(folder / f"{name}.csv.gz", index_col=0) for name in ("mrna", "protein")
    )
    kind = pd.read_csv(folder / "labels.csv", index_col=0)["subtype"]
    alone = mrna.drop(index=protein.index)
    labels = {"type": kind[protein.index].to_numpy(str)}
    lone = Lone(alone.to_numpy(np.float64), {"type": kind[alone.index].to_numpy(str)})
    x = mrna.loc[protein.index].to_numpy(np.float64)
    return Omics(x, protein.to_numpy(np.float64), labels, False, lone)


def _values(cells: Cells, place: str) -> np.ndarray:
    values = read_place(cells, find_place(cells, place, "place")).values
    dense = values if isinstance(values, np.ndarray) else values.toarray()
    return np.asarray(dense, dtype=np.float64)


SETS: dict[str, Callable[[Path], Omics]] = {
    "bmmc_cite_starter": bmmc,
    "breast_tcga": breast,
    "pbmc10k_cite": pbmc,
}
