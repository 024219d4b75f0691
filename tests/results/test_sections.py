import json

import pytest
import torch

import iiae
from helpers import small_settings
from iiae.errors import RunError
from iiae.results import Results, load_results
from iiae.run_folder import METRICS, load_metrics
from iiae.training import fit


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    return fit(small_settings(), tmp_path_factory.mktemp("run"), progress=False).folder


def test_what_training_recorded_is_read(folder):
    found = load_results(folder)
    assert found.test is None and found.evidence is None
    recorded = load_metrics(folder)["training"]
    assert found.training.pairs == (200, 40, 60)
    assert found.training.seconds == recorded["seconds"]
    assert found.training.latents["z_s"].dimensions == 4
    assert found.training.made_with.hardware == recorded["made_with"]["hardware"]


def test_a_folder_without_metrics_has_no_results(folder, tmp_path):
    run = iiae.load(folder).save(tmp_path / "copy")
    (run / METRICS).unlink()
    assert load_results(run) == Results()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 0}, r"section test cannot be read \(it is of version 0, not 1\)"),
        (
            {"pairs": "many"},
            r"section test cannot be read \(pairs: Input should be a valid integer",
        ),
        ({"nats": {"elbo": 1.0}}, r"section test cannot be read \(nats.nll_x: Field required"),
    ],
)
def test_a_section_of_another_form_names_the_command_that_writes_it_anew(
    folder, tmp_path, change, message
):
    run = iiae.load(iiae.load(folder).save(tmp_path / "run"))
    run.evaluate()
    path = tmp_path / "run" / METRICS
    metrics = json.loads(path.read_text())
    metrics["test"] |= change
    path.write_text(json.dumps(metrics))
    with pytest.raises(RunError, match=message) as caught:
        load_results(run.folder)
    assert str(caught.value).endswith(f"this writes it anew: iiae evaluate {run.folder}")
    run.evaluate()
    assert load_results(run.folder).test.pairs == 60


def test_a_damaged_file_names_what_to_do(folder, tmp_path):
    run = iiae.load(iiae.load(folder).save(tmp_path / "run"))
    (run.folder / METRICS).write_text('{"test": ')
    with pytest.raises(RunError, match=r"damaged: .*; delete it, and iiae evaluate .* writes it"):
        load_results(run.folder)
