import numpy as np
import pytest
import torch

from cells_made import (
    CELLS,
    GENE_NAMES,
    PROTEIN_NAMES,
    make_anndata,
    make_counts,
    make_mudata,
    write_cells,
)
from helpers import needs
from iiae.errors import DataError, SettingsError
from iiae.inference.cells import write_cells_file
from iiae.run import fit, load
from iiae.run_folder import load_features, weights_digest
from iiae.types import Pair

anndata, mudata = needs("anndata"), needs("mudata")
QUICK = {"epochs": 1, "progress": False, "settings": {"model.shared": 3, "model.exclusive": [2, 4]}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fit(
        make_mudata(proteins=70), x="rna", y="protein", out=tmp_path_factory.mktemp("r"), **QUICK
    )


@pytest.fixture(scope="module")
def panel_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("r")
    return fit(make_anndata(), x="X", y="obsm:protein", out=out, **QUICK)


def values():
    rna, protein = make_counts()
    return (torch.from_numpy(np.log1p(v)).float() for v in (rna, protein))


def test_latents_of_every_cell_are_written_with_the_digest(run):
    cells = make_mudata(proteins=70)
    run.write(cells)
    x, y = values()
    with torch.inference_mode():
        both, of_x = run.model.encode(Pair(x[:70], y[:70])), run.model.encode_x(x)
    shared = cells.obsm["X_iiae_shared"]
    assert np.allclose(shared[:70], both.shared.mean, atol=1e-5)
    assert np.allclose(shared[70:], of_x.shared.mean[70:], atol=1e-5)
    assert np.allclose(cells.obsm["X_iiae_rna"], of_x.exclusive.mean, atol=1e-5)
    protein = cells.obsm["X_iiae_protein"]
    assert np.allclose(protein[:70], both.exclusive_y.mean, atol=1e-5)
    assert np.isnan(protein[70:]).all()
    own = cells["protein"].obsm
    assert own["X_iiae_protein"].shape == (70, 4)
    assert np.array_equal(own["X_iiae_shared"], shared[:70])
    digest = weights_digest(run.folder)
    assert cells.uns["iiae"] == {"weights": digest, "x": "rna", "y": "protein"}


def test_a_translation_is_a_layer_where_it_fits_and_a_table_where_not(run):
    predicted = run.translate(make_mudata(), to="y")
    whole, part = make_mudata(), make_mudata(proteins=70)
    run.write(whole, to="y")
    assert np.allclose(whole["protein"].layers["iiae"], predicted, atol=1e-5)
    run.write(part, to="y")
    assert "iiae" not in part["protein"].layers
    table = part.obsm["iiae_protein"]
    assert list(table.columns) == PROTEIN_NAMES
    assert np.allclose(table.to_numpy(), predicted, atol=1e-5)


def test_a_panel_that_is_missing_is_predicted_by_name(panel_run):
    cells = make_anndata()
    del cells.obsm["protein"]
    panel_run.write(cells, to="y")
    assert list(cells.obsm["iiae_protein"].columns) == PROTEIN_NAMES
    assert "X_iiae_protein" not in cells.obsm
    assert cells.obsm["X_iiae_x"].shape == (CELLS, 2)
    with pytest.raises(DataError, match="has no protein to translate to x"):
        panel_run.write(cells, to="x")


def test_features_are_taken_by_name_whatever_their_order(run):
    cells = make_mudata(proteins=70)
    shuffled = cells["rna"][:, GENE_NAMES[::-1]].copy()
    assert np.allclose(run.embed(x=shuffled).shared, run.embed(x=cells).shared, atol=1e-5)
    run.write(shuffled, domain="x")
    assert np.allclose(shuffled.obsm["X_iiae_shared"], run.embed(x=cells).shared, atol=1e-5)
    with pytest.raises(DataError, match=r"lacks 2 of the 12 columns .*: G0, G1"):
        run.embed(x=cells["rna"][:, GENE_NAMES[2:]].copy())


def test_cells_of_one_assay_are_asked_for_their_domain(run):
    rna = make_mudata()["rna"].copy()
    with pytest.raises(SettingsError, match=r"which domain are these cells of\?.*rna or protein"):
        run.write(rna)
    run.write(rna, domain="rna")
    assert rna.obsm["X_iiae_shared"].shape == (len(rna), 3)


def test_cells_with_nothing_that_the_run_takes_are_refused(run):
    other = mudata.MuData({"atac": make_anndata()})
    with pytest.raises(DataError, match="has no modality rna, only atac"):
        run.write(other)


def test_a_value_that_is_missing_among_measured_ones_is_refused_with_the_cell(run, tmp_path):
    cells = make_mudata()
    panel = cells["protein"].X.copy()
    panel[3, 1] = np.nan
    cells["protein"].X = panel
    name = cells["protein"].obs_names[3]
    with pytest.raises(DataError, match=f"NaN or infinite values.* in {name}"):
        run.embed(y=cells)
    with pytest.raises(DataError, match=f"NaN or infinite values.* in {name}"):
        run.write(cells)


def test_files_are_copied_with_latents_and_translations(run, tmp_path, iiae):
    path = write_cells(make_mudata(proteins=70), tmp_path / "a.h5mu")
    before = path.read_bytes()
    code, out, err = iiae("embed", run.folder, path)
    assert (code, out.strip()) == (0, f"wrote {tmp_path / 'a.iiae.h5mu'}"), err
    copy = mudata.read_h5mu(tmp_path / "a.iiae.h5mu")
    assert copy.obsm["X_iiae_shared"].shape == (CELLS, 3)
    assert copy.uns["iiae"]["weights"] == weights_digest(run.folder)
    code, _, err = iiae("translate", run.folder, path, "--to", "y", "--out", tmp_path / "t.h5mu")
    assert code == 0, err
    assert "iiae_protein" in mudata.read_h5mu(tmp_path / "t.h5mu").obsm
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "a.npz"), "a copy of a.h5mu ends in .h5mu"),
        (("--out", "a.h5mu"), "is an input"),
        (("--block", "both"), "--block"),
    ],
)
def test_copies_that_cannot_be_made_are_refused(run, tmp_path, monkeypatch, iiae, words, message):
    monkeypatch.chdir(tmp_path)
    write_cells(make_mudata(), tmp_path / "a.h5mu")
    code, _, err = iiae("embed", run.folder, "a.h5mu", *words)
    assert code == 2
    assert message in err


