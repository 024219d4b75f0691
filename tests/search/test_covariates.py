import json

import numpy as np
import pytest

pytest.importorskip("lancedb", reason="the extra 'search' is not installed")

from cells_made import CELLS, make_anndata, write_cells
from helpers import needs
from iiae.errors import DataError, SettingsError
from iiae.run import fit
from iiae.search.gallery import Gallery
from iiae.search.index import index_files
from iiae.search.items import VECTORS
from iiae.search.query import search_files


def write_column(path, values, name="batch"):
    path.write_text("\n".join([name, *values]) + "\n")
    return path


def held(where, file, row):
    item = Gallery.open(where).item(f"{file}#{row}", VECTORS)
    return np.asarray(item["shared"]), np.asarray(item["exclusive"])


def test_items_and_queries_are_embedded_with_the_covariates_of_their_rows(run_of_batches, tmp_path):
    done, x, batch = run_of_batches
    file = done.folder.parent / "x.npy"
    columns = write_column(tmp_path / "columns.csv", batch)
    made = index_files(done, tmp_path / "g", [file], "x", "euclidean", columns=columns)
    assert (made.added, made.total) == (60, 60)
    expected = done.embed(x=x, covariates={"batch": batch})
    for row in (0, 41):
        shared, exclusive = held(tmp_path / "g", file, row)
        np.testing.assert_allclose(shared, expected.shared[row], atol=1e-5)
        np.testing.assert_allclose(exclusive, expected.exclusive[row], atol=1e-5)
    hits = search_files(done, tmp_path / "g", [file], 1, "x", columns=columns).results.hits
    assert [one[0].path for one in hits] == [f"{file}#{i}" for i in range(60)]
    assert max(one[0].distance for one in hits) < 1e-3


def test_rows_whose_covariates_changed_are_indexed_again_and_no_others(run_of_batches, tmp_path):
    done, _, batch = run_of_batches
    file = done.folder.parent / "x.npy"
    columns = write_column(tmp_path / "columns.csv", batch)
    index_files(done, tmp_path / "g", [file], "x", columns=columns)
    again = index_files(done, tmp_path / "g", [file], "x", columns=columns)
    assert (again.unchanged, again.replaced) == (60, 0)
    write_column(columns, ["two", *batch[1:]])
    again = index_files(done, tmp_path / "g", [file], "x", columns=columns)
    assert (again.unchanged, again.replaced) == (59, 1)


def test_covariates_are_asked_for_in_one_line(run_of_batches, tmp_path):
    done, _, batch = run_of_batches
    file = done.folder.parent / "x.npy"
    with pytest.raises(SettingsError, match="takes covariates, batch; give columns=FILE"):
        index_files(done, tmp_path / "g", [file], "x")
    assert not (tmp_path / "g").exists()
    columns = write_column(tmp_path / "columns.csv", batch)
    index_files(done, tmp_path / "g", [file], "x", columns=columns)
    with pytest.raises(SettingsError, match="takes covariates, batch; give columns=FILE"):
        search_files(done, tmp_path / "g", [file], domain="x")
    with pytest.raises(SettingsError, match="batch; a reference of an array brings none"):
        search_files(
            done, tmp_path / "g", [file], 1, "x", by="exclusive", like=file, columns=columns
        )
    with pytest.raises(SettingsError, match="latents already take no covariates"):
        search_files(done, tmp_path / "g", [file], 1, "x", vectors=True, columns=columns)
    short = write_column(tmp_path / "short.csv", batch[:7])
    with pytest.raises(DataError, match="batch has 7 rows for 60 samples"):
        search_files(done, tmp_path / "g", [file], 1, "x", columns=short)


def test_cells_bring_their_covariates_in_obs(tmp_path):
    needs("anndata")
    cells = make_anndata()
    cells.obs["donor"] = ["a" if i % 3 else "b" for i in range(CELLS)]
    file = write_cells(cells, tmp_path / "cells.h5ad")
    done = fit(
        cells, x="X", y="obsm:protein", covariates=["donor"], out=tmp_path / "run", epochs=1,
        progress=False,
    )  # fmt: skip
    index_files(done, tmp_path / "g", [file], "x", "euclidean")
    shared, _ = held(tmp_path / "g", file, cells.obs_names[3])
    donors = cells.obs["donor"].to_numpy()
    expected = done.embed(x=cells, covariates={"donor": donors}).shared[3]
    np.testing.assert_allclose(shared, expected, atol=1e-5)
    hits = search_files(done, tmp_path / "g", [file], 1, "x", by="exclusive", like=file).results
    assert len(hits.hits) == CELLS
    assert hits.hits[0][0].metadata["donor"] in ("a", "b")
    del cells.obs["donor"]
    file = write_cells(cells, tmp_path / "without.h5ad")
    with pytest.raises(DataError, match="has no column donor in obs"):
        index_files(done, tmp_path / "other", [file], "x")


def test_the_commands_take_a_table_of_covariates(run_of_batches, tmp_path, iiae):
    done, _, batch = run_of_batches
    file = done.folder.parent / "x.npy"
    columns = write_column(tmp_path / "columns.csv", batch)
    words = (done.folder, tmp_path / "g", file, "--columns", columns)
    code, out, err = iiae("index", *words, "--domain", "x")
    assert (code, "60 added" in out) == (0, True), err
    code, out, err = iiae("search", *words, "--from", "x", "--top", 1, "--json")
    assert code == 0, err
    first = json.loads(out)["results"][0]
    assert first["query"] == first["hits"][0]["path"] == f"{file}#0"
