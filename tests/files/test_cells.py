import numpy as np
import pytest
import scipy.sparse as sp

from cells_made import (
    GENE_NAMES,
    PROTEIN_NAMES,
    make_anndata,
    make_counts,
    make_mudata,
    write_cells,
)
from helpers import needs
from iiae.errors import DataError
from iiae.files.cells import find_place, is_cells, open_cells, read_place, split_place

needs("anndata")
needs("mudata")


def read(cells, place):
    with open_cells(cells) as opened:
        return read_place(opened, find_place(opened, place, "data.x"))


@pytest.mark.parametrize("in_file", [False, True])
def test_modalities_layers_and_panels_are_read_with_their_names(tmp_path, in_file):
    mdata, adata = make_mudata(), make_anndata()
    if in_file:
        mdata = write_cells(mdata, tmp_path / "a.h5mu")
        adata = write_cells(adata, tmp_path / "a.h5ad")
    rna, protein = make_counts()
    counts = read(mdata, "rna:counts")
    assert sp.issparse(counts.values)
    assert np.array_equal(counts.values.toarray(), rna)
    assert (counts.rows[3], counts.columns) == ("cell3", GENE_NAMES)
    assert np.allclose(read(mdata, "protein").values, np.log1p(protein))
    assert np.allclose(read(adata, "X").values.toarray(), np.log1p(rna))
    assert np.array_equal(read(adata, "layers:counts").values.toarray(), rna)
    panel = read(adata, "obsm:protein")
    assert panel.columns == PROTEIN_NAMES
    assert np.allclose(panel.values, np.log1p(protein))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("atac", "has no modality atac, only .*rna"),
        ("rna:count", "data.x = 'rna:count': there is no layer count of rna; there are X, counts"),
        ("rna:obsm:p", "no panel in obsm named p of rna"),
        (None, r"data.x is missing: a modality \(.*rna.*\)"),
    ],
)
def test_what_is_not_there_is_said_with_what_there_is(tmp_path, place, message):
    path = write_cells(make_mudata(), tmp_path / "a.h5mu")
    for cells in (path, make_mudata()):
        with pytest.raises(DataError, match=message):
            read(cells, place)


def test_files_that_are_missing_or_no_hdf5_are_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.h5ad: no such file"):
        read(tmp_path / "a.h5ad", "X")
    (tmp_path / "a.h5ad").write_text("text")
    with pytest.raises(DataError, match=r"a\.h5ad: damaged, cut off, or not an HDF5 file"):
        read(tmp_path / "a.h5ad", "X")


def test_cells_are_told_by_ending_or_by_what_they_have():
    assert is_cells("a/b.h5mu")
    assert is_cells(make_anndata())
    assert not is_cells("a.csv")
    assert not is_cells(np.zeros(3))
    assert split_place("a/b.h5ad:counts") == ("a/b.h5ad", "counts")
    assert split_place("a/b.h5ad") == ("a/b.h5ad", "")
    assert split_place("a.csv") == ("a.csv", None)