def test_runs_of_two_files_need_the_domain(tmp_path):
    rna = write_cells(make_anndata(), tmp_path / "rna.h5ad")
    two = fit(f"{rna}:counts", f"{rna}:obsm:protein", out=tmp_path / "run", **QUICK)
    assert load_features(two.folder) == (GENE_NAMES, PROTEIN_NAMES)
    with pytest.raises(SettingsError, match="give domain, x or y"):
        write_cells_file(two, rna)
    copy = anndata.read_h5ad(write_cells_file(two, rna, domain="x"))
    assert {"X_iiae_shared", "X_iiae_x"} <= set(copy.obsm)


def test_two_objects_are_matched_by_the_names_of_their_cells():
    cells = make_mudata()
    order = cells["protein"].obs_names[::-1][:60]
    two = fit(cells["rna"], cells["protein"][order].copy(), **QUICK)
    assert sum(map(len, two.data)) == 60
    assert two.data.train.features == (GENE_NAMES, PROTEIN_NAMES)


def test_places_that_are_not_given_are_asked_for():
    with pytest.raises(DataError, match=r"data.x is missing: a modality \(.*protein.*\)"):
        fit(make_mudata())
    with pytest.raises(DataError, match=r"data.y is missing: one of X, counts, obsm:protein"):
        fit(make_anndata(), x="X")
    with pytest.raises(SettingsError, match="x is given twice"):
        fit(make_anndata(), make_anndata(), x="X")


