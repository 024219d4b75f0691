import numpy as np
import pytest

from helpers import needs, save_run, small_settings
from iiae.errors import DataError, SettingsError
from iiae.inference.exclusive import ExclusiveSource
from iiae.inference.translate import translate_array
from iiae.run import fit


@pytest.fixture
def file(run_of_batches):
    return run_of_batches[0].folder.parent / "x.npy"


@pytest.fixture
def columns(run_of_batches, tmp_path):
    path = tmp_path / "columns.csv"
    path.write_text("\n".join(["batch", *run_of_batches[2]]) + "\n")
    return path


def test_translations_of_files_have_the_covariates_of_their_rows(
    run_of_batches, file, columns, tmp_path
):
    done, x, batch = run_of_batches
    out = translate_array(done, [file], "y", tmp_path / "y.npy", columns=columns)
    expected = done.translate(x, "y", covariates={"batch": batch})
    np.testing.assert_allclose(np.load(out), expected, atol=1e-5)


def test_columns_whose_rows_have_names_may_be_in_another_order(run_of_batches, tmp_path):
    done, x, batch = run_of_batches
    names = [f"s{i}" for i in range(len(x))]
    rows = [",".join([name, *map(str, row)]) for name, row in zip(names, x, strict=True)]
    (tmp_path / "x.csv").write_text("\n".join([",a,b,c,d,e,f", *rows]) + "\n")
    turned = [f"{name},{lane}" for name, lane in zip(names, batch, strict=True)][::-1]
    columns = tmp_path / "columns.csv"
    columns.write_text("\n".join(["sample,batch", *turned, "other,one"]) + "\n")
    out = translate_array(done, [tmp_path / "x.csv"], "y", tmp_path / "y.npy", columns=columns)
    expected = done.translate(x, "y", covariates={"batch": batch})
    np.testing.assert_allclose(np.load(out), expected, atol=1e-5)
    columns.write_text("\n".join(["sample,batch", *turned, turned[0]]) + "\n")
    with pytest.raises(DataError, match=r"columns\.csv: names of rows occur more than once"):
        translate_array(done, [tmp_path / "x.csv"], "y", tmp_path / "z.npy", columns=columns)
    columns.write_text("\n".join(["sample,batch", *turned[:-2]]) + "\n")
    with pytest.raises(DataError, match=r"columns\.csv: no row of s0, s1"):
        translate_array(done, [tmp_path / "x.csv"], "y", tmp_path / "z.npy", columns=columns)


def test_translations_as_if_measured_in_another_batch(run_of_batches, file, columns, tmp_path):
    done, x, batch = run_of_batches
    out = translate_array(
        done, [file], "y", tmp_path / "y.npy", columns=columns, as_if={"batch": "two"}
    )
    expected = done.translate(x, "y", covariates={"batch": batch}, as_if={"batch": "two"})
    np.testing.assert_allclose(np.load(out), expected, atol=1e-5)
    own = done.translate(x, "y", covariates={"batch": batch})
    assert np.abs(expected - own)[batch == "one"].max() > 1e-4
    np.testing.assert_allclose(expected[batch == "two"], own[batch == "two"], atol=1e-6)


def test_what_is_wrong_with_covariates_of_translations_is_said(
    run_of_batches, file, columns, tmp_path
):
    done, out = run_of_batches[0], tmp_path / "y.npy"
    with pytest.raises(SettingsError, match="takes covariates, batch; give columns=FILE"):
        translate_array(done, [file], "y", out)
    with pytest.raises(DataError, match="three occurs in no training pair"):
        translate_array(done, [file], "y", out, columns=columns, as_if={"batch": "three"})
    with pytest.raises(DataError, match="covariates given: batch, donor; the model takes batch"):
        translate_array(done, [file], "y", out, columns=columns, as_if={"donor": "a"})
    np.save(tmp_path / "like.npy", np.zeros((1, 4), np.float32))
    like = ExclusiveSource((tmp_path / "like.npy",))
    with pytest.raises(SettingsError, match="batch; a reference of an array brings none"):
        translate_array(done, [file], "y", out, like, columns=columns)
    assert not out.exists()


def test_a_run_without_covariates_refuses_them(tmp_path):
    run = save_run(tmp_path / "run", small_settings())
    np.save(tmp_path / "x.npy", np.zeros((2, 32), np.float32))
    with pytest.raises(SettingsError, match=r"no covariates; leave columns=... and as_if="):
        translate_array(run, [tmp_path / "x.npy"], "y", tmp_path / "y.npy", as_if={"batch": "two"})


def test_the_command_takes_a_table_and_another_batch(run_of_batches, file, columns, tmp_path, iiae):
    done, x, batch = run_of_batches
    words = ("translate", done.folder, file, "--to", "y", "--columns", columns)
    code, _, err = iiae(*words, "--as-if", "batch=two", "--out", tmp_path / "y.npy")
    assert code == 0, err
    expected = done.translate(x, "y", covariates={"batch": batch}, as_if={"batch": "two"})
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, atol=1e-5)
    code, _, err = iiae(*words, "--as-if", "batch")
    assert (code, "--as-if batch: write NAME=VALUE, as in batch=2" in err) == (2, True)


def test_cells_are_translated_as_if_measured_elsewhere(tmp_path):
    needs("anndata")
    from cells_made import CELLS, make_anndata

    cells = make_anndata()
    cells.obs["donor"] = ["a" if i % 3 else "b" for i in range(CELLS)]
    done = fit(
        cells, x="X", y="obsm:protein", covariates=["donor"], out=tmp_path / "run", epochs=1,
        progress=False,
    )  # fmt: skip
    done.write(cells, to="y", as_if={"donor": "b"})
    as_b = cells.obsm["iiae_protein"].to_numpy()
    donors = {"donor": cells.obs["donor"].to_numpy()}
    expected = done.translate(cells, "y", covariates=donors, as_if={"donor": "b"})
    np.testing.assert_allclose(as_b, expected, atol=1e-4)
    done.write(cells, to="y")
    moved = np.abs(cells.obsm["iiae_protein"].to_numpy() - as_b).max(1) > 1e-5
    assert moved[donors["donor"] == "a"].any()
    assert not moved[donors["donor"] == "b"].any()
    with pytest.raises(SettingsError, match="as_if: is for a translation"):
        done.write(cells, as_if={"donor": "b"})
