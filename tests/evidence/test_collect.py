import json

import numpy as np
import pytest
import torch

from helpers import small_settings
from iiae.data import load
from iiae.errors import DataError
from iiae.evidence.collect import evidence_of_files, evidence_of_run, read_factors
from iiae.results import load_results
from iiae.run_folder import save_metrics
from iiae.training import fit

rng = np.random.default_rng(0)


@pytest.fixture
def files(tmp_path):
    z = {name: rng.standard_normal((200, 3)) for name in ("z_x", "z_s", "z_y")}
    np.savez(tmp_path / "z.npz", **z)
    rows = [
        f"{'ab'[int(s > 0)]},{x:.4f},{i % 5}"
        for i, (s, x) in enumerate(zip(z["z_s"][:, 0], z["z_x"][:, 0], strict=True))
    ]
    (tmp_path / "f.csv").write_text("kind:shared,size:x,turn:y\n" + "\n".join(rows))
    return tmp_path / "z.npz", tmp_path / "f.csv"


def test_latents_and_factors_of_anyone_are_measured(files):
    found = evidence_of_files(*files)
    cells = found.probes["as given"].cells
    assert cells["kind"]["z_s"].linear.score > 0.9
    assert cells["size"]["z_x"].linear.score > 0.9
    assert found.leakage["as given"].by_factor["size"] < 0.1


def test_kinds_of_factors_are_told_by_their_values(files):
    found = read_factors(files[1])
    assert {name: (f.kind, f.block) for name, f in found.items()} == {
        "kind": ("categorical", "shared"),
        "size": ("continuous", "x"),
        "turn": ("categorical", "y"),
    }


def test_whole_numbers_are_latents_too(files, tmp_path):
    z = {name: rng.integers(5, size=(200, 3)) for name in ("x", "s", "y")}
    np.savez(tmp_path / "whole.npz", **{f"z_{name}": values for name, values in z.items()})
    assert evidence_of_files(tmp_path / "whole.npz", None).pairs == 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("kind:shared\n", "has no rows"),
        ("kind:shared,size:x\na,1\nb\n", "row 2 has 1 cells and the heading 2"),
    ],
)
def test_tables_that_are_cut_off_are_refused(tmp_path, text, message):
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_factors(tmp_path / "f.csv")


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "2", "1"], "categorical", [1, 2, 1]),
        (["0.50", "-1.25e-03", "2"], "continuous", [0.5, -0.00125, 2]),
        ([" 0.5", "1.5 ", "2"], "continuous", [0.5, 1.5, 2]),
        (["007", "07", "7"], "categorical", ["007", "07", "7"]),
        (["1_0", "12e3", "10"], "categorical", ["1_0", "12e3", "10"]),
        (["nan", "a", "1"], "categorical", ["nan", "a", "1"]),
    ],
)
def test_a_column_is_numeric_only_where_every_cell_is_written_as_a_number(
    tmp_path, cells, kind, values
):
    (tmp_path / "f.csv").write_text("b:x\n" + "\n".join(cells))
    factor = read_factors(tmp_path / "f.csv")["b"]
    assert (factor.kind, factor.values.tolist()) == (kind, values)


@pytest.mark.parametrize("head", ["b:x", "b:x:continuous", "b:x:categorical"])
def test_an_empty_cell_is_named(tmp_path, head):
    (tmp_path / "f.csv").write_text(f"a:shared,{head}\n1,0.5\n2,1.5\n3,\n")
    with pytest.raises(DataError, match=f"f.csv: column '{head}': row 3 is empty"):
        read_factors(tmp_path / "f.csv")


def test_a_number_that_is_not_finite_is_named(tmp_path):
    for text in ("nan", "-inf", "Infinity"):
        (tmp_path / "f.csv").write_text(f"b:x\n0.5\n{text}\n1.5\n")
        with pytest.raises(DataError, match=f"row 2 is '{text}', not a finite number"):
            read_factors(tmp_path / "f.csv")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("kind,size:x,turn:y", "column 'kind'; head it name:block"),
        ("kind:shared:continuous,size:x,turn:y", "column 'kind:shared:continuous'"),
        ("kind:shared,size:z,turn:y", "column 'size:z'"),
    ],
)
def test_wrong_headings_are_named(files, header, message):
    lines = files[1].read_text().splitlines()
    files[1].write_text("\n".join([header, *lines[1:]]))
    with pytest.raises(DataError, match=message):
        read_factors(files[1])


def test_wrong_files_are_refused(files, tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(DataError, match="holds a; expected z_x, z_s, z_y"):
        evidence_of_files(tmp_path / "other.npz", None)
    with pytest.raises(DataError, match=r"nowhere.npz: no such file"):
        evidence_of_files(tmp_path / "nowhere.npz", None)
    files[1].write_text("\n".join(files[1].read_text().splitlines()[:-1]))
    with pytest.raises(DataError, match="199"):
        evidence_of_files(*files)


def test_the_command_prints_tables_and_json(files, iiae):
    words = ("disentangle", "--latents", files[0], "--factors", files[1])
    code, out, err = iiae(*words)
    assert code == 0, err
    assert "Leakage, 200 pairs" in out
    assert json.loads(iiae(*words, "--json")[1])["pairs"] == 200


@pytest.mark.slow
def test_a_run_is_proved_with_swaps(tmp_path):
    torch.manual_seed(0)
    run = fit(small_settings("training.epochs=20"), tmp_path / "run", progress=False)
    found = evidence_of_run(run, load(run.settings.data))
    assert set(found.leakage) >= {"means", "samples"}
    assert set(found.swap) == {"shared", "exclusive to x", "exclusive to y"}
    assert found.split == "test"
    save_metrics(run.folder, "evidence", found)
    assert load_results(run.folder).evidence == found