def test_a_saved_run_keeps_the_names_of_features(run, tmp_path):
    run.save(tmp_path / "copy")
    assert load_features(tmp_path / "copy") == (GENE_NAMES, PROTEIN_NAMES)
    assert load(tmp_path / "copy").embed(x=make_mudata()).shared.shape == (CELLS, 3)


@pytest.fixture(scope="module")
def two_assays():
    """RNA and protein as two AnnData, the latter in another order, with a batch in obs of RNA."""
    cells = make_mudata()
    rna, protein = cells["rna"].copy(), cells["protein"][::-1].copy()
    rna.obs["batch"] = ["one", "two"] * (CELLS // 2)
    return rna, protein


def test_covariates_of_two_anndata_are_columns_of_obs(two_assays, tmp_path):
    rna, protein = two_assays
    done = fit(rna, protein, covariates=["batch"], **QUICK)
    train = done.data.train
    of_value = dict(zip(map(tuple, rna.X.toarray()), rna.obs["batch"], strict=True))
    seen = map(tuple, next(train.batches(len(train))).x.numpy())
    assert [of_value[row] for row in seen] == list(train.annotations["batch"])
    # an AnnData brings them to what a run does
    own = done.embed(x=rna).shared
    batch = rna.obs["batch"].to_numpy()
    assert np.array_equal(own, done.embed(x=rna.X, covariates={"batch": batch}).shared)
    assert np.array_equal(own, done.embed(x=rna, covariates=["batch"]).shared)
    assert not np.array_equal(own, done.embed(x=rna, covariates={"batch": "one"}).shared)
    assert done.translate(rna[:3], to="y").shape == (3, len(PROTEIN_NAMES))
    with pytest.raises(DataError, match="sample is no column of obs; these are mt, batch"):
        fit(rna, protein, covariates=["sample"], **QUICK)
    rna.write_h5ad(tmp_path / "rna.h5ad")
    protein.write_h5ad(tmp_path / "protein.h5ad")
    files = tmp_path / "rna.h5ad", tmp_path / "protein.h5ad"
    of_files = fit(*files, covariates="batch", **QUICK)
    assert of_files.model.covariates == done.model.covariates
    with pytest.raises(DataError, match="has no column sample in obs"):
        fit(*files, settings={"data.covariates": "sample"}, epochs=1, progress=False)


def test_latents_are_written_into_cells_alone(run):
    with pytest.raises(SettingsError, match="ndarray: latents are written into an AnnData or"):
        run.write(np.zeros((3, 2)), domain="x")


def with_obs(proteins=70):
    """A MuData whose assays each have a dose and a donor, cells beyond `proteins` only in RNA."""
    cells = make_mudata(proteins)
    cells["rna"].obs["dose"] = np.linspace(1, 9, CELLS).round(1)
    cells["protein"].obs["dose"] = cells["rna"].obs["dose"][:proteins]
    cells["protein"].obs["kit"] = np.arange(proteins) % 2
    cells.obs["donor"] = np.arange(CELLS) // 5
    return cells


def test_covariates_of_a_mudata_are_its_columns_as_they_are():
    cells = with_obs()
    done = fit(cells, x="rna", y="protein", covariates=["dose", "donor"], **QUICK)
    dose, donor = done.model.covariates.each
    assert not dose.levels and len(donor.levels) == 16
    assert done.embed(x=cells).shared.shape == (CELLS, 3)
    cells.obs["age"] = np.where(np.arange(CELLS) < 70, 30.0 + np.arange(CELLS) % 7, np.nan)
    with pytest.raises(DataError, match="covariate age: no value in row"):
        fit(cells, x="rna", y="protein", covariates=["age"], **QUICK)


def test_what_one_assay_lacks_of_a_covariate_is_taken_from_the_other():
    cells = make_mudata(drop=10)  # the first ten cells have proteins alone
    for name, first in (("rna", 10), ("protein", 0)):
        cells[name].obs["batch"] = ["one", "two"] * ((CELLS - first) // 2)
    done = fit(cells, x="rna", y="protein", covariates=["batch"], **QUICK)
    assert done.embed(y=cells).shared.shape == (CELLS, 3)
    done.write(cells)


def test_covariates_with_values_are_refused_where_they_cannot_be_used(tmp_path):
    values = {"batch": np.arange(CELLS) % 2}
    with pytest.raises(SettingsError, match=r"name columns of obs, covariates=\['batch'\]"):
        fit(make_mudata(), x="rna", y="protein", covariates=values, **QUICK)
    np.save(tmp_path / "x.npy", np.zeros((CELLS, 3)))
    with pytest.raises(SettingsError, match=r"data\.columns"):
        fit(tmp_path / "x.npy", tmp_path / "x.npy", covariates=values, **QUICK)
    with pytest.raises(SettingsError, match="covariates are given by name"):
        fit(np.zeros((9, 3)), np.zeros((9, 3)), covariates=np.zeros(9), **QUICK)


def test_cells_without_a_covariate_are_told_how_it_is_given(two_assays):
    rna, protein = two_assays
    done = fit(rna, protein, covariates=["batch"], **QUICK)
    with pytest.raises(DataError, match=r"no column batch in obs; give covariates=\{'batch'"):
        done.embed(y=protein)
    assert done.embed(y=protein, covariates={"batch": "one"}).shared.shape == (CELLS, 3)


def test_covariates_that_are_not_in_obs_are_given_by_name_of_cell(two_assays, tmp_path, iiae):
    rna, protein = two_assays
    done = fit(rna, protein, covariates=["batch"], out=tmp_path / "run", **QUICK)
    batches = rna.obs[["batch"]][::-1]  # matched by name, whatever their order
    bare = protein.copy()
    done.write(bare, to="x", domain="y", covariates=batches)
    named = protein.copy()
    named.obs["batch"] = batches["batch"]  # pandas aligns by name
    done.write(named, to="x", domain="y")
    assert np.array_equal(bare.obsm["X_iiae_shared"], named.obsm["X_iiae_shared"])
    assert np.array_equal(bare.obsm["iiae_x"], named.obsm["iiae_x"])
    with pytest.raises(DataError, match="no column batch in obs"):
        done.write(protein.copy(), domain="y")

    batches.to_csv(tmp_path / "batches.csv", index_label="cell")
    protein.write_h5ad(tmp_path / "cells.h5ad")
    given = [tmp_path / name for name in ("run", "cells.h5ad", "batches.csv")]
    given.insert(2, "--columns")
    for command in (["embed", *given, "--domain", "y"], ["translate", *given, "--to", "x"]):
        code, _, err = iiae(*command, "--out", tmp_path / "out.h5ad")
        assert code == 0, err
        made = anndata.read_h5ad(tmp_path / "out.h5ad")
        assert np.allclose(made.obsm["X_iiae_shared"], bare.obsm["X_iiae_shared"], atol=1e-5)
    batches[1:].to_csv(tmp_path / "batches.csv", index_label="cell")
    code, _, err = iiae("embed", *given, "--domain", "y", "--out", tmp_path / "o.h5ad")
    assert code == 2 and "batches.csv: no row of" in err


def test_a_run_on_cells_in_memory_is_measured_again_with_them(two_assays, tmp_path):
    rna, protein = two_assays
    known = {"covariates": ["batch"], **QUICK}
    for cells, name in (((rna, protein), "two"), ((with_obs(),), "one")):
        places = {} if len(cells) == 2 else {"x": "rna", "y": "protein", "covariates": ["donor"]}
        before = fit(*cells, out=tmp_path / name, **{**known, **places})
        assert load(tmp_path / name, *cells).evaluate() == before.evaluate()
    with pytest.raises(SettingsError, match="was fitted on cells in memory"):
        load(tmp_path / "one", np.zeros((9, 3)), np.zeros((9, 3)))
