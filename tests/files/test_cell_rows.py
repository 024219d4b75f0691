import pickle

import numpy as np
import pytest

from cells_made import GENE_NAMES, GENES, PROTEINS, make_counts, make_mudata, write_cells
from iiae.errors import DataError
from iiae.files.cell_rows import CellRows
from iiae.files.sources import open_source

pytest.importorskip("mudata")


@pytest.fixture
def file(tmp_path):
    return write_cells(make_mudata(), tmp_path / "cells.h5mu")


def test_cells_are_samples_by_name(file):
    source = open_source([f"{file}:rna:counts"], (GENES,), "x")
    assert (len(source), source.name(3)) == (80, "cell3")
    assert source.path(3) == f"{file}#cell3"
    read = source.read([5, 2])
    np.testing.assert_array_equal(read[0].values, make_counts()[0][5])
    assert source.digest(5) != source.digest(2)
    again = pickle.loads(pickle.dumps(source))
    assert again.digest(5) == source.digest(5)


def test_the_place_of_the_run_stands_in_and_features_are_taken_by_name(file):
    source = open_source([file], (GENES,), "x", GENE_NAMES[::-1], place="rna:counts")
    np.testing.assert_array_equal(source.read([0])[0].values, make_counts()[0][0][::-1])


def test_what_does_not_fit_is_refused(file):
    with pytest.raises(DataError, match="has 5 columns, the model takes 12"):
        CellRows(file, "protein", GENES)
    with pytest.raises(DataError, match="has no modality atac, only protein, rna"):
        CellRows(file, "atac", GENES)
    with pytest.raises(DataError, match="no such file"):
        open_source(["none.h5mu:rna"], (GENES,), "x")


def test_a_cell_without_the_assay_is_named(file, tmp_path):
    cells = make_mudata()
    cells["protein"].X[4] = np.nan
    source = CellRows(write_cells(cells, tmp_path / "gaps.h5mu"), "protein", PROTEINS)
    found = source.read([3, 4])
    assert isinstance(found[1], DataError) and "cell4: NaN" in str(found[1])
    assert not isinstance(found[0], DataError)
