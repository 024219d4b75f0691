import pytest
import torch

from helpers import save_run, small_model, small_settings
from iiae.errors import RunError
from iiae.model.latents import embed
from iiae.run_folder.examples import EXAMPLES, load_examples, save_examples
from iiae.types import Draw


@pytest.mark.parametrize("images", [True, False])
def test_examples_come_back_as_they_were_kept(tmp_path, images):
    run = save_run(tmp_path / "run", None if images else small_settings())
    model, pairs = small_model(run.settings)
    index = pairs.sample(30, 0)
    held = embed(model, pairs.batches(30, index))
    save_examples(run.folder, pairs, index, held)
    found = load_examples(run.folder)
    assert found is not None
    assert torch.equal(found.shared["y"], held.shared_given_y.mean)
    assert torch.equal(found.exclusive["x"], held.exclusive_x.mean)
    every = pairs.pairs(Draw(index))
    for domain in ("x", "y"):
        far = (found.samples[domain][:, None] - getattr(every, domain)[None]).flatten(2).abs()
        assert far.amax(2).amin(1).max() < (1 / 127 if images else 1e-6)  # each is one of the pairs


def test_a_run_without_examples_has_none_and_a_damaged_file_is_named(tmp_path):
    assert load_examples(tmp_path) is None
    (tmp_path / EXAMPLES).write_bytes(b"not an archive")
    with pytest.raises(RunError, match="have no examples"):
        load_examples(tmp_path)
