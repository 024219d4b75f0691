"""Small cells for tests: RNA counts and a panel that read the same three hidden causes."""

import warnings

import numpy as np
import pandas as pd
import scipy.sparse as sp

CELLS, GENES, PROTEINS = 80, 12, 5
GENE_NAMES = [f"G{i}" for i in range(GENES)]
PROTEIN_NAMES = [f"CD{i}" for i in range(PROTEINS)]


def cell_names(count=CELLS):
    return [f"cell{i}" for i in range(count)]


def make_counts(seed=0):
    """Counts of RNA and of proteins, none of whose rows is all 0."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(CELLS, 3))
    rna = rng.poisson(np.exp(0.5 * causes @ rng.normal(size=(3, GENES))))
    protein = rng.poisson(np.exp(1 + 0.5 * causes @ rng.normal(size=(3, PROTEINS))))
    return rna + np.eye(CELLS, GENES, dtype=int), protein + 1


def make_rna(rna):
    """An AnnData with log1p in X, counts in a layer, both sparse, and a share in obs."""
    import anndata

    obs = pd.DataFrame({"mt": np.linspace(0, 1, len(rna))}, index=cell_names(len(rna)))
    made = anndata.AnnData(
        sp.csr_matrix(np.log1p(rna).astype(np.float32)), obs, pd.DataFrame(index=GENE_NAMES)
    )
    made.layers["counts"] = sp.csr_matrix(rna)
    return made


def make_mudata(proteins=CELLS, drop=0):
    """A MuData; only the first `proteins` cells have the panel, the first `drop` have no RNA."""
    import anndata
    import mudata

    rna, protein = make_counts()
    panel = anndata.AnnData(
        np.log1p(protein[:proteins]).astype(np.float32),
        pd.DataFrame(index=cell_names(proteins)),
        pd.DataFrame(index=PROTEIN_NAMES),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = mudata.MuData({"rna": make_rna(rna)[drop:].copy(), "protein": panel})
        order = [int(name.removeprefix("cell")) for name in made.obs_names]
        made.obs["type"] = pd.Categorical(["T" if i % 2 else "B" for i in order])
    return made


def make_anndata():
    """An AnnData of RNA with the panel in obsm."""
    rna, protein = make_counts()
    made = make_rna(rna)
    made.obsm["protein"] = pd.DataFrame(
        np.log1p(protein), index=made.obs_names, columns=PROTEIN_NAMES
    )
    return made


def write_cells(cells, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (cells.write_h5mu if path.suffix == ".h5mu" else cells.write_h5ad)(path)
    return path
