import json
import shutil

import numpy as np
import pytest

import iiae
from helpers import save_run, small_settings, write_images
from iiae.errors import DataError
from iiae.evaluation.held_out import held_out_pairs
from iiae.run_folder import load_metrics, load_pairs, load_run
from iiae.settings import make_settings
from iiae.training import fit

PAIRS = 60


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A run on two folders of images."""
    root = tmp_path_factory.mktemp("held out")
    names = [f"{i:03d}.png" for i in range(PAIRS)]
    write_images(root / "left", names, seed=0)
    write_images(root / "right", names, seed=1)
    data = {"name": "two-folders", "x": str(root / "left"), "y": str(root / "right"), "size": 16}
    values = {
        "data": data,
        "model": {"width": 4, "shared": 2, "exclusive": 2},
        "training": {"epochs": 1, "batch": 16},
        "evaluation": {"translations": 0},
    }
    fit(make_settings(values), root / "run", progress=False)
    return root


@pytest.fixture
def own(folders, tmp_path):
    """A copy that a test may change."""
    copy = shutil.copytree(folders, tmp_path / "copy")
    run = load_run(copy / "run")
    moved = {"x": str(copy / "left"), "y": str(copy / "right")}
    data = run.settings.data.model_copy(update=moved)
    return copy, run._replace(settings=run.settings.model_copy(update={"data": data}))


def names(pairs):
    return {row.x.name for row in pairs.files}


def test_unchanged_data_gives_the_recorded_pairs(own):
    _, run = own
    held = held_out_pairs(run, "test")
    assert held.recorded
    assert held.digest == load_pairs(run.folder)["test"].digest


@pytest.mark.parametrize("change", ["remove", "add"])
def test_pairs_that_were_trained_on_are_never_tested_on(own, change, caplog):
    root, run = own
    trained = names(held_out_pairs(run, "test").data.train)
    before = names(held_out_pairs(run, "test").pairs)
    gone = sorted(before)[0]
    for side in ("left", "right"):
        if change == "remove":
            (root / side / gone).unlink()
        else:
            for i in range(20):
                shutil.copy(root / side / gone, root / side / f"new {i}.png")
    held = held_out_pairs(run, "test")
    assert not held.recorded
    assert not names(held.pairs) & trained
    assert before - names(held.pairs) <= {gone}
    assert "not those that training held out" in caplog.text


def test_the_trained_on_part_of_another_set_is_left_out(own, caplog):
    _, run = own
    data = run.settings.data.model_copy(update={"seed": 5})
    held = held_out_pairs(
        run._replace(settings=run.settings.model_copy(update={"data": data})), "test"
    )
    trained = set(load_pairs(run.folder)["train"].members.tolist())
    assert not set(held.pairs.keys.tolist()) & trained
    assert "they were trained on" in caplog.text


def test_evaluate_keeps_no_result_of_changed_data(own, iiae):
    root, run = own
    paths = [f"--set=data.x={root / 'left'}", f"--set=data.y={root / 'right'}"]
    assert iiae("evaluate", run.folder, *paths)[0] == 0
    kept = load_metrics(run.folder)["test"]
    gone = sorted(names(held_out_pairs(run, "test").pairs))[0]
    for side in ("left", "right"):
        (root / side / gone).unlink()
    code, out, _ = iiae("evaluate", run.folder, "--json", *paths)
    assert code == 0
    assert json.loads(out)["pairs"] > 0
    assert load_metrics(run.folder)["test"] == kept


@pytest.mark.parametrize(
    "override",
    ["data.seed=5", "data.test=30", "data.validation=3", "data.limit=20", "model.shared=3"],
)
def test_overrides_that_redraw_the_pairs_are_refused(folders, iiae, override):
    for command in ("evaluate", "disentangle", "report"):
        code, _, errors = iiae(command, folders / "run", "--set", override)
        assert code == 2
        assert errors.startswith(f"SettingsError: --set {override}: has no effect")


def test_data_of_another_shape_is_one_line(tmp_path):
    run = save_run(tmp_path / "run", small_settings())
    for name, size in (("x", 13), ("y", 32)):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).normal(size=(40, size)))
    data = {"name": "arrays", "x": str(tmp_path / "x.npy"), "y": str(tmp_path / "y.npy")}
    other = make_settings({"data": data}).data
    settings = run.settings.model_copy(update={"data": other})
    with pytest.raises(DataError, match="x has 13 values, the model takes 32"):
        held_out_pairs(run._replace(settings=settings), "test")


def test_a_run_of_arrays_in_memory_asks_for_its_pairs(tmp_path):
    values = np.random.default_rng(0).normal(size=(60, 4))
    iiae.fit(values[:, :2], values[:, 1:], out=tmp_path / "run", epochs=1, progress=False)
    run = iiae.load(tmp_path / "run")
    with pytest.raises(DataError, match="fitted on arrays in memory"):
        run.evaluate()
    assert run.evaluate(x=values[:9, :2], y=values[:9, 1:]).pairs == 9
