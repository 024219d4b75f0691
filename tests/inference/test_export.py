"""In processes of their own: the shape hook of the tests cannot be traced."""

import importlib.util
import json
import subprocess

import numpy as np
import pytest
import torch

from helpers import program, small_settings
from iiae.errors import MissingExtra
from iiae.estimator import IIAETransformer
from iiae.inference import export as exporting
from iiae.model.build import build_model
from iiae.run_folder import MODEL, load_run, save_settings, save_weights
from iiae.settings import make_settings
from iiae.training import fit

IMAGES = {
    "data": {"name": "digits-cdcb", "size": 16, "limit": 100},
    "model": {"width": 4, "shared": 2, "exclusive": 3},
    "training": {"epochs": 1, "batch": 32},
}
PADDED = {**IMAGES, "data": {"name": "folders", "size": 16, "pad": True, "bands": [1, 2]}}


def save_bands(path):
    """An untrained run of greys and of two bands, which keep their aspect."""
    settings, shapes = make_settings(PADDED), ((1, 16, 16), (2, 16, 16))
    torch.manual_seed(0)
    model = build_model(settings.model, settings.objective, shapes)
    save_settings(path, settings)
    save_weights(path / MODEL, model.state_dict(), shapes)


def save_transformer(path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(5, 3, (60, 6)), rng.normal(-2, 7, (60, 4))
    IIAETransformer(shared=3, exclusive=2, width=8, epochs=1).fit(x, y).save(path)


@pytest.fixture(
    scope="module", params=["features", "standardised", "transformer", "images", "bands"]
)
def folder(tmp_path_factory, request):
    path = tmp_path_factory.mktemp("export") / request.param
    if request.param == "bands":
        save_bands(path)
    elif request.param == "transformer":
        save_transformer(path)
    else:
        features = small_settings(f"model.standardise={str(request.param[0] == 's').lower()}")
        fit(make_settings(IMAGES) if request.param == "images" else features, path, progress=False)
    return path


def compare(folder, out, kind):
    bits = 16 if folder.name == "bands" else 8
    done = subprocess.run(
        program("exported", folder, out, kind, bits), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *others, tall = json.loads(done.stdout.splitlines()[-1])["worst"]
    assert tall < 2e-2, "where Pillow resamples columns first, pixels differ by a step of 255"
    return max(others)


@pytest.mark.slow
def test_onnx_gives_the_library_s_numbers_for_files_of_any_size(folder, tmp_path):
    pytest.importorskip("onnxruntime")
    assert compare(folder, tmp_path, "onnx") < 1e-4
    index = json.loads((tmp_path / exporting.INDEX).read_text())
    assert index["encoder_x"]["outputs"] == list(exporting.POSTERIORS)
    kinds = {"images": "uint8", "bands": "uint16"}
    (given,) = index["encoder_x"]["inputs"].values()
    assert given["type"] == kinds.get(folder.name, "float32")
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {
        "encoder_x.onnx", "encoder_y.onnx", "decoder_x.onnx", "decoder_y.onnx", exporting.INDEX,
    }  # fmt: skip


@pytest.mark.slow
def test_an_exported_program_gives_the_library_s_numbers_for_files_of_any_size(folder, tmp_path):
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
    named = exporting.parts(run)
    assert list(named) == ["encoder_x", "decoder_x", "encoder_y", "decoder_y"]
    assert named["decoder_y"].inputs["exclusive"].shape == ("batch", run.model.exclusive_sizes[1])
