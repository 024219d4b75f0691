"""In processes of their own: the shape hook of the tests cannot be traced."""

import importlib.util
import json
import subprocess

import pytest

from helpers import program, small_settings
from iiae.errors import MissingExtra
from iiae.inference import export as exporting
from iiae.run_folder import load_run
from iiae.settings import make_settings
from iiae.training import fit

IMAGES = {
    "data": {"name": "digits-cdcb", "size": 16, "limit": 100},
    "model": {"width": 4, "shared": 2, "exclusive": 3},
    "training": {"epochs": 1, "batch": 32},
}


@pytest.fixture(scope="module", params=["features", "images"])
def folder(tmp_path_factory, request):
    path = tmp_path_factory.mktemp("export") / request.param
    settings = small_settings() if request.param == "features" else make_settings(IMAGES)
    fit(settings, path, progress=False)
    return path


def compare(folder, out, kind):
    done = subprocess.run(
        program("exported", folder, out, kind),
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])["worst"]


@pytest.mark.slow
def test_onnx_gives_the_same_numbers_for_any_batch(folder, tmp_path):
    pytest.importorskip("onnxruntime")
    assert compare(folder, tmp_path, "onnx") < 1e-4
    index = json.loads((tmp_path / exporting.INDEX).read_text())
    assert index["encoder_x"]["outputs"] == list(exporting.POSTERIORS)
    assert {p.name for p in tmp_path.iterdir()} == {
        "encoder_x.onnx", "encoder_y.onnx", "decoder_x.onnx", "decoder_y.onnx", exporting.INDEX,
    }  # fmt: skip


@pytest.mark.slow
def test_an_exported_program_gives_the_same_numbers_for_any_batch(folder, tmp_path):
    assert compare(folder, tmp_path, "torch") < 1e-5


def test_without_onnx_the_extra_is_named(folder, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        exporting, "find_spec", lambda name: None if name == "onnxscript" else find(name)
    )
    with pytest.raises(MissingExtra, match=r"pip install 'iiae\[onnx\]'"):
        exporting.export_onnx(load_run(folder), tmp_path)


def test_parts_are_the_model_s_own(folder):
    run = load_run(folder)
    found = exporting.parts(run)
    assert list(found) == ["encoder_x", "decoder_x", "encoder_y", "decoder_y"]
    assert tuple(found["decoder_y"].inputs["exclusive"]) == (run.model.exclusive_sizes[1],)
