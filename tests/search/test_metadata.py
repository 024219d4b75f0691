import numpy as np
import pytest

pytest.importorskip("lancedb", reason="the extra 'search' is not installed")

from cells_made import CELLS, make_anndata, make_mudata, write_cells
from helpers import needs
from iiae.run import fit
from iiae.search.gallery import Gallery
from iiae.search.index import index_files
from iiae.search.query import search_files

needs("anndata"), needs("mudata")


def test_cells_bring_columns_of_obs_as_metadata(tmp_path):
    cells = make_anndata()
    cells.obs["cell type"] = ["T" if i % 2 else "B" for i in range(CELLS)]
    cells.obs["path"] = np.arange(CELLS)
    cells.obs["depth"] = [np.nan, *np.linspace(0, 1, CELLS - 1)]
    cells.obs["mixed"] = np.array([1, "b", *[None] * (CELLS - 2)], object)
    done = fit(
        cells, x="X", y="obsm:protein", out=tmp_path / "run", epochs=1, progress=False
    )  # fmt: skip
    cells.obs["mixed"] = cells.obs["mixed"].astype(str)
    file = write_cells(cells, tmp_path / "cells.h5ad")
    index_files(done, tmp_path / "g", [file], "x", progress=False)
    gallery = Gallery.open(tmp_path / "g")
    assert {"cell_type", "obs_path", "depth", "mt", "mixed"} <= set(gallery.columns)
    first, second = cells.obs_names[:2]
    held = gallery.item(f"{file}#{first}")
    assert (held["cell_type"], held["obs_path"], held["depth"]) == ("B", 0, None)
    found = search_files(done, tmp_path / "g", [file], 3, "x", filter="cell_type = 'T'").results
    assert {hit.metadata["cell_type"] for hits in found.hits for hit in hits} == {"T"}
    again = index_files(done, tmp_path / "g", [file], "x", progress=False)
    assert again.unchanged == CELLS
    cells.obs.loc[second, "cell type"] = "B"
    write_cells(cells, file)
    again = index_files(done, tmp_path / "g", [file], "x", progress=False)
    assert (again.replaced, again.unchanged) == (1, CELLS - 1)


def test_a_modality_brings_its_own_columns_and_those_of_all(tmp_path):
    cells = make_mudata()
    cells.obs["donor"] = ["a" if i % 3 else "b" for i in range(cells.n_obs)]
    done = fit(cells, x="rna", y="protein", out=tmp_path / "run", epochs=1, progress=False)
    file = write_cells(cells, tmp_path / "cells.h5mu")
    index_files(done, tmp_path / "g", [file], "y", progress=False)
    gallery = Gallery.open(tmp_path / "g")
    assert "donor" in gallery.columns
    assert not [name for name in gallery.columns if name.startswith(("rna_", "protein_"))]
    name = cells["protein"].obs_names[3]
    held = gallery.item(f"{file}#{name}")
    expected = tuple(cells.obs.loc[name, ["donor", "type"]])
    assert (held["donor"], held["type"]) == expected
