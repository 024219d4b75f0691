import json

import pytest
import torch
from safetensors.torch import load_file

from helpers import save_run, small_settings
from iiae.errors import RunError
from iiae.run_folder import (
    MODEL,
    save_weights,
    weights_digest,
)


def test_the_digest_is_of_the_weights_and_not_of_the_files_order(tmp_path):
    run = save_run(tmp_path, small_settings())
    path, weights = tmp_path / MODEL, load_file(tmp_path / MODEL)
    digest = weights_digest(tmp_path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    turned = json.dumps(dict(reversed(header.items()))).encode()
    path.write_bytes(len(turned).to_bytes(8, "little") + turned + content[8 + size :])
    assert weights_digest(tmp_path) == digest
    name = next(name for name, tensor in weights.items() if tensor.is_floating_point())
    for changed in (
        {name: weights[name] + 1},
        {name: weights[name].double()},
        {name: weights[name].unsqueeze(0)},
        {"another": torch.zeros(1)},
    ):
        save_weights(path, {**weights, **changed}, run.shapes)
        assert weights_digest(tmp_path) != digest
    path.write_bytes(b"damaged")
    with pytest.raises(RunError, match="cannot be read"):
        weights_digest(tmp_path)
